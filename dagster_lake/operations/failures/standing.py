"""The failures that stand at the moment: who looks again sees the same, under the same ids."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

import dagster as dg

from dagster_lake.operations.failures.failure import Failure
from dagster_lake.operations.failures.of_dagster import dead_daemons, dead_sensors, silent_sensors
from dagster_lake.operations.failures.of_data import (
    deliveries_are_expected,
    expired_events,
    missed_hours,
    scheduled_from,
    sinks_in_trouble,
    stopped_deliveries,
)
from dagster_lake.storage.paths import Lake


def standing(
    lake: Lake, instance: dg.DagsterInstance, now: datetime, say: Callable[[str], None], *, outside: bool
) -> list[Failure]:
    """What is wrong now. One look that fails is said, and stops no other.

    ``outside`` says that the process is not Dagster's own, which alone can see that Dagster's daemon is dead; data is
    then expected to come whether or not there is a schedule.
    """
    found: list[Failure] = []
    for name, look in _looks(lake, instance, now, outside):
        try:
            found += look()
        except Exception as error:  # a table that cannot be read must not hide a daemon that died
            say(f"the look at {name} failed: {type(error).__name__}")
    return found


def _looks(
    lake: Lake, instance: dg.DagsterInstance, now: datetime, outside: bool
) -> Iterator[tuple[str, Callable[[], Iterable[Failure]]]]:
    yield "sensors", lambda: dead_sensors(instance, now)
    if outside:
        yield "daemons", lambda: dead_daemons(instance, now)
        yield "sensors' ticks", lambda: filter(None, [silent_sensors(instance, now)])
    since = scheduled_from(instance)
    if since is not None:
        yield "hours", lambda: missed_hours(lake, instance, since, now)
    yield "expired events", lambda: expired_events(lake)
    yield "sinks", lambda: sinks_in_trouble(lake, now)
    if outside or deliveries_are_expected(instance):
        yield "deliveries", lambda: stopped_deliveries(lake, now)
