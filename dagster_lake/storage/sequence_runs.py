"""Which events of a hub's partition were landed: runs of consecutive sequence numbers, each with its span of time.

A number alone does not name an event: a hub that was made anew counts from 0 again. So an event is one of a run when
its number and its enqueued time both are. Consecutive runs become one only where little time lies between them, which
keeps two hubs apart and bounds what is kept of an hour: a run for each gap in the numbers and for each silent minute.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
SILENCE = timedelta(minutes=1)
"""A hub is not made anew in less; events further apart are kept in runs of their own."""
_ROUNDED = 1_000_000
"""Capture may say the time of an event in whole seconds, of which the hub itself knows the milliseconds."""


@dataclass(frozen=True)
class Run:
    """Events ``first`` to ``last`` of a partition, enqueued from ``since`` to ``until``."""

    first: int
    last: int
    since: datetime
    until: datetime


Runs = Mapping[str, tuple[Run, ...]]
"""Runs by partition, oldest first."""


def runs_of(events: pa.Table) -> dict[str, tuple[Run, ...]]:
    """The runs of some events, whose partitions are each in order."""
    found: dict[str, tuple[Run, ...]] = {}
    for partition in pc.unique(events["partition"]).to_pylist():
        own = events.filter(pc.equal(events["partition"], partition))
        found[partition] = tuple(_runs(_numbers(own), _times(own)))
    return found


def joined(*all_runs: Runs) -> dict[str, tuple[Run, ...]]:
    """The runs of all, with those as one that follow on each other."""
    partitions = dict.fromkeys(partition for runs in all_runs for partition in runs)
    return {p: _joined(run for runs in all_runs for run in runs.get(p, ())) for p in partitions}


def unseen(events: pa.RecordBatch, runs: Runs) -> pa.RecordBatch:
    """The events that are in none of the runs."""
    numbers, times = _numbers(events), _times(events)
    if not len(numbers):
        return events
    low, high = int(numbers.min()), int(numbers.max())
    seen = np.zeros(len(numbers), bool)
    for partition, known in runs.items():
        near = [run for run in known if run.first <= high and run.last >= low]
        if near:
            here = pc.equal(events.column("partition"), partition).to_numpy(zero_copy_only=False)
            for run in near:
                numbered = (numbers >= run.first) & (numbers <= run.last)
                since, until = _span(run)
                timed = (times >= since) & (times <= until)
                seen |= here & numbered & timed
    return events.filter(pa.array(~seen)) if seen.any() else events


def holds(runs: Runs, partition: str, number: int, enqueued: datetime) -> bool:
    """Whether an event of this number and time is in one of the runs."""
    time = _micros(enqueued)
    near = (_span(run) for run in runs.get(partition, ()) if run.first <= number <= run.last)
    return any(since <= time <= until for since, until in near)


def _runs(numbers: np.ndarray, times: np.ndarray) -> list[Run]:
    apart = (np.diff(numbers) != 1) | (np.abs(np.diff(times)) > SILENCE // _MICROSECOND)
    starts = np.concatenate(([0], np.flatnonzero(apart) + 1))
    ends = np.concatenate((starts[1:], [len(numbers)])) - 1
    least, most = np.minimum.reduceat(times, starts), np.maximum.reduceat(times, starts)
    return [
        Run(int(numbers[start]), int(numbers[end]), _instant(since), _instant(until))
        for start, end, since, until in zip(starts, ends, least, most, strict=True)
    ]


def _joined(runs: Iterable[Run]) -> tuple[Run, ...]:
    found: list[Run] = []
    ending: dict[int, int] = {}  # by last number, the place of the newest run that ends with it
    for run in sorted(runs, key=lambda run: (run.since, run.first)):
        place = ending.get(run.first - 1)
        if place is not None and run.since - found[place].until <= SILENCE:
            before = found[place]
            found[place] = Run(before.first, run.last, before.since, max(before.until, run.until))
            del ending[before.last]
        else:
            place = len(found)
            found.append(run)
        ending[run.last] = place
    return tuple(found)


def _span(run: Run) -> tuple[int, int]:
    """The times between which an event of the run was enqueued, in microseconds."""
    return _micros(run.since) - _ROUNDED, _micros(run.until) + _ROUNDED


def _numbers(events: pa.Table | pa.RecordBatch) -> np.ndarray:
    return events.column("sequence_number").to_numpy()


def _times(events: pa.Table | pa.RecordBatch) -> np.ndarray:
    return events.column("enqueued_time").cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy()


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // _MICROSECOND


def _instant(micros: int) -> datetime:
    return _EPOCH + int(micros) * _MICROSECOND
