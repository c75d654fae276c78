"""Which hours of the stream tables a run computes, and which hours of silver that takes.

A row of a stream table belongs to the lake hour of its result's time, and that time is near the events' arrival, not at
it: an event may be 60 s late or 5 minutes early, a window or a join looks back for hours. So output hour ``o`` of a
model follows from the events that arrived in the hours ``o - look_back`` to ``o + 1``, and when an hour of silver is
written, every output hour that it reaches is computed again. An output hour later than all that was landed is left for
the run of that hour: nothing is said of a time that has not come. An hour that landed without an event has come: a
session may end in it. Whatever the order in which hours arrive, the tables end up the same.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

from dagster_lake.lake_hour import HOUR, hour_key, parse_hour
from dagster_lake.storage.delta.write import Pinned

AHEAD = 1
"""Hours after an output hour in which its events may still arrive: they may be late by 60 s."""


def event_hours(silver: Mapping[str, Pinned]) -> set[str]:
    """The lake hours in which any event of ``silver`` (tables by name) arrived."""
    return {hour for table in silver.values() if "_enqueued_time" in table.schema.names for hour in table.partitions()}


def arrival_rates(silver: Mapping[str, Pinned], hours: Collection[str]) -> dict[str, float]:
    """How many events a second arrived in those of ``hours`` in which any did, by data set; without those of which none
    did. From the tables' logs alone."""
    rates = {}
    for name, table in silver.items():
        here = {*hours} & {*table.partitions()} if "_enqueued_time" in table.schema.names else set()
        if here and (events := table.rows(here)):
            rates[name] = events / len(here) / HOUR.total_seconds()
    return rates


def reached_hours(written: Collection[str], events: Collection[str], look_back: int) -> list[str]:
    """The hours of a stream table that may be others once the hours ``written`` of silver are, in order.

    ``events`` are the hours of silver that hold events; ``look_back`` is the model's, in hours.
    """
    run = {parse_hour(hour) for hour in written}
    there = {*map(parse_hour, events), *run}
    reached = {hour + n * HOUR for hour in run for n in range(-AHEAD, look_back + 1)}
    # After a gap, the hours that followed the last event before it are due now.
    for hour in run:
        before = max((h for h in there if h < hour), default=None)
        if before is not None:
            reached |= {before + n * HOUR for n in range(1, look_back + 1)}
    return [hour_key(hour) for hour in sorted(reached)]


def output_hours(written: Collection[str], events: Collection[str], look_back: int, newest: str) -> list[str]:
    """Those of the reached hours whose time has come: up to ``newest``, the last that was landed, with events or
    without."""
    return [hour for hour in reached_hours(written, events, look_back) if hour <= newest]


def read_hours(outputs: Collection[str], look_back: int) -> list[str]:
    """The hours of silver that the output hours follow from, in order."""
    read: set[datetime] = set()
    for output in outputs:
        read |= {parse_hour(output) + n * HOUR for n in range(-look_back, AHEAD + 1)}
    return [hour_key(hour) for hour in sorted(read)]
