"""What silver and the streams must hold by what the hub's log says: event by event, in plain Python.

None of the project's SQL is used, so that a mistake in it shows. Times are microseconds since 1970, UTC, and a lake
hour is the number of hours since then at its start.
"""

import json
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dagster_lake.sources.event_hub.protocol import EventHub

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND, MINUTE, HOUR = 1_000_000, 60_000_000, 3_600_000_000
LOOK_BACK_HOURS = 24
_EARLY, _LATE, _OUT_OF_ORDER = 5 * MINUTE, MINUTE, 50 * SECOND
_METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}
_SLOW_MS = 2000
_WINDOW = 5 * MINUTE
_PAIR_MINUTES = 15

Line = tuple[int, str, int, bytes]
"""An event of the log: when it arrived, its partition, its number there, its body."""


@dataclass(frozen=True)
class Event:
    """One valid event: ``time`` is by its own clock. ``value`` is a pageview's latency in ms, or a rating's stars."""

    arrived: int
    partition: str
    number: int
    id: str
    user: int
    time: int
    value: int
    method: str = ""

    @property
    def position(self) -> tuple[int, str, int]:
        """Its place in canonical order."""
        return self.arrived, self.partition, self.number


Timed = tuple[int, Event]
"""An event with its time after the ingest rules."""


def micros(instant: datetime) -> int:
    """Microseconds since 1970."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def hour_of(at: int) -> int:
    """The lake hour that holds an instant: its end belongs to it, its start does not."""
    return -(-at // HOUR) - 1


def logged(hub: EventHub, name: str, start: datetime, end: datetime) -> Iterator[Line]:
    """Every event of the log that arrived in (start, end]."""
    for batch in hub.read(name, start, end):
        columns = (batch[column].to_pylist() for column in ("enqueued_time", "partition", "sequence_number", "body"))
        for arrived, partition, number, body in zip(*columns, strict=True):
            yield micros(arrived), partition, number, body


def valid(name: str, lines: Iterable[Line]) -> Iterator[Event]:
    """The events that break no rule of the contract."""
    for line in lines:
        try:
            event = _understood(name, line)
        except (ValueError, KeyError, TypeError):
            continue
        if event is not None:
            yield event


def _understood(name: str, line: Line) -> Event | None:
    *position, body = line
    told = json.loads(body)
    value = told["latency" if name == "pageviews" else "stars"]
    least, most = (0, 60_000) if name == "pageviews" else (1, 5)
    if not (isinstance(told["event_id"], str) and type(told["user_id"]) is int and type(value) is int):
        return None
    if not least <= value <= most or (name == "pageviews" and told["http_method"] not in _METHODS):
        return None
    if name == "pageviews" and not isinstance(told["uri"], str):
        return None
    time = micros(datetime.fromisoformat(told["event_time"]))
    return Event(*position, told["event_id"], told["user_id"], time, value, told.get("http_method", ""))


def first_copies(events: Iterable[Event]) -> list[Event]:
    """The events in canonical order, without those whose id was there in the 24 lake hours before."""
    kept: list[Event] = []
    last_seen: dict[str, int] = {}
    for event in sorted(events, key=lambda event: event.position):
        hour = hour_of(event.arrived)
        if event.id not in last_seen or hour - last_seen[event.id] > LOOK_BACK_HOURS:
            kept.append(event)
        last_seen[event.id] = hour
    return kept


def timed(events: Iterable[Event]) -> list[Timed]:
    """Each event, in canonical order, with its time after the ingest rules; early ones are left out."""
    found: list[Timed] = []
    newest: int | None = None
    for event in events:
        if event.time > event.arrived + _EARLY:
            continue
        adjusted = max(event.time, event.arrived - _LATE)
        found.append((adjusted if newest is None else max(adjusted, newest - _OUT_OF_ORDER), event))
        newest = adjusted if newest is None else max(newest, adjusted)
    return found


def places(events: Iterable[Event]) -> dict[Any, tuple[int, Any]]:
    """silver: by event id and lake hour of arrival, the hour and the place in the log."""
    return {(event.id, hour_of(event.arrived)): (hour_of(event.arrived), event.position) for event in events}


def slow_pages(views: Iterable[Timed]) -> dict[Any, tuple[int, Any]]:
    """high_latency_alerts: by event id, the hour, and latency and time."""
    return {event.id: (hour_of(at), (event.value, at)) for at, event in views if event.value > _SLOW_MS}


def pairs(views: Iterable[Timed], stars: Iterable[Timed]) -> dict[Any, tuple[int, Any]]:
    """pageviews_stars_correlation: by both event ids, the hour of the later time, and stars and that time."""
    ratings: dict[int, list[Timed]] = defaultdict(list)
    for at, star in sorted(stars, key=lambda rating: rating[0]):
        ratings[star.user].append((at, star))
    found: dict[Any, tuple[int, Any]] = {}
    for at, view in views:
        of_user, minute = ratings[view.user], at // MINUTE * MINUTE
        first = bisect_left(of_user, minute, key=lambda rating: rating[0])
        last = bisect_left(of_user, minute + (_PAIR_MINUTES + 1) * MINUTE, key=lambda rating: rating[0])
        for rated, star in of_user[first:last]:
            later = max(at, rated)
            found[view.id, star.id] = (hour_of(later), (star.value, later))
    return found


def windows(views: Iterable[Timed]) -> Counter[Any]:
    """pageviews_by_http_method_5m: by hour, method and end of the window, the number of pages."""
    ends = ((event.method, -(-at // _WINDOW) * _WINDOW) for at, event in views)
    return Counter((hour_of(end), method, end) for method, end in ends)
