"""The hourly job's runs of late, by hour: what is queued or under way need not be asked for again, what has failed
again and again is tried less and less often, and a range that failed is tried in smaller ones."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
    SCHEDULE_NAME_TAG,
)

from dagster_lake.lake_hour import HOUR, HourRange, parse_hour

JOB = "hourly"
CLOSE_THE_HOUR = "close_the_hour"
"""The schedule that asks for it."""
_LONGEST = 16 * HOUR
_EARLY = timedelta(minutes=30)
"""A run is created some time after the tick that asked for it."""
_LOST_AFTER = timedelta(minutes=10)
"""A run that was made and is not even queued after this time never will be: the tick that made it failed half-way."""
_MOST_RUNS = 1_000
_PIECES = 4
"""A range that failed is asked for in so many, and those of them that fail in as many again: an hour that spoils a
range of two days is alone after three ticks."""
_ENDED = {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED}


@dataclass(frozen=True)
class HourRuns:
    """The runs of one hour: how many have ended, when the newest was created, and whether one is still to end.

    ``most`` is the longest range in which the hour may be asked for again. A range that failed counts as no run that
    has ended, for another of its hours may be why it did.
    """

    ended: int
    newest: datetime
    pending: bool
    most: int | None = None
    failed: bool = False

    def may_run_again(self, now: datetime) -> bool:
        """Whether it is time again: an hour after the first run, then two, four, eight and sixteen hours later."""
        pause = min(2 ** max(self.ended - 1, 0) * HOUR, _LONGEST) - _EARLY
        return now >= self.newest + pause


def hourly_runs(context: dg.ScheduleEvaluationContext, hours: int) -> dict[str, HourRuns]:
    """The runs that were created in the last so many hours, by the lake hours that they are for."""
    if context.instance_ref is None:
        return {}  # evaluated by hand
    now = datetime.now(UTC)
    since = now - hours * HOUR
    records = context.instance.get_run_records(dg.RunsFilter(job_name=JOB, created_after=since), limit=_MOST_RUNS)
    found: dict[str, HourRuns] = {}
    for record in records:  # the newest first
        run, created = record.dagster_run, record.create_timestamp.astimezone(UTC)
        asked = hours_of(run.tags)
        if run.status == dg.DagsterRunStatus.NOT_STARTED and created < now - _LOST_AFTER:
            continue
        ended, failed = run.status in _ENDED, run.status in _ENDED - {dg.DagsterRunStatus.SUCCESS}
        most = max(1, -(-len(asked) // _PIECES)) if failed else None
        counts = int(ended and not (failed and len(asked) > 1))
        for hour in asked:
            known = found.get(hour, HourRuns(0, created, False, most, failed))
            found[hour] = HourRuns(
                known.ended + counts, known.newest, known.pending or not ended, known.most, known.failed
            )
    return found


def scheduled_since(context: dg.ScheduleEvaluationContext, schedule: str, closed: datetime) -> datetime | None:
    """The first hour that the schedule has asked for; ``closed``, the one of this tick, where it never has; None for a
    schedule that is evaluated by hand."""
    if context.instance_ref is None:
        return None
    own = dg.RunsFilter(job_name=JOB, tags={SCHEDULE_NAME_TAG: schedule})
    runs = context.instance.get_runs(own, limit=1, ascending=True)
    hours = hours_of(runs[0].tags) if runs else []
    return parse_hour(hours[0]) if hours else closed


def requests(why: Mapping[str, str], runs: Mapping[str, HourRuns], closed: str) -> Iterator[dg.RunRequest]:
    """A run for each range of consecutive hours that are asked for, by hour, for the same reason."""
    for hours in _ranges(why, runs):
        first, last = hours.keys[0], hours.keys[-1]
        reason = f"{why[first]} {closed}"
        if len(hours) == 1:
            yield dg.RunRequest(run_key=f"{first} {reason}", partition_key=first)
        else:
            tags = {ASSET_PARTITION_RANGE_START_TAG: first, ASSET_PARTITION_RANGE_END_TAG: last}
            yield dg.RunRequest(run_key=f"{first}...{last} {reason}", tags=tags)


def hours_of(tags: Mapping[str, str], partition: str | None = None) -> list[str]:
    """The hours that a run with these tags is for, or one that is asked for with them and a ``partition``."""
    if hour := partition or tags.get(PARTITION_NAME_TAG):
        return [hour]
    first, last = tags.get(ASSET_PARTITION_RANGE_START_TAG), tags.get(ASSET_PARTITION_RANGE_END_TAG)
    return HourRange.of(first, last).keys if first and last else []


def _ranges(why: Mapping[str, str], runs: Mapping[str, HourRuns]) -> Iterator[HourRange]:
    hours: HourRange | None = None
    most = 0
    for key in sorted(why):
        hour = parse_hour(key)
        known = runs.get(key)
        own = known.most if known is not None and known.most is not None else len(why)
        if hours is not None and hour == hours.end and why[key] == why[hours.keys[0]] and len(hours) < min(most, own):
            hours, most = HourRange(hours.first, hour), min(most, own)
            continue
        if hours is not None:
            yield hours
        hours, most = HourRange(hour, hour), own
    if hours is not None:
        yield hours
