"""What Dagster knows of each asset: who made it last, whether it is late, which of its checks fail."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import dagster as dg

Freshness = Literal["fresh", "late", "unknown", "none"]


@dataclass(frozen=True)
class AssetHistory:
    """``made_at`` and ``run_id`` are of the last materialisation, None without one. ``freshness`` holds that against
    the asset's policy: none without a policy, unknown of what was never materialised. ``failed_checks`` are those that
    did not pass when they were last evaluated."""

    made_at: datetime | None
    run_id: str | None
    freshness: Freshness
    failed_checks: tuple[str, ...]


def asset_histories(
    instance: dg.DagsterInstance, definitions: dg.Definitions, keys: Collection[dg.AssetKey], now: datetime
) -> Mapping[dg.AssetKey, AssetHistory]:
    """The history of those of ``keys`` that are assets of ``definitions``."""
    graph = definitions.resolve_asset_graph()
    known = [key for key in keys if graph.has(key)]
    records = {record.asset_entry.asset_key: record for record in instance.get_asset_records(known)}
    failed = _failed_checks(instance, [check for check in graph.asset_check_keys if check.asset_key in known])
    found = {}
    for key in known:
        made = records[key].asset_entry.last_materialization_record if key in records else None
        made_at = datetime.fromtimestamp(made.timestamp, UTC) if made else None
        found[key] = AssetHistory(
            made_at=made_at,
            run_id=made.run_id if made else None,
            freshness=_freshness(graph.get(key), made_at, now),
            failed_checks=tuple(sorted(check.name for check in failed if check.asset_key == key)),
        )
    return found


def _freshness(node: Any, made_at: datetime | None, now: datetime) -> Freshness:
    window = getattr(node.freshness_policy_or_from_metadata, "fail_window", None)
    if window is None:
        return "none"
    if made_at is None:
        return "unknown"
    return "late" if now - made_at > window.to_timedelta() else "fresh"


def _failed_checks(instance: dg.DagsterInstance, keys: list[dg.AssetCheckKey]) -> list[dg.AssetCheckKey]:
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    return [key for key, record in latest.items() if record.status.value in ("FAILED", "EXECUTION_FAILED")]
