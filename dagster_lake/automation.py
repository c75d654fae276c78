"""What runs by itself: the hourly run, late commits, dropped files, and a notice when a run fails."""

import json
from collections.abc import Iterator
from datetime import UTC, timedelta

import dagster as dg

from dagster_lake.assets.partitions import hourly
from dagster_lake.contract import FileSource, contracts
from dagster_lake.lake_hour import HOUR, HourRange, hour_key
from dagster_lake.resources.lake import LakeResource
from dagster_lake.storage.paths import local_path

LATE_HOURS = 3
_SETTLED_SECONDS = 5

_hourly_assets = dg.AssetSelection.groups("sources", "raw", "bronze", "silver", "quarantine", "gold", "reports")
_snapshots = [["raw", c.name] for c in contracts().values() if isinstance(c.source, FileSource)]

hourly_job = dg.define_asset_job(
    "hourly",
    selection=_hourly_assets,
    partitions_def=hourly,
    description="Everything for one lake hour, or a range of hours in one run: sources, raw, bronze, silver, gold.",
)
snapshots_job = dg.define_asset_job(
    "snapshots",
    selection=dg.AssetSelection.keys(*_snapshots).downstream() - dg.AssetSelection.groups("gold", "reports"),
    description="Snapshots dropped into the landing folder: raw, bronze, silver.",
)
jobs = [hourly_job, snapshots_job]


@dg.schedule(
    job=hourly_job,
    cron_schedule="5 * * * *",
    execution_timezone="UTC",
    description="At minute 5: closes the hour before, and lands hours anew whose database rows came in late.",
)
def close_the_hour(context: dg.ScheduleEvaluationContext, lake: LakeResource) -> Iterator[dg.RunRequest]:
    """A run for the hour that just ended, and one for each of the three hours before it that has late commits."""
    from dagster_lake.landing.land import late_commits

    now = context.scheduled_execution_time.astimezone(UTC)
    closed = now.replace(minute=0, second=0, microsecond=0) - HOUR
    yield dg.RunRequest(run_key=hour_key(closed), partition_key=hour_key(closed))
    before = HourRange(closed - LATE_HOURS * HOUR, closed - HOUR)
    late = {h for c in contracts().values() for h in late_commits(c, lake.lake, before, lake.sources)}
    for hour in sorted(late):
        yield dg.RunRequest(run_key=f"{hour_key(hour)} late {hour_key(closed)}", partition_key=hour_key(hour))


@dg.sensor(
    job=snapshots_job,
    minimum_interval_seconds=30,
    description="Materialises snapshots when files in a landing folder have changed and settled.",
)
def dropped_files(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
    """One run for all data sets whose landing folder differs from the last time, once nothing was written for 5 s."""
    from dagster_lake.landing.watch import landing_state

    seen = json.loads(context.cursor or "{}")
    now, writing = {}, False
    for contract in contracts().values():
        if isinstance(contract.source, FileSource):
            state = landing_state(local_path(lake.lake.landing(contract.name)), contract.source.format)
            now[contract.name] = state.fingerprint
            writing = writing or state.age < timedelta(seconds=_SETTLED_SECONDS)
    changed = [name for name, fingerprint in now.items() if fingerprint and fingerprint != seen.get(name)]
    if not changed:
        return dg.SkipReason("No landing folder has changed.")
    if writing:
        return dg.SkipReason(f"Files of {', '.join(changed)} were written less than {_SETTLED_SECONDS} s ago.")
    selection = [key for name in changed for key in _chain(name)]
    request = dg.RunRequest(run_key=None, asset_selection=selection, tags={"dropped": ", ".join(changed)})
    return dg.SensorResult(run_requests=[request], cursor=json.dumps(now))


def _chain(data_set: str) -> list[dg.AssetKey]:
    return [
        dg.AssetKey(path)
        for path in (
            ["raw", data_set],
            ["bronze", data_set],
            ["silver", f"{data_set}_snapshots"],
            ["quarantine", data_set],
            ["silver", data_set],
        )
    ]


@dg.run_failure_sensor(description="Writes a readable notice of a failed run to the lake's notices folder.")
def failure_notice(context: dg.RunFailureSensorContext, lake: LakeResource) -> None:
    """``<lake>/notices/<run id>.md``: what failed, why, and how to run it again."""
    from dagster_lake.notices import write_notice

    path = write_notice(lake.lake, context)
    context.log.info(f"notice written to {path}")


schedules = [close_the_hour]
sensors = [dropped_files, failure_notice]
