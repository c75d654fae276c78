"""Silver assets: typed, deduplicated, masked rows; the rows kept out; and the newest row of each key."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import dagster as dg

from dagster_lake.asset_keys import bronze_key, newest_key, quarantine_key, silver_key
from dagster_lake.compile.silver import conflict_reason
from dagster_lake.contract.columns import newest_schema, quarantine_schema, silver_schema
from dagster_lake.contract.model import Contract, EventHubSource
from dagster_lake.defs import code_version
from dagster_lake.defs.common import common, partitioning
from dagster_lake.defs.contracts.acceptance import run_silver
from dagster_lake.defs.contracts.pending import partitions_to_run
from dagster_lake.defs.hourly_checks import Evaluated, balanced, check_of, evaluated
from dagster_lake.defs.show.metadata import (
    balance_table,
    bars,
    column_lineage,
    definition_metadata,
    step_metadata,
)
from dagster_lake.defs.steps import silver_made, tried_again
from dagster_lake.engines.step import Counts, Step, StepResult
from dagster_lake.lake_resource import LakeResource
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import has_newest, silver_name, silver_table

NO_CONFLICTS = "no_conflicting_copies"


class SilverConfig(dg.Config):
    """``accept_shrink`` takes a snapshot that is empty or lost more than a fifth of its keys. ``accept`` takes the
    run's hours, or the newest snapshot, whatever is bad of them; that is noted, and holds while raw and the rules
    stay."""

    accept_shrink: bool = False
    accept: bool = False


def silver_asset(contract: Contract) -> dg.AssetsDefinition:
    """Silver and quarantine of one contract, made in one step from bronze, with the checks of that step."""
    silver, quarantine = silver_key(contract), quarantine_key(contract)
    # Duplicates are looked for in the 24 hours before as well. That is not said as a partition mapping: an hour whose
    # predecessors never landed must still run, and a range must stay one run.
    shared = {"deps": [bronze_key(contract)], **common(contract)}

    @dg.multi_asset(
        name=f"silver__{silver_name(contract)}",
        specs=[
            dg.AssetSpec(
                silver,
                group_name="silver",
                code_version=code_version.of_tables(contract),
                kinds={"delta", "silver"},
                description=_description(contract),
                metadata={
                    **definition_metadata(silver_schema(contract), contract, f"silver.{silver_name(contract)}"),
                    "dagster/column_lineage": column_lineage(silver_schema(contract), bronze_key(contract), contract),
                },
                **shared,
            ),
            dg.AssetSpec(
                quarantine,
                group_name="quarantine",
                code_version=code_version.of_tables(contract),
                kinds={"delta"},
                description=f"Rows of {contract.name} that break a rule of the contract, with all their reasons.",
                metadata=definition_metadata(quarantine_schema(contract), contract, f"quarantine.{contract.name}"),
                **shared,
            ),
        ],
        check_specs=[
            check_of(
                contract,
                "row_balance",
                asset=silver,
                blocking=True,
                description="Rows in = rows out + duplicates + quarantined + withheld, counted each on its own.",
            ),
            check_of(
                contract,
                NO_CONFLICTS,
                asset=silver,
                description="No row came again with the same key and another content; the others are in quarantine.",
            ),
            check_of(
                contract,
                "little_quarantined",
                asset=quarantine,
                description=f"At most {contract.max_bad_share:.0%} of the rows are quarantined; more means that the "
                "source has changed.",
            ),
        ],
        can_subset=True,
        **partitioning(contract),
    )
    @tried_again
    def silver_step(
        context: dg.AssetExecutionContext, config: SilverConfig, lake: LakeResource
    ) -> Iterator[dg.MaterializeResult | Evaluated]:
        started = time.monotonic()
        partitions = partitions_to_run(context, lake.lake, contract, "silver")
        result = run_silver(context, lake, contract, partitions, config.accept_shrink, config.accept)
        if not has_newest(contract):
            silver_made(context, lake.lake, contract, partitions)
        for further in further_materializations(contract, result):
            context.log_event(further)
        # The step always makes both tables; what was not selected is not announced.
        if silver in context.selected_asset_keys:
            yield dg.MaterializeResult(
                asset_key=silver,
                metadata={
                    **step_metadata(asked_for(result), time.monotonic() - started, lake.engine.name),
                    "balance": dg.MetadataValue.md(balance_table(result.counts)),
                    **_newest_event(lake.lake, contract, partitions),
                },
            )
        if quarantine in context.selected_asset_keys:
            yield dg.MaterializeResult(
                asset_key=quarantine,
                metadata={
                    "dagster/partition_row_count": sum(c.quarantined for c in asked_for(result).counts.values()),
                    "reasons": dg.MetadataValue.md(bars(result.reasons)),
                },
            )
        hours = None if contract.cadence == "snapshot" else {*partitions, *result.counts}
        judgements: dict[tuple[dg.AssetKey, str], Callable[[Collection[str] | None], dg.AssetCheckResult]] = {
            (silver, "row_balance"): partial(balanced, result.counts),
            (silver, NO_CONFLICTS): partial(_conflict_free, contract, result.counts),
            (quarantine, "little_quarantined"): partial(_little_quarantined, contract, result.counts),
        }
        for (asset, name), judged in judgements.items():
            yield from evaluated(context, dg.AssetCheckKey(asset, name), hours, judged)

    return silver_step


def asked_for(result: StepResult) -> StepResult:
    """``result`` without the partitions that the step made again of itself."""
    return replace(result, counts={p: c for p, c in result.counts.items() if p not in result.rewritten})


def further_materializations(contract: Contract, result: StepResult) -> list[dg.AssetMaterialization]:
    """What Dagster is told of the partitions that a silver step made again beyond those it was asked for."""
    told = []
    for partition in result.rewritten:
        count = result.counts[partition]
        balance = dg.MetadataValue.md(balance_table({partition: count}))
        why = "Made again: an hour before it changed, and copies of its events win or lose by that."
        for key, rows in ((silver_key(contract), count.rows_out), (quarantine_key(contract), count.quarantined)):
            metadata = {"dagster/partition_row_count": dg.MetadataValue.int(rows), "balance": balance}
            told.append(dg.AssetMaterialization(key, description=why, partition=partition, metadata=metadata))
    return told


def newest_asset(contract: Contract) -> dg.AssetsDefinition:
    """The latest valid row of each key, from the changes or snapshots."""
    assert has_newest(contract)
    schema = newest_schema(contract)

    @dg.asset(
        key=newest_key(contract),
        deps=[silver_key(contract)],
        group_name="silver",
        code_version=code_version.of_tables(contract),
        kinds={"delta", "silver"},
        description=f"{contract.description} One row a key, the latest valid one.",
        metadata={
            **definition_metadata(schema, contract, f"silver.{contract.name}"),
            "dagster/column_lineage": column_lineage(schema, silver_key(contract), contract),
        },
        **common(contract),
        **partitioning(contract),
    )
    @tried_again
    def newest(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[dg.MaterializeResult]:
        started = time.monotonic()
        partitions = partitions_to_run(context, lake.lake, contract, "newest")
        result = lake.engine.run(Step(contract.name, "newest", tuple(partitions)))
        silver_made(context, lake.lake, contract, partitions)
        yield dg.MaterializeResult(metadata=step_metadata(result, time.monotonic() - started, lake.engine.name))

    return newest


def _newest_event(lake: Lake, contract: Contract, partitions: Collection[str]) -> dict[str, str]:
    """The time of the newest event, by the events' own clock, from the table's log; nothing for what is no event."""
    from dagster_lake.storage.delta.write import pin

    times = [p.name for p in contract.properties if p.logical_type == "timestamp"]
    table = pin(silver_table(lake, contract).uri) if times and isinstance(contract.source, EventHubSource) else None
    bounds = table.bounds(times[0], partitions) if table else None
    if bounds is None:
        return {}
    newest = bounds[1]
    assert isinstance(newest, datetime)
    return {"newest_event": newest.astimezone(UTC).isoformat(timespec="milliseconds")}


def _conflict_free(
    contract: Contract, counts: Mapping[str, Counts], hours: Collection[str] | None
) -> dg.AssetCheckResult:
    rows = sum(count.conflicts for p, count in counts.items() if hours is None or p in hours)
    return dg.AssetCheckResult(
        passed=rows == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"rows": rows, "reason": conflict_reason(contract)},
    )


def _little_quarantined(
    contract: Contract, counts: Mapping[str, Counts], hours: Collection[str] | None
) -> dg.AssetCheckResult:
    of = [count for p, count in counts.items() if hours is None or p in hours]
    quarantined, rows_in = sum(count.quarantined for count in of), sum(count.rows_in for count in of)
    return dg.AssetCheckResult(
        passed=quarantined <= contract.max_bad_share * rows_in,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"quarantined": quarantined, "rows_in": rows_in},
    )


def _description(contract: Contract) -> str:
    kind = {"snapshot": "Every snapshot in full.", "hourly": "Every version of a row."}
    suffix = kind[contract.cadence] if has_newest(contract) else "Each event once."
    return f"{contract.description} {suffix} Typed, trimmed, masked."
