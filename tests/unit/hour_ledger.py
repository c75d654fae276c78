"""The lake hour's rules in pure Python, small enough to try every interleaving: what landing must keep and derive.

Time is a whole number of ticks and an hour is ``HOUR`` ticks, (start, end]. The real landing follows these rules;
``test_hour_ledger.py`` holds them against arbitrary orders of writes, commits, landings, crashes and expiry.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

HOUR = 10
LOOK_BACK = 3


class Crash(Exception):
    """The process dies here."""


class Refused(Exception):
    """The landing would claim to be whole when it cannot be."""


def hour_of(instant: int) -> int:
    """The number of the hour that holds ``instant``; the end of an hour belongs to it."""
    return (instant - 1) // HOUR


def end_of(hour: int) -> int:
    return (hour + 1) * HOUR


@dataclass(frozen=True, order=True)
class Row:
    updated_at: int
    key: str
    value: int


@dataclass(frozen=True)
class RawRows:
    """What a manifest says of one database hour. ``seen`` is the source's fingerprint at the last look."""

    attempts: tuple[tuple[Row, ...], ...] = ()
    complete: bool = False
    seen: frozenset[Row] | None = None

    @property
    def rows(self) -> list[Row]:
        return [row for attempt in self.attempts for row in attempt]


@dataclass
class Table:
    """A table whose writers hold a row's lock from stamping it until they commit."""

    rows: dict[str, Row] = field(default_factory=dict)
    uncommitted: dict[str, Row] = field(default_factory=dict)

    def write(self, row: Row) -> None:
        self.uncommitted[row.key] = row

    def commit(self, key: str) -> None:
        self.rows[key] = self.uncommitted.pop(key)

    def read(self, hour: int) -> list[Row]:
        return sorted(row for row in self.rows.values() if hour_of(row.updated_at) == hour)


def rows_to_add(landed: Iterable[Row], found: Iterable[Row]) -> tuple[Row, ...]:
    """The rows ``found`` that differ from the last one landed under their key and time."""
    last = {(row.key, row.updated_at): row for row in landed}
    return tuple(row for row in found if last.get((row.key, row.updated_at)) != row)


@dataclass
class RowLedger:
    """Raw of one table by hour. Each change of ``raw`` is one manifest swap, so a crash is before or after it."""

    raw: dict[int, RawRows] = field(default_factory=dict)

    def land(
        self,
        hour: int,
        table: Table,
        now: int,
        *,
        refresh: bool = False,
        between: Callable[[], object] = lambda: None,
        crash: bool = False,
    ) -> bool:
        """Lands ``hour``; ``between`` runs between the look and the read. Returns whether raw changed."""
        before = self.raw.get(hour, RawRows())
        seen = frozenset(table.read(hour))
        if before.complete and not refresh and seen == before.seen:
            return False
        between()
        added = rows_to_add(before.rows, table.read(hour))
        attempts = (*before.attempts, added) if added or not before.attempts else before.attempts
        after = RawRows(attempts, before.complete or now >= end_of(hour), seen)
        if crash:
            raise Crash
        self.raw[hour] = after
        return replace(after, seen=None) != replace(before, seen=None)

    def late(self, hour: int, table: Table) -> list[int]:
        """Of the hours before ``hour``, those whose source looks different from when it was last looked at."""
        complete = [h for h in range(hour - LOOK_BACK, hour) if h in self.raw and self.raw[h].complete]
        return [h for h in complete if frozenset(table.read(h)) != self.raw[h].seen]

    def tick(self, hour: int, table: Table, now: int) -> None:
        """What the schedule does for a closed hour: land it, and the hours before it that changed since."""
        for late in self.late(hour, table):
            self.land(late, table, now)
        self.land(hour, table, now)

    def changes(self) -> list[Row]:
        return [row for hour in sorted(self.raw) for row in self.raw[hour].rows]

    def newest(self) -> dict[str, Row]:
        """The newest row of each key, by (updated_at, position in raw)."""
        newest: dict[str, Row] = {}
        for row in self.changes():
            if row.key not in newest or row.updated_at >= newest[row.key].updated_at:
                newest[row.key] = row
        return newest


@dataclass(frozen=True, order=True)
class Event:
    enqueued: int
    partition: int
    sequence: int
    event_time: int


@dataclass(frozen=True)
class RawEvents:
    attempts: tuple[tuple[Event, ...], ...] = ()
    complete: bool = False

    @property
    def events(self) -> list[Event]:
        return sorted(event for attempt in self.attempts for event in attempt)

    def last_sequence(self, partition: int) -> int:
        return max((e.sequence for e in self.events if e.partition == partition), default=-1)


@dataclass
class Hub:
    """A partitioned log: sequence numbers follow appending, even when an earlier hour is appended later."""

    log: list[Event] = field(default_factory=list)
    next_sequence: dict[int, int] = field(default_factory=dict)
    held_since: int = 0

    def append(self, partition: int, enqueued: int, event_time: int) -> None:
        sequence = self.next_sequence.get(partition, 0)
        self.next_sequence[partition] = sequence + 1
        self.log.append(Event(enqueued, partition, sequence, event_time))

    def expire(self, before: int) -> None:
        self.held_since = max(self.held_since, before)
        self.log = [event for event in self.log if event.enqueued > before]

    def read(self, hour: int) -> list[Event]:
        return [event for event in self.log if hour_of(event.enqueued) == hour]


@dataclass
class EventLedger:
    """Raw of one hub by hour."""

    raw: dict[int, RawEvents] = field(default_factory=dict)

    def land(self, hour: int, hub: Hub, now: int, *, refresh: bool = False, crash: bool = False) -> bool:
        """Lands ``hour``. Refused when events of it may have expired unseen, unless ``refresh`` accepts that."""
        before = self.raw.get(hour, RawEvents())
        if before.complete and not refresh:
            return False
        if hub.held_since > hour * HOUR and not refresh:
            raise Refused
        added = tuple(event for event in hub.read(hour) if event.sequence > before.last_sequence(event.partition))
        attempts = (*before.attempts, added) if added or not before.attempts else before.attempts
        if crash:
            raise Crash
        self.raw[hour] = RawEvents(attempts, before.complete or now >= end_of(hour))
        return self.raw[hour] != before
