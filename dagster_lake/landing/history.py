"""The initial load of a database table: hours that never landed are landed in a few long reads, one manifest an hour.

Only hours that hold rows get a manifest: in years of history most hours may be empty, and a manifest each would say
nothing more. That an hour before the newest landed one lacks a manifest means that the source had no rows of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dagster_lake import clock
from dagster_lake.commit import commit
from dagster_lake.contract.model import Contract
from dagster_lake.lake_hour import HOUR, hour_key, parse_hour
from dagster_lake.landing.attempt import AttemptFolder, locked, remove_leftovers
from dagster_lake.landing.empty_hour import empty_hour
from dagster_lake.landing.rows import columns_of, read_table
from dagster_lake.sources.database.database import Database
from dagster_lake.sources.database.dialect import WRITTEN
from dagster_lake.storage import unfinished
from dagster_lake.storage.manifest import Attempt, ManifestReplaced, landed_partitions, read_manifest, write_manifest
from dagster_lake.storage.paths import Lake

READ_ROWS = 1_000_000
"""Rows that are read in one query, about: a read ends with an hour."""

FULL_HOURS = 50
"""The newest hours get a manifest each, with rows or without: the hourly schedule looks for those that lack one."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS = HOUR // timedelta(microseconds=1)


@dataclass(frozen=True)
class History:
    """The closed hours of which the source has rows, oldest first, each with its rows; ``landed`` are in raw."""

    rows: dict[str, int]
    landed: frozenset[str]

    @property
    def missing(self) -> list[str]:
        """The hours to land."""
        return [hour for hour in self.rows if hour not in self.landed]


def history_of(contract: Contract, lake: Lake, database: Database, until: datetime) -> History:
    """Asks the source, by one scan of its times, which hours that end by ``until`` have rows; and raw what it holds."""
    counts: dict[int, int] = {}
    for batch in read_table(contract, database, pa.schema([]), written=True):
        for hour, start, end in _runs(np.sort(_hours(pc.drop_null(batch.column(WRITTEN))))):
            counts[hour] = counts.get(hour, 0) + end - start
    hours = {_EPOCH + hour * HOUR: rows for hour, rows in sorted(counts.items())}
    landed = landed_partitions(lake.raw(contract.name, sensitive=contract.sensitive))
    return History({hour_key(h): rows for h, rows in hours.items() if h + HOUR <= until}, frozenset(landed))


def land_history(
    contract: Contract, lake: Lake, database: Database, history: History, until: datetime
) -> Iterator[tuple[str, int]]:
    """Lands the missing hours, oldest first, and gives each with its rows when it is landed.

    Died meanwhile: what is landed stays, and the next time the others are landed. An hour that another landing took
    first is left to it. Those of the newest hours that have rows are noted as unfinished: the hourly schedule makes
    their tables when nobody loads again. It looks no further back, and years of hours would be as many notes.
    """
    newest = [until - back * HOUR for back in range(FULL_HOURS, 0, -1)]
    for piece in _pieces(history):
        yield from _land_piece(contract, lake, database, piece, newest[0])
    for hour in newest if history.rows or history.landed else []:
        if hour_key(hour) not in history.rows and hour_key(hour) not in history.landed:
            _publish(contract, lake, hour, [])


def _pieces(history: History) -> Iterator[list[datetime]]:
    """The missing hours, cut so that one read gives about ``READ_ROWS`` rows and none of an hour that has landed."""
    piece: list[datetime] = []
    rows = 0
    for key, count in history.rows.items():
        hour = parse_hour(key)
        if piece and (key in history.landed or rows + count > READ_ROWS):
            yield piece
            piece, rows = [], 0
        if key not in history.landed:
            piece.append(hour)
            rows += count
    if piece:
        yield piece


def _land_piece(
    contract: Contract, lake: Lake, database: Database, piece: list[datetime], noted_from: datetime
) -> Iterator[tuple[str, int]]:
    end = piece[-1] + HOUR
    found = read_table(contract, database, columns_of(contract), piece[0], end, rescued=True, written=True)
    for hour, slices in groupby(_by_hour(found), key=lambda each: each[0]):
        batches = [batch for _, batch in slices]
        if hour >= noted_from:
            unfinished.begin(lake, contract.name, [hour_key(hour)])
        _publish(contract, lake, hour, batches)
        yield hour_key(hour), sum(len(batch) for batch in batches)


def _by_hour(rows: pa.RecordBatchReader) -> Iterator[tuple[datetime, pa.RecordBatch]]:
    """Batches in order of time, cut where the hour changes."""
    for batch in rows:
        own = batch.drop_columns([WRITTEN])
        for hour, start, end in _runs(_hours(batch.column(WRITTEN))):
            yield _EPOCH + hour * HOUR, own.slice(start, end - start)


def _hours(times: pa.Array) -> np.ndarray:
    """The lake hour of each time, as hours since 1970: the end of an hour belongs to it."""
    return (times.cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy() - 1) // _MICROSECONDS


def _runs(hours: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Each run of equal values, with where it starts and ends."""
    if not len(hours):
        return
    bounds = [0, *(np.flatnonzero(np.diff(hours)) + 1).tolist(), len(hours)]
    for start, end in pairwise(bounds):
        yield int(hours[start]), start, end


def _publish(contract: Contract, lake: Lake, hour: datetime, batches: list[pa.RecordBatch]) -> None:
    """Writes the rows of an hour and its manifest, unless somebody else landed it meanwhile."""
    folder = lake.raw_partition(contract.name, hour_key(hour), sensitive=contract.sensitive)
    now = clock.utc_now()
    with locked(folder, f"{contract.name}, hour {hour_key(hour)}"):
        if read_manifest(folder) is not None:
            return
        remove_leftovers(folder, None, now)
        attempt = AttemptFolder(folder, 1)
        if batches:
            with commit(f"raw.{contract.name}.files"):
                attempt.write_parquet("rows", batches[0].schema, batches)
        landed = Attempt(1, now, tuple(attempt.files))
        manifest = replace(empty_hour(contract, hour, now), attempts=(landed,), complete=True)
        try:
            write_manifest(folder, manifest, replacing=None)
        except ManifestReplaced:
            attempt.discard()
