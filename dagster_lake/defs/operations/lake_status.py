"""The lake's health as an asset: a table that anybody can query, and what needs attention at a glance."""

from collections.abc import Callable, Iterator
from typing import Any

import dagster as dg

from dagster_lake import clock
from dagster_lake.defs.show.markdown import table as markdown_table
from dagster_lake.lake_resource import LakeResource
from dagster_lake.settings.project import ProjectSettings

KEY = dg.AssetKey(["gold", "lake_status"])
GOOD = "nothing_needs_attention"
LATE = "is late"
_MUCH_QUARANTINED = 0.2


def lake_status_asset(definitions: Callable[[], dg.Definitions]) -> dg.AssetsDefinition:
    """The asset of the table ``gold/lake_status``; it depends on no other, so that it is made when others fail.

    ``definitions`` gives the ones that the asset is part of, when it is made.
    """
    from dagster_lake.operations.health.status_table import COLUMNS, DESCRIPTION, SCHEMA

    columns = [
        dg.TableColumn(
            field.name,
            type=str(field.type),
            description=COLUMNS[field.name],
            constraints=dg.TableColumnConstraints(nullable=field.nullable),
        )
        for field in SCHEMA
    ]

    @dg.asset(
        key=KEY,
        group_name="gold",
        kinds={"delta"},
        owners=[ProjectSettings().owner],
        # Not partitioned, and the policy all the same: the command line takes a range of hours only with it.
        backfill_policy=dg.BackfillPolicy.single_run(),
        description=DESCRIPTION,
        metadata={"dagster/table_name": "gold.lake_status", "dagster/column_schema": dg.TableSchema(columns)},
        check_specs=[
            dg.AssetCheckSpec(
                GOOD,
                asset=KEY,
                description="Each table can be read, is not late, passes its checks, and got most of its rows.",
            )
        ],
    )
    def lake_status(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[dg.MaterializeResult]:
        from dagster_lake.operations.health.look import look_at_lake
        from dagster_lake.operations.health.status_table import publish_status

        rows = look_at_lake(lake.lake, context.instance, definitions(), clock.utc_now())
        table = publish_status(lake.lake, rows)
        troubled = [row for row in rows if troubles(row)]
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": table.rows(),
                "dagster/uri": str(table.uri),
                "bytes": table.bytes(),
                "delta_version": table.version,
                "attention": dg.MetadataValue.md(_attention(troubled)),
                "tables": dg.MetadataValue.md(_overview(rows)),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name=GOOD,
                    passed=not troubled,
                    severity=dg.AssetCheckSeverity.WARN,
                    description="; ".join(f"{row['table_name']} {troubles(row)}" for row in troubled) or None,
                )
            ],
        )

    return lake_status


def troubles(row: dict[str, Any]) -> str:
    """What is wrong with a table by its row of ``gold/lake_status``, in words; empty when nothing is."""
    share = row["quarantine_share"] or 0.0
    found = [
        f"cannot be read: {row['problem']}" if row["problem"] else "",
        LATE if row["freshness"] == "late" else "",
        f"fails {row['failed_checks']}" if row["failed_checks"] else "",
        f"had {share:.0%} kept out" if share > _MUCH_QUARANTINED else "",
    ]
    return ", ".join(trouble for trouble in found if trouble)


def _attention(troubled: list[dict[str, Any]]) -> str:
    if not troubled:
        return "Nothing: each table can be read, is not late, passes its checks, and got most of its rows."
    return markdown_table(["table", "what"], ([row["table_name"], troubles(row)] for row in troubled), widest=200)


def _overview(rows: list[dict[str, Any]]) -> str:
    names = ["table", "newest", "age", "rows", "bytes", "files", "version", "freshness", "kept out"]
    return markdown_table(names, ([*_cells(row)] for row in rows))


def _cells(row: dict[str, Any]) -> Iterator[str | None]:
    yield from (row["table_name"], row["newest"], _age(row["age_minutes"]))
    for name in ("rows", "bytes", "files", "delta_version"):
        yield None if row[name] is None else f"{row[name]:,}"
    yield None if row["freshness"] == "none" else row["freshness"]
    yield None if row["quarantine_share"] is None else f"{row['quarantine_share']:.1%}"


def _age(minutes: float | None) -> str | None:
    if minutes is None:
        return None
    for limit, length, unit in ((120, 1, "min"), (48 * 60, 60, "h")):
        if minutes < limit:
            return f"{minutes / length:.0f} {unit}"
    return f"{minutes / (24 * 60):,.0f} d"
