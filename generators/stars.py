"""Star ratings that follow some sessions. Row k is the rating of one pageview, the last of its session.

Every 50 pageviews have one rating: session blocks (32 views of one lane) are numbered, and row k draws one of the
blocks numbered k*50//32 .. (k+1)*50//32-1, so no session is rated twice and no other row need be computed.
"""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa

from generators import pageviews, sessions
from generators.columns import UTC_TIME, chunks, required, times, uuids
from generators.counter import Ints, below, stream
from generators.pace import HOUR, MICROSECONDS, microseconds
from generators.world import World, require_hour_start

NAME = "stars"
SCHEMA = pa.schema(
    [
        required("event_id", pa.string()),
        required("user_id", pa.int64()),
        required("stars", pa.int64()),
        required("event_time", UTC_TIME),
    ]
)

VIEWS_PER_STAR = 50
SLOW_LATENCY = 1_000

_SOONEST, _LATEST = 10 * MICROSECONDS, 600 * MICROSECONDS
_NETWORK_DELAY = 2 * MICROSECONDS
_CANDIDATES_AT_ONCE = 8_192
_USUAL_STARS = np.repeat(np.arange(1, 6), [2, 3, 7, 14, 14])
_STARS_AFTER_SLOW = np.repeat(np.arange(1, 6), [20, 12, 4, 2, 2])


def batches(world: World, start_row: int, stop_row: int, batch_rows: int = 65_536) -> Iterator[pa.RecordBatch]:
    """The clean ratings start_row..stop_row-1, by row (arrival only roughly follows the row)."""
    for rows in chunks(start_row, stop_row, batch_rows):
        yield rows_at(world, rows)


def rows_at(world: World, rows: Ints) -> pa.RecordBatch:
    """The clean ratings at these rows: 1 to 5 stars, mostly 1 or 2 after a page slower than 1000 ms."""
    rated = pageview_rows(world, rows)
    slow = pageviews.latencies(world, rated) > SLOW_LATENCY
    draw = below(stream(world.seed, NAME, "stars"), rows, len(_USUAL_STARS))
    columns = [
        keys(world, rows),
        pa.array(pageviews.user_ids(world, rated)),
        pa.array(np.where(slow, _STARS_AFTER_SLOW[draw], _USUAL_STARS[draw])),
        times(event_times(world, rows)),
    ]
    return pa.record_batch(columns, schema=SCHEMA)


def pageview_rows(world: World, rows: Ints) -> Ints:
    """The pageview row that each rating belongs to."""
    first = rows * VIEWS_PER_STAR // sessions.BLOCK
    count = (rows + 1) * VIEWS_PER_STAR // sessions.BLOCK - first
    pair = first + below(stream(world.seed, NAME, "block"), rows, count)
    place = below(stream(world.seed, NAME, "session"), rows, sessions.BLOCK)
    return sessions.last_row(world, pair, place)


def keys(world: World, rows: Ints) -> pa.Array:
    """The event ids: UUIDs."""
    return uuids(stream(world.seed, NAME, "id_high"), stream(world.seed, NAME, "id_low"), rows)


def user_ids(world: World, rows: Ints) -> Ints:
    """The user of each rating: its pageview's."""
    return pageviews.user_ids(world, pageview_rows(world, rows))


def began(world: World) -> int:
    """Since when there are any, in microseconds."""
    return microseconds(world.epoch)


def arrivals(world: World, rows: Ints) -> Ints:
    """When each rating reaches the event hub: 10 to 600 s after its pageview's event time, in microseconds."""
    return event_times(world, rows) + below(stream(world.seed, NAME, "delay"), rows, _NETWORK_DELAY + 1)


def event_times(world: World, rows: Ints) -> Ints:
    """When each rating was given, in microseconds."""
    pause = _SOONEST + below(stream(world.seed, NAME, "pause"), rows, _LATEST - _NETWORK_DELAY - _SOONEST + 1)
    return pageviews.event_times(world, pageview_rows(world, rows)) + pause


def rows_of_hour(world: World, hour: datetime) -> Ints:
    """The rows of the ratings that arrive in the lake hour (hour, hour + 1 h], in order of arrival."""
    require_hour_start(hour, "hour")
    start = microseconds(hour)
    return _rows_between(world, start, start + HOUR)


def clean_hour(world: World, hour: datetime) -> pa.Table:
    """The clean ratings that arrive in one lake hour, in order of arrival."""
    return pa.Table.from_batches([rows_at(world, rows_of_hour(world, hour))], SCHEMA)


def slices_of_hour(world: World, hour: datetime, slice_rows: int) -> Iterator[Ints]:
    """The rows of one lake hour in order of arrival, about `slice_rows` at a time: a slice of time each."""
    views = len(pageviews.rows_of_hour(world, hour))
    parts = views // VIEWS_PER_STAR // slice_rows + 1
    edges = microseconds(hour) + np.arange(parts + 1, dtype=np.int64) * HOUR // parts
    for start, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        rows = _rows_between(world, start, end)
        if len(rows):
            yield rows


def rows_near(world: World, moments: Ints) -> Ints:
    """A row that arrived around the time before each moment (microseconds); -1 when there is none."""
    return pageviews.rows_near(world, moments - (_SOONEST + _LATEST) // 2) // VIEWS_PER_STAR


def _rows_between(world: World, start: int, end: int) -> Ints:
    """The rows that arrive in (start, end] microseconds, in order of arrival."""
    candidates = _candidates(world, start, end)
    # In small chunks: of a busy hour's candidates, which span 10 minutes and more, a short slice keeps few.
    found_rows, found_arrivals = [], []
    for rows in chunks(candidates.start, candidates.stop, _CANDIDATES_AT_ONCE):
        arrived = arrivals(world, rows)
        inside = (arrived > start) & (arrived <= end)
        found_rows.append(rows[inside])
        found_arrivals.append(arrived[inside])
    return np.concatenate(found_rows)[np.argsort(np.concatenate(found_arrivals), kind="stable")]


def _candidates(world: World, start: int, end: int) -> range:
    """Every row whose pageview may have arrived from 600 s before `start` to `end`."""
    earliest, latest = pageviews.arrival_pace(world).rows_until(np.array([start - _LATEST, end])).tolist()
    lane_count = sessions.lanes(world)
    block_rows = sessions.BLOCK * lane_count
    first_pair = earliest // block_rows * lane_count
    last_pair = ((latest + 2) // block_rows + 1) * lane_count
    first = max(0, first_pair * sessions.BLOCK // VIEWS_PER_STAR - 1)
    return range(first, last_pair * sessions.BLOCK // VIEWS_PER_STAR + 2)
