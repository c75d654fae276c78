"""Up to when a stream's rows can no longer change: what its macro ``is_final`` is told.

A row of time t stays as it is when no event can come any more that is given a time up to t: when all events are known
that arrived up to t and as long after it as events may be late. What is known in an output hour follows from the hours
of raw that it is computed of, and from nothing else, so that it is the same whatever the order in which they land.
Those before it must be landed whole; one that never landed holds nothing, as for the rows themselves. Only of a stream
that is silent in an open hour more may be known: what ``storage.settled`` has noted.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from dagster_lake.contract.model import Contract
from dagster_lake.dbt_runner.recompute import EVERYTHING
from dagster_lake.dbt_runner.stream_hours import AHEAD, event_hours
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, parse_hour
from dagster_lake.storage.delta.write import Pinned
from dagster_lake.storage.duckdb.files import reading
from dagster_lake.storage.duckdb.scan import scan_sql
from dagster_lake.storage.manifest import read_manifest
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.settled import settled_notes
from dagster_lake.storage.unfinished import unfinished

SETTLES = timedelta(seconds=10)
"""How long before the newest event of an open hour all have landed: brokers' clocks differ."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Run = list[int]
"""[start, end, known]: of the results in (start, end], those are final that no event after ``known`` can change; in
microseconds since 1970."""


def final_runs(
    lake: Lake,
    contracts: Mapping[str, Contract],
    silver: Mapping[str, Pinned],
    outputs: Mapping[int, Collection[str]],
) -> dict[str, dict[str, list[Run]]]:
    """By look-back and data set of events: what is known in the ``outputs``, the output hours of that look-back.

    ``silver`` are the pinned tables by name.
    """
    of_events = {name: table for name, table in silver.items() if "_enqueued_time" in table.schema.names}
    known = _Known(lake, contracts, of_events)
    return {
        str(look_back): {name: _runs(name, sorted(map(parse_hour, hours)), look_back, known) for name in of_events}
        for look_back, hours in outputs.items()
    }


def output_hours_told(variables: Mapping[str, Any], silver: Mapping[str, Pinned], look_back: int) -> list[str]:
    """The output hours of a look-back that the variables of ``stream_recomputation`` say, each by its key."""
    told = variables["stream_hours"]
    if told != EVERYTHING:
        return list(told[str(look_back)])
    events, newest = event_hours(silver), variables["newest_hour"]
    if not events:
        return []
    first = parse_hour(min(events)) - AHEAD * HOUR  # what is early or late may fall outside of its hour
    return HourRange(first, parse_hour(newest)).keys


class _Known:
    """What silver was made of, asked once an hour and data set."""

    def __init__(self, lake: Lake, contracts: Mapping[str, Contract], silver: Mapping[str, Pinned]) -> None:
        self._lake = lake
        self._contracts = contracts
        self._silver = silver
        self._there = {name: {*table.partitions()} for name, table in silver.items()}
        self._behind = {(what, hour) for hour, names in unfinished(lake).items() for what in names}
        self._settled = settled_notes(lake)
        self._found: dict[tuple[str, datetime], datetime | None] = {}

    def until(self, data_set: str, start: datetime) -> datetime | None:
        """Up to which arrival silver holds all events of an hour; None when the hour never landed."""
        asked = (data_set, start)
        if asked not in self._found:
            self._found[asked] = self._look(data_set, start)
        return self._found[asked]

    def _look(self, data_set: str, start: datetime) -> datetime | None:
        hour = hour_key(start)
        here = hour in self._there[data_set]
        contract = self._contracts.get(data_set)
        sensitive = contract is not None and contract.sensitive
        manifest = read_manifest(self._lake.raw_partition(data_set, hour, sensitive=sensitive))
        if manifest is None:  # raw was forgotten, which happens to whole hours only; or it never was
            return start + HOUR if here else None
        if manifest.complete and (data_set, hour) not in self._behind:
            return start + HOUR
        newest = self._newest(data_set, hour) if here else None
        by_rows = start if newest is None else max(newest - SETTLES, start)
        return min(max(by_rows, self._noted(data_set, start)), start + HOUR)

    def _noted(self, data_set: str, start: datetime) -> datetime:
        """Up to when somebody has noted that silver holds all events of the hour, though none came."""
        noted = self._settled.get(data_set)
        if noted is None or self._silver[data_set].version < noted.version or noted.until > start + HOUR:
            return start
        return noted.until

    def _newest(self, data_set: str, hour: str) -> datetime | None:
        """When the newest event of an open hour arrived, of those that silver holds: raw may be ahead of it."""
        table = self._silver[data_set]
        with reading(table.uri) as con:
            found = con.sql(f"SELECT epoch_us(max(_enqueued_time)) FROM ({scan_sql(table, [hour])})").fetchall()
        return None if found[0][0] is None else _EPOCH + timedelta(microseconds=found[0][0])


def _runs(data_set: str, hours: Iterable[datetime], look_back: int, known: _Known) -> list[Run]:
    runs: list[Run] = []
    for hour in hours:
        until = _known_in(data_set, hour, look_back, known)
        run = [_micros(hour), _micros(hour + HOUR), _micros(until)]
        whole = runs and runs[-1][2] == _micros(hour + HOUR)  # of the run so far, the hour after it is known whole
        if whole and runs[-1][1] == run[0] and until >= hour + HOUR:
            run[0] = runs.pop()[0]
        if until > hour:
            runs.append(run)
    return runs


def _known_in(data_set: str, hour: datetime, look_back: int, known: _Known) -> datetime:
    """Up to which arrival all is known that the results of an output hour follow from."""
    limit = hour + (1 + AHEAD) * HOUR
    for back in range(look_back, 0, -1):
        before = known.until(data_set, hour - back * HOUR)
        if before is not None and before < hour - (back - 1) * HOUR:
            limit = min(limit, before)
    for ahead in range(AHEAD + 1):
        start = hour + ahead * HOUR
        until = known.until(data_set, start) or start
        if until < start + HOUR:
            return min(limit, until)
    return limit


def _micros(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1)
