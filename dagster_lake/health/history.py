"""What Dagster knows of each asset: who made it last, and which of its checks fail."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import dagster as dg

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
        instance, [check for check in graph.asset_check_keys if check.asset_key in known and check.name != FRESH]
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


def _failed_checks(instance: dg.DagsterInstance, keys: list[dg.AssetCheckKey]) -> list[dg.AssetCheckKey]:
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return [key for key, record in latest.items() if record.status.value in ("FAILED", "EXECUTION_FAILED")]
