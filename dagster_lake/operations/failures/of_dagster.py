"""Failures of what should be running: sensors and schedules that fail, and daemons of which nothing is heard."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorTick, TickStatus

from dagster_lake.operations.failures.failure import Failure

SILENT = timedelta(minutes=3)
"""A daemon says every half minute that it lives. With a look a minute, its owner hears within five."""
FAILING_TICKS = 3
"""So many looks in a row that failed make a sensor dead; of a schedule, which comes once an hour, one does."""
RECENT = {InstigatorType.SENSOR: timedelta(minutes=15), InstigatorType.SCHEDULE: timedelta(days=1)}
"""A tick that is older says nothing of now: whatever made it is gone."""
_ON = {InstigatorStatus.RUNNING, InstigatorStatus.DECLARED_IN_CODE, InstigatorStatus.AUTOMATICALLY_RUNNING}
_GOOD = [TickStatus.SUCCESS, TickStatus.SKIPPED]
_ENDED = [*_GOOD, TickStatus.FAILURE]


def dead_sensors(instance: dg.DagsterInstance, now: datetime) -> Iterator[Failure]:
    """Sensors and schedules of which the newest ticks have all failed."""
    for state in _states(instance):
        sensor = state.instigator_type == InstigatorType.SENSOR
        newest = _ticks(instance, state, _ENDED, FAILING_TICKS if sensor else 1)
        if not newest or now - _at(newest[0]) > RECENT[state.instigator_type]:
            continue
        if (sensor and len(newest) < FAILING_TICKS) or any(tick.status != TickStatus.FAILURE for tick in newest):
            continue
        good = _ticks(instance, state, _GOOD, 1)
        since = f"{_at(good[0]):%Y-%m-%dT%H:%M:%SZ}" if good else "never"
        what = "sensor" if sensor else "schedule"
        yield Failure(
            "dead_sensor",
            f"{state.instigator_name} {since}",
            _at(newest[-1]),
            (),
            f"the {what} {state.instigator_name} fails each time it looks; it last worked: {since}",
            f"read the error in Dagster (Automation, {state.instigator_name}, the newest tick) and mend it; what it "
            "missed is taken up by itself",
        )


def silent_sensors(instance: dg.DagsterInstance, now: datetime) -> Failure | None:
    """That no sensor has looked for a while though the daemon lives: the code does not load."""
    beats = instance.get_daemon_heartbeats()
    daemon = beats.get("SENSOR")
    if daemon is None or now - _instant(daemon.timestamp) > SILENT:
        return None  # which is told as the daemon's failure
    states = [state for state in _states(instance) if state.instigator_type == InstigatorType.SENSOR]
    ticks = [_at(tick) for state in states for tick in _ticks(instance, state, _ENDED, 1)]
    if not ticks or now - max(ticks) <= SILENT:
        return None
    since = f"{max(ticks):%Y-%m-%dT%H:%M:%SZ}"
    return Failure(
        "dead_sensor",
        f"all {since}",
        max(ticks),
        (),
        f"no sensor has looked since {since}, though Dagster's daemon lives",
        "see Dagster, Deployment: does the code location load? Mend what it says, then Reload",
    )


def dead_daemons(instance: dg.DagsterInstance, now: datetime) -> Iterator[Failure]:
    """That Dagster's daemon is dead, or one of its threads is, by the heartbeats that they write.

    A daemon that never ran is none that died.
    """
    required = instance.get_required_daemon_types()
    beats = {
        name: _instant(beat.timestamp) for name, beat in instance.get_daemon_heartbeats().items() if name in required
    }
    if not beats:
        return
    newest = max(beats.values())
    if now - newest > SILENT:
        yield _daemon_failure("Dagster's daemon", newest, "no schedule and no sensor runs")
        return
    for name, beat in sorted(beats.items()):
        if newest - beat > SILENT:
            yield _daemon_failure(f"the thread {name} of Dagster's daemon", beat, "the others live")


def _daemon_failure(who: str, beat: datetime, hence: str) -> Failure:
    since = f"{beat:%Y-%m-%dT%H:%M:%SZ}"
    return Failure(
        "dead_daemon",
        f"{who} {since}",
        beat,
        (),
        f"{who} has not been heard since {since}: {hence}",
        "start it again (lake dev, or restart the container of the daemon); missed hours are taken up by themselves",
    )


def _states(instance: dg.DagsterInstance) -> list[InstigatorState]:
    if instance.schedule_storage is None:
        return []  # an instance in memory
    return [s for s in instance.all_instigator_state() if s.status in _ON and s.instigator_type in RECENT]


def _ticks(
    instance: dg.DagsterInstance, state: InstigatorState, statuses: list[TickStatus], most: int
) -> list[InstigatorTick]:
    return list(instance.get_ticks(state.instigator_origin_id, state.selector_id, limit=most, statuses=statuses))


def _at(tick: InstigatorTick) -> datetime:
    return _instant(tick.timestamp)


def _instant(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)
