"""Failures that are in what did not happen: an hour that nobody landed or that expired, and data that is delivered
no more."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorStatus, ScheduleInstigatorData

from dagster_lake.contract.model import Contract, EventHubSource, contracts
from dagster_lake.lake_hour import HOUR, HourRange, hour_of, parse_hour
from dagster_lake.landing.expired import expired_hours
from dagster_lake.landing.land import lacking_hours
from dagster_lake.operations.failures.failure import Failure
from dagster_lake.operations.health.newest_data import newest_data
from dagster_lake.operations.hourly_runs import CLOSE_THE_HOUR, JOB, hours_of
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.unfinished import TAKEN_UP_HOURS
from dagster_lake.streams.sinks.trouble import troubles

CLOSED_AFTER = timedelta(minutes=20)
"""The schedule closes an hour five minutes after its end; with its run, it should have landed by then."""
WATCHES = "publish_lake_status"
SINKS_TOLD_AFTER = timedelta(minutes=2)
"""What passes by itself is told to nobody."""


def scheduled_from(instance: dg.DagsterInstance) -> datetime | None:
    """Since when the hours are closed by the schedule; None while it is off, and nobody expects them."""
    if instance.schedule_storage is None:
        return None  # an instance in memory
    for state in instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE):
        data = state.instigator_data
        if (
            state.instigator_name == CLOSE_THE_HOUR
            and state.status == InstigatorStatus.RUNNING
            and isinstance(data, ScheduleInstigatorData)
            and data.start_timestamp is not None
        ):
            return datetime.fromtimestamp(data.start_timestamp, UTC)
    return None


def deliveries_are_expected(instance: dg.DagsterInstance) -> bool:
    """Whether a schedule is on that lands or watches data; without any, a lake at rest on a laptop lacks nothing."""
    if instance.schedule_storage is None:
        return False  # an instance in memory
    schedules = instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    on = {state.instigator_name for state in schedules if state.status == InstigatorStatus.RUNNING}
    return bool(on & {CLOSE_THE_HOUR, WATCHES})


def missed_hours(lake: Lake, instance: dg.DagsterInstance, since: datetime, now: datetime) -> Iterator[Failure]:
    """Hours that ended ``since`` and were not landed 20 minutes later; where a run of them failed, that is told."""
    last = hour_of(now - CLOSED_AFTER) - HOUR
    first = max(hour_of(since), last - TAKEN_UP_HOURS * HOUR)
    if first > last:
        return
    failed = set(_failed_hours(instance, now))
    for contract in contracts().values():
        if contract.cadence == "hourly":
            lacking = lacking_hours(lake, contract, HourRange(first, last))
            yield from (_missed(contract, hour) for hour in lacking if hour not in failed)


def _failed_hours(instance: dg.DagsterInstance, now: datetime) -> Iterator[str]:
    failed = dg.RunsFilter(
        job_name=JOB, statuses=[dg.DagsterRunStatus.FAILURE], created_after=now - (TAKEN_UP_HOURS + 2) * HOUR
    )
    for run in instance.get_runs(failed, limit=1_000):
        yield from hours_of(run.tags)


def _missed(contract: Contract, hour: str) -> Failure:
    return Failure(
        "missed_hour",
        f"{contract.name} {hour}",
        parse_hour(hour) + HOUR,
        (contract.name,),
        f"{contract.name} of {hour} was not landed {CLOSED_AFTER / timedelta(minutes=1):.0f} minutes after it ended",
        "see Dagster, Runs: does the hour's run wait, or was there none? The schedule close_the_hour takes up missed "
        "hours by itself, two days back; older ones: docs/operations.md, many hours again",
    )


def expired_events(lake: Lake) -> Iterator[Failure]:
    """Data sets of which events may have expired in their hub before they were landed, in the last two days."""
    for contract in contracts().values():
        if isinstance(contract.source, EventHubSource) and (hours := expired_hours(contract, lake, TAKEN_UP_HOURS)):
            yield Failure(
                "missed_hour",
                f"{contract.name} {hours[0]} expired",
                parse_hour(hours[0]) + HOUR,
                (contract.name,),
                f"events of {contract.name} may have expired in the hub before they were landed, in {len(hours)} hours "
                f"from {hours[0]} to {hours[-1]}; what was left is landed",
                "have the lost events sent again, or accept the loss: land the hours with refresh: true",
            )


def stopped_deliveries(lake: Lake, now: datetime) -> Iterator[Failure]:
    """Data sets whose newest data is older than their contract's latency. What was never delivered did not stop."""
    for newest in newest_data(lake, contracts().values()):
        if newest.until is not None and newest.is_late(now):
            yield Failure(
                "stopped_delivery",
                f"{newest.data_set} {newest.until:%Y-%m-%dT%H:%M:%SZ}",
                newest.until + newest.most,
                (newest.data_set,),
                f"{newest.data_set} is delivered no more: {newest.said(now)}",
                "ask whoever delivers it; what comes late is landed by itself",
            )


def sinks_in_trouble(lake: Lake, now: datetime) -> Iterator[Failure]:
    """Sinks that have not taken their rows for some minutes."""
    for trouble in troubles(lake, now):
        if now - trouble.since >= SINKS_TOLD_AFTER:
            yield Failure(
                "sink_in_trouble",
                f"{trouble.who} {trouble.since:%Y-%m-%dT%H:%M:%SZ}",
                trouble.since,
                trouble.data_sets,
                f"the {trouble.who} has not taken its rows since {trouble.since:%Y-%m-%dT%H:%M:%SZ}, in "
                f"{trouble.tries} tries",
                "lake status says why; what it lacks is sent when it is mended, by the next run",
            )
