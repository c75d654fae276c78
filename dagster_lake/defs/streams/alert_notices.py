"""The notices of alerts as an asset: what the alert streams hold anew is noted, said and sent when a run gets here."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from dagster_lake.compile.silver import LOOK_BACK_HOURS
from dagster_lake.defs.conditions import streams_follow
from dagster_lake.defs.partitions import hourly, hours_of
from dagster_lake.defs.show.metadata import bars
from dagster_lake.defs.steps import tried_again
from dagster_lake.lake_hour import HOUR, HourRange
from dagster_lake.lake_resource import LakeResource
from dagster_lake.settings.project import ProjectSettings
from dagster_lake.streams.alerts.check_names import DELIVERED

if TYPE_CHECKING:
    from dagster_lake.streams.alerts.kinds import AlertKind
    from dagster_lake.streams.alerts.notify import Outcome
    from dagster_lake.streams.alerts.sender import Sent

KEY = dg.AssetKey(["streams", "alert_notices"])
HELD = "held"
"""Metadata: how many rows of alert streams may still change, and are told when time has passed."""


def alert_notices_assets(kinds: "list[AlertKind]") -> list[dg.AssetsDefinition]:
    """The asset of the notices, downstream of the streams that give alerts; none when none does."""
    return [_alert_notices(kinds)] if kinds else []


def _alert_notices(kinds: "list[AlertKind]") -> dg.AssetsDefinition:
    from dagster_lake.streams.alerts.notices import COLUMNS, SCHEMA

    @dg.asset(
        key=KEY,
        deps=[dg.AssetKey(["streams", kind.stream]) for kind in kinds],
        group_name="streams",
        kinds={"delta"},
        owners=[ProjectSettings().owner],
        automation_condition=streams_follow(),
        partitions_def=hourly,
        backfill_policy=dg.BackfillPolicy.single_run(),
        description="Every alert once: when it was noted, and the request that carries it. Alerts of "
        "old events are noted and not sent.",
        metadata={
            "dagster/table_name": "streams.alert_notices",
            "dagster/column_schema": dg.TableSchema(
                [
                    dg.TableColumn(
                        field.name,
                        type=str(field.type),
                        description=COLUMNS[field.name],
                        constraints=dg.TableColumnConstraints(nullable=field.nullable),
                    )
                    for field in SCHEMA
                ]
            ),
        },
        check_specs=[
            dg.AssetCheckSpec(
                DELIVERED, asset=KEY, description="Each channel has an address, and took what it was sent."
            )
        ],
    )
    @tried_again
    def alert_notices(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[dg.MaterializeResult]:
        from dagster_lake.streams.alerts.channels import said_without_address
        from dagster_lake.streams.alerts.notify import notify
        from dagster_lake.streams.alerts.settled import settled_in_raw
        from dagster_lake.streams.alerts.written import written_hours

        started = time.monotonic()
        # The run's hours may have changed the streams of later ones, too: see compile/later_hours.py.
        run = hours_of(context)
        settled = settled_in_raw(lake.lake, lake.sources, kinds)
        streams = written_hours(lake.lake, kinds, HourRange(run.first, run.last + LOOK_BACK_HOURS * HOUR), settled)
        name = f"{context.run_id} {context.retry_number}"
        outcome = notify(lake.lake, lake.settings, streams, name, context.log.warning)
        missing = said_without_address(lake.settings, kinds)
        yield dg.MaterializeResult(
            metadata={
                **_metadata(lake, outcome),
                "seconds": dg.MetadataValue.float(round(time.monotonic() - started, 3)),
            },
            check_results=[
                dg.AssetCheckResult(
                    check_name=DELIVERED,
                    passed=outcome.sent.failure is None and not outcome.sent.set_aside and not missing,
                    severity=dg.AssetCheckSeverity.WARN,
                    description=_undelivered(outcome.sent, missing),
                    metadata={"waiting": outcome.sent.waiting, "set aside": outcome.sent.set_aside},
                )
            ],
        )

    return alert_notices


def _undelivered(sent: "Sent", missing: list[str]) -> str | None:
    aside = (
        f"{sent.set_aside:,} alerts of the last days are set aside: lake alerts list shows why, and lake alerts "
        "send-again sends them"
    )
    return ". ".join(filter(None, [sent.failure, aside if sent.set_aside else None, *missing])) or None


def _metadata(lake: LakeResource, outcome: "Outcome") -> dict[str, dg.MetadataValue]:
    from dagster_lake.storage.delta.write import pin
    from dagster_lake.streams.alerts.notices import notices_table

    metadata: dict[str, dg.MetadataValue] = {
        "dagster/partition_row_count": dg.MetadataValue.int(sum(outcome.noted.values())),
        "new": dg.MetadataValue.md(bars(outcome.noted)),
        "sent": dg.MetadataValue.int(outcome.sent.alerts),
        "waiting": dg.MetadataValue.int(outcome.sent.waiting),
        HELD: dg.MetadataValue.int(outcome.held),
    }
    table = pin(notices_table(lake.lake).uri)
    if table is not None:
        metadata["dagster/row_count"] = dg.MetadataValue.int(table.rows())
        metadata["delta_version"] = dg.MetadataValue.int(table.version)
    return metadata
