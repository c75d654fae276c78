"""What the temporal operators mean, one event at a time: naive, slow and obviously right.

Times are whole microseconds. Where the order of arrival decides, events are given in that order.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

EARLY = 300_000_000


@dataclass(frozen=True)
class Arrived:
    """An event as silver has it; the fields in canonical order."""

    arrival: int
    partition: str
    number: int
    time: int


@dataclass(frozen=True)
class Event:
    """An event of a query."""

    time: int
    key: str | None
    value: int | None


def stamped(events: Iterable[Arrived], late: int, tolerance: int, policy: str) -> dict[tuple[str, int], int]:
    """The time of each event, by partition and number, after the rules of ingest; what they drop is missing."""
    times: dict[tuple[str, int], int] = {}
    greatest: int | None = None
    for event in sorted(events, key=lambda e: (e.arrival, e.partition, e.number)):
        if event.time - event.arrival > EARLY:
            continue
        time = event.time
        if event.arrival - time > late:
            if policy == "drop":
                continue
            time = event.arrival - late
        if greatest is not None and time < greatest - tolerance:
            if policy == "drop":
                continue
            time = greatest - tolerance
        times[event.partition, event.number] = time
        greatest = time if greatest is None else max(greatest, time)
    return times


def hopping_ends(time: int, size: int, hop: int, offset: int = 0) -> list[int]:
    """The ends of all windows (end - size, end] that hold ``time``."""
    first = (time - offset) // hop - 1
    ends = [n * hop + offset for n in range(first, first + size // hop + 4)]
    return [end for end in ends if end - size < time <= end]


def sliding(events: Sequence[Event], size: int) -> list[tuple[str | None, int, list[Event]]]:
    """Key, end and content of every window (t - size, t] at whose end an event of the key enters or leaves."""
    found = []
    for key in {e.key for e in events}:
        own = [e for e in events if e.key == key]
        for end in {e.time for e in own} | {e.time + size for e in own}:
            content = [e for e in own if end - size < e.time <= end]
            if content:
                found.append((key, end, content))
    return found


def sessions(times: Iterable[int], timeout: int, longest: int) -> list[tuple[int, int, int]]:
    """Time, session's start and session's end of each event of one key, as time goes by."""
    found: list[tuple[int, int, int]] = []
    opened: int | None = None
    last = 0
    content: list[int] = []
    for time in [*sorted(times), math.inf]:
        while opened is not None:
            cut = next(t for t in _multiples(longest, opened) if t - opened >= longest)
            if cut <= last + timeout and cut < time:
                found += [(t, opened, cut) for t in content]
                opened, content = cut, []
            elif last + timeout < time:
                found += [(t, opened, last + timeout) for t in content]
                opened, content = None, []
            else:
                break
        if isinstance(time, int):
            opened = time if opened is None else opened
            last = time
            content.append(time)
    return found


def _multiples(of: int, start: int) -> Iterable[int]:
    number = start // of
    while True:
        yield number * of
        number += 1


def is_first(events: Sequence[Event], size: int, when: Callable[[Event], bool]) -> list[int]:
    """1 or 0 for each event; ``events`` in order."""
    seen = set()
    found = []
    for event in events:
        interval = (event.key, hopping_ends(event.time, size, size)[0])
        found.append(1 if when(event) and interval not in seen else 0)
        if when(event):
            seen.add(interval)
    return found


def lag(
    events: Sequence[Event], limit: int, offset: int, default: int | None, when: Callable[[Event], bool]
) -> list[int | None]:
    """For each event the value ``offset`` candidates back, itself being number 0; ``events`` in order."""
    found = []
    for position, event in enumerate(events):
        before = events[: position + 1] if offset == 0 else events[:position]
        candidates = [e for e in before if e.key == event.key and when(e)]
        back = max(offset, 1)
        seen = candidates[-back] if len(candidates) >= back else None
        found.append(seen.value if seen is not None and event.time - seen.time < limit else default)
    return found


def over_limit(events: Sequence[Event], limit: int) -> list[list[Event]]:
    """For each event the events of its key in (t - limit, t]."""
    return [[o for o in events if o.key == e.key and e.time - limit < o.time <= e.time] for e in events]


def percentile_cont(p: str, values: Iterable[int | None]) -> float | None:
    """The value at rank p * (n - 1), exactly."""
    known = sorted(v for v in values if v is not None)
    if not known:
        return None
    rank = Fraction(p) * (len(known) - 1)
    low, high = known[math.floor(rank)], known[math.ceil(rank)]
    return float(low + (high - low) * (rank - math.floor(rank)))


def percentile_disc(p: str, values: Iterable[int | None]) -> int | None:
    """The first value whose cumulative share i / n is p or more."""
    known = sorted(v for v in values if v is not None)
    return next((v for i, v in enumerate(known, 1) if Fraction(i, len(known)) >= Fraction(p)), None)


def boundaries(part: str, a: int, b: int) -> int:
    """How many boundaries of ``part`` are crossed from a to b."""
    return _boundary(part, b) - _boundary(part, a)


def _boundary(part: str, micros: int) -> int:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
    day = at.toordinal()
    lengths = {
        "hour": 3600 * 1_000_000,
        "minute": 60_000_000,
        "second": 1_000_000,
        "millisecond": 1000,
        "microsecond": 1,
    }
    numbers: dict[str, Any] = {
        "year": at.year,
        "quarter": at.year * 4 + (at.month - 1) // 3,
        "month": at.year * 12 + at.month,
        "week": day // 7,  # day 7 is 0001-01-07, a Sunday
        "day": day,
    }
    return numbers[part] if part in numbers else micros // lengths[part]
