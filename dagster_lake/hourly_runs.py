"""The hourly job's runs of late, by hour: what is queued or under way need not be asked for again, and what has failed
again and again is tried less and less often."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg

from dagster_lake.lake_hour import HOUR, HourRange

JOB = "hourly"
_LONGEST = 16 * HOUR
_EARLY = timedelta(minutes=30)
"""A run is created some time after the tick that asked for it."""
_MOST_RUNS = 1_000
_ENDED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


@dataclass(frozen=True)
class HourRuns:
    """The runs of one hour: how many have ended, when the newest was created, and whether one is still to end."""

    ended: int
    newest: datetime
    pending: bool

    def may_run_again(self, now: datetime) -> bool:
        """Whether it is time again: an hour after the first run, then two, four, eight and sixteen hours later."""
        pause = min(2 ** max(self.ended - 1, 0) * HOUR, _LONGEST) - _EARLY
        return now >= self.newest + pause


def hourly_runs(context: dg.ScheduleEvaluationContext, hours: int) -> dict[str, HourRuns]:
    """The runs that were created in the last so many hours, by the lake hours that they are for."""
    if context.instance_ref is None:
        return {}  # evaluated by hand
    since = datetime.now(UTC) - hours * HOUR
    records = context.instance.get_run_records(dg.RunsFilter(job_name=JOB, created_after=since), limit=_MOST_RUNS)
    found: dict[str, HourRuns] = {}
    for record in records:
        run, created = record.dagster_run, record.create_timestamp.astimezone(UTC)
        for hour in _hours_of(run):
            known = found.get(hour, HourRuns(0, created, False))
            ended = run.status in _ENDED
            found[hour] = HourRuns(known.ended + ended, max(known.newest, created), known.pending or not ended)
    return found


def _hours_of(run: dg.DagsterRun) -> Iterable[str]:
    if hour := run.tags.get("dagster/partition"):
        return [hour]
    first = run.tags.get("dagster/asset_partition_range_start")
    last = run.tags.get("dagster/asset_partition_range_end")
    return HourRange.of(first, last).keys if first and last else []
