"""The sinks of streams as assets: a run gives each what it lacks, whatever hours the run is for."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from dagster_lake.defs.conditions import streams_follow
from dagster_lake.defs.partitions import hourly
from dagster_lake.defs.steps import tried_again
from dagster_lake.lake_resource import LakeResource
from dagster_lake.settings.project import ProjectSettings
from dagster_lake.streams.sinks.sink import DELIVERED

if TYPE_CHECKING:
    from dagster_lake.streams.sinks.deliver import Filled
    from dagster_lake.streams.sinks.sink import Sink

GROUP = "sinks"
_KINDS = {"database_table": "table", "files": "file", "event_hub": "eventhub"}
_SAID = {"database_table": "database table", "files": "folder", "event_hub": "event hub"}


def sink_key(sink: "Sink") -> dg.AssetKey:
    """``sinks/files/slow_pages``."""
    return dg.AssetKey(["sinks", sink.kind, sink.name])


def sink_assets(sinks: "list[Sink]") -> list[dg.AssetsDefinition]:
    """One asset a sink, downstream of its stream, all in one step; none when no stream declares any."""
    return [_sinks(sinks)] if sinks else []


def _sinks(sinks: "list[Sink]") -> dg.AssetsDefinition:
    by_key = {sink_key(sink): sink for sink in sinks}

    @dg.multi_asset(
        name="sinks",
        specs=[
            dg.AssetSpec(
                key,
                deps=[dg.AssetKey(["streams", sink.stream])],
                group_name=GROUP,
                kinds={_KINDS[sink.kind]},
                owners=[ProjectSettings().owner],
                automation_condition=streams_follow(),
                description=f"The final rows of streams/{sink.stream}, in the {_SAID[sink.kind]} {sink.name}.",
            )
            for key, sink in by_key.items()
        ],
        check_specs=[
            dg.AssetCheckSpec(DELIVERED, asset=key, description="The sink took the rows that it lacked.")
            for key in by_key
        ],
        can_subset=True,
        partitions_def=hourly,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool="sinks",
    )
    @tried_again
    def assets(
        context: dg.AssetExecutionContext, lake: LakeResource
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        from dagster_lake.streams.sinks.deliver import fill

        # The sensor's runs follow one another every few seconds: there, a sink that fails rests in between.
        at_once = context.run.tags.get("dagster/sensor_name") is None
        for key in (key for key in by_key if key in context.selected_asset_keys):
            started = time.monotonic()
            [filled] = fill(lake.lake, lake.settings, [by_key[key]], at_once=at_once)
            if filled.trouble is not None:
                context.log.warning(filled.trouble.why)
            yield dg.MaterializeResult(
                asset_key=key, metadata={**_metadata(filled), "seconds": round(time.monotonic() - started, 3)}
            )
            yield _check(key, filled)

    return assets


def _metadata(filled: "Filled") -> dict[str, dg.MetadataValue]:
    metadata: dict[str, dg.MetadataValue] = {
        "dagster/partition_row_count": dg.MetadataValue.int(filled.rows),
        "hours": dg.MetadataValue.int(filled.hours),
        "lacking_hours": dg.MetadataValue.int(filled.lacking),
    }
    if filled.version is not None:
        metadata["delta_version"] = dg.MetadataValue.int(filled.version)
    return metadata


def _check(key: dg.AssetKey, filled: "Filled") -> dg.AssetCheckResult:
    trouble = filled.trouble
    severity = dg.AssetCheckSeverity.ERROR if filled.refused else dg.AssetCheckSeverity.WARN
    if trouble is None:
        return dg.AssetCheckResult(
            check_name=DELIVERED,
            asset_key=key,
            passed=not filled.unset,
            severity=severity,
            description=filled.skipped,
        )
    return dg.AssetCheckResult(
        check_name=DELIVERED,
        asset_key=key,
        passed=False,
        severity=severity,
        description=trouble.why,
        metadata={
            "since": trouble.since.isoformat(),
            "tries": trouble.tries,
            "next_try": trouble.next_try.isoformat(),
        },
    )
