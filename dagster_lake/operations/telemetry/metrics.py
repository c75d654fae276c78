"""A run's metrics as lines of JSON: one for the run, one for each of its assets, one for each check that failed.

They say what Dagster's UI shows. ``metric`` (run, asset, check) tells them apart. A line may come twice, and is then
the same: ``id`` tells.
"""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import dagster as dg

from dagster_lake.lake_hour import HourRange
from dagster_lake.operations.telemetry.runs import AssetWork, CheckWork, RunWork

LOGGER = "dagster_lake.metrics"
_LONGEST_TEXT = 2000
_COUNTS = {
    "rows_in": "rows_in",
    "rows_out": "dagster/partition_row_count",
    "table_rows": "dagster/row_count",
    "bytes": "bytes",
    "duplicates": "duplicates",
    "quarantined": "quarantined",
    "rescued": "rescued",
    "delta_version": "delta_version",
    "engine": "engine",
    "databricks_run_id": "databricks_run_id",
    "cost": "databricks_cost",
    "currency": "databricks_currency",
}


def lines(run: RunWork) -> Iterator[str]:
    """The lines of a run that has ended: its own, then those of each asset that it touched."""
    for document in documents(run):
        yield json.dumps(document, ensure_ascii=False)


def documents(run: RunWork) -> Iterator[dict[str, Any]]:
    """As ``lines``; a field that is not known is left out. Durations are in ms, times in UTC."""
    common = {"run_id": run.run_id, "job": run.job, "partition": run.partition}
    ended = run.ended or run.asked
    yield _known(
        **_line(ended, "run", run.run_id),
        **common,
        status=run.status.value.lower(),
        will_retry=run.will_retry,
        queue_ms=_ms(run.asked, run.started),
        duration_ms=_ms(run.started, run.ended),
        lag_ms=_lag(run.hours, ended),
        assets=sum(asset.made is not None for asset in run.assets),
        checks=sum(len(asset.checks) for asset in run.assets),
        failed_checks=sum(len(_failed(asset)) for asset in run.assets),
        error=_short(run.error),
    )
    for asset in run.assets:
        if asset.started is None and not asset.checks:
            continue  # the run ended before its turn came
        at = asset.made or ended
        yield _known(
            **_line(at, "asset", f"{run.run_id} {asset.name}"),
            **common,
            asset=asset.name,
            step=asset.step,
            status=_status(run, asset),
            duration_ms=_duration(asset, ended),
            lag_ms=_lag(run.hours, at) if asset.made else None,
            newest_event_age_ms=_age(asset.metadata.get("newest_event"), at),
            **{name: asset.metadata.get(key) for name, key in _COUNTS.items()},
            dbus=_number(asset.metadata.get("databricks_dbu")),
            checks=len(asset.checks),
            failed_checks=len(_failed(asset)),
            error=_short(asset.error),
        )
        for check in _failed(asset):
            yield _known(
                **_line(at, "check", f"{run.run_id} {asset.name} {check.name}"),
                **common,
                asset=asset.name,
                check=check.name,
                severity=check.severity,
                description=_short(check.description),
            )


def _line(at: datetime, metric: str, line_id: str) -> dict[str, Any]:
    return {
        "timestamp": at.isoformat(timespec="milliseconds"),
        "level": "info",
        "logger": LOGGER,
        "event": f"metrics of {metric} {line_id}",
        "metric": metric,
        "id": line_id,
    }


def _status(run: RunWork, asset: AssetWork) -> str:
    if asset.made is not None:
        return "made"
    if asset.step is None:
        return "checked"
    return "failed" if run.status == dg.DagsterRunStatus.FAILURE else "skipped"


def _duration(asset: AssetWork, ended: datetime) -> int | None:
    """What the step says of itself; of one that failed, the time until it, or the run, ended."""
    seconds = asset.metadata.get("seconds")
    if seconds is not None:
        return round(seconds * 1000)
    return _ms(asset.started, asset.made or ended)


def _failed(asset: AssetWork) -> list[CheckWork]:
    return [check for check in asset.checks.values() if not check.passed]


def _short(text: str | None) -> str | None:
    return text[:_LONGEST_TEXT] if text else None


def _lag(hours: HourRange | None, at: datetime) -> int | None:
    """How long after its end the last hour was done; 0 while it is open."""
    return None if hours is None else max(_ms(hours.end, at) or 0, 0)


def _age(newest: object, at: datetime) -> int | None:
    return _ms(datetime.fromisoformat(newest), at) if isinstance(newest, str) else None


def _ms(since: datetime | None, until: datetime | None) -> int | None:
    return None if since is None or until is None else (until - since) // timedelta(milliseconds=1)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _known(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
