"""What Dagster knows of each asset: who made it last, and which of its checks fail."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg
from dagster._core.definitions.assets.graph.asset_graph import AssetGraph
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from dagster_lake import clock
from dagster_lake.lake_hour import HOUR, HourRange, hour_of
from dagster_lake.operations.hourly_runs import hours_of
from dagster_lake.storage.unfinished import TAKEN_UP_HOURS

_FAILED = AssetCheckExecutionRecordStatus.FAILED

FRESH = "fresh"
"""The check whether a data set is late."""


@dataclass(frozen=True)
class AssetHistory:
    """``made_at`` and ``run_id`` are of the last materialisation, None without one. ``failed_checks`` are those
    that did not pass when they were last evaluated, but for freshness, which changes while nobody evaluates it."""

    made_at: datetime | None
    run_id: str | None
    failed_checks: tuple[str, ...]


def asset_histories(
    instance: dg.DagsterInstance, definitions: dg.Definitions, keys: Collection[dg.AssetKey]
) -> Mapping[dg.AssetKey, AssetHistory]:
    """The history of those of ``keys`` that are assets of ``definitions``."""
    graph = definitions.resolve_asset_graph()
    known = [key for key in keys if graph.has(key)]
    records = {record.asset_entry.asset_key: record for record in instance.get_asset_records(known)}
    failed = _failed_checks(
        instance, graph, [check for check in graph.asset_check_keys if check.asset_key in known and check.name != FRESH]
    )
    found = {}
    for key in known:
        made = records[key].asset_entry.last_materialization_record if key in records else None
        made_at = datetime.fromtimestamp(made.timestamp, UTC) if made else None
        found[key] = AssetHistory(
            made_at=made_at,
            run_id=made.run_id if made else None,
            failed_checks=tuple(sorted(check.name for check in failed if check.asset_key == key)),
        )
    return found


def _failed_checks(
    instance: dg.DagsterInstance, graph: AssetGraph, keys: list[dg.AssetCheckKey]
) -> list[dg.AssetCheckKey]:
    """Those that failed when they were evaluated last: one by the hour in any hour of that run. One that blocks also in
    any hour of the last two days, since bad rows stay in their hour; what warns may have passed by now."""
    history = instance.event_log_storage
    latest = history.get_latest_asset_check_execution_by_key(keys)
    failed = {key for key, record in latest.items() if record.status == _FAILED}
    by_hour = {key: record for key, record in latest.items() if record.partition is not None}
    runs = instance.get_runs(dg.RunsFilter(run_ids=sorted({r.run_id for r in by_hour.values()}))) if by_hour else []
    hours_by_run = {run.run_id: hours_of(run.tags) for run in runs}
    now = hour_of(clock.utc_now())
    recent = HourRange(now - TAKEN_UP_HOURS * HOUR, now).keys
    for key, record in by_hour.items():
        blocks = graph.get_check_spec(key).blocking
        hours = {*hours_by_run.get(record.run_id, []), *(recent if blocks else [])}
        found = history.get_asset_check_partition_info([key], partition_keys=sorted(hours))
        if any(one.latest_execution_status == _FAILED for one in found):
            failed.add(key)
    return sorted(failed)
