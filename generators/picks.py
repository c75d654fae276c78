"""Which rows each kind of dirt touches. The lines and the dirt manifest both ask here, so they cannot disagree."""

from typing import cast

import numpy as np
import pyarrow as pa

from generators.catalog import EVENTS, ArrivingRows, TextRows
from generators.columns import text_of, uuids
from generators.counter import Bools, Ints, below, chance, stream
from generators.dials import Dirt, Kind
from generators.pace import MICROSECONDS
from generators.world import World

_FRESH_IDS = 1_000_000_000_000
_MISSING_PRODUCTS = 1_000
_SOONEST_COPY, _LATEST_COPY = MICROSECONDS, 3 * 3_600 * MICROSECONDS
_AIMED_COPY_SECONDS = 9_000
_COPY_WITHIN_LINES = 1_000
_SHORTEST_LATENESS, _LONGEST_LATENESS = 300 * MICROSECONDS, 6 * 3_600 * MICROSECONDS


def touched(world: World, data_set: str, kind: Kind, dirt: Dirt, rows: Ints) -> Bools:
    """Which of the rows have this kind of dirt."""
    return chance(stream(world.seed, data_set, "dirt", kind), rows, dirt.rate(kind, data_set))


def copies(world: World, source: TextRows, dirt: Dirt, rows: Ints) -> tuple[Ints, Ints]:
    """Duplicates that come right after some of `rows`: (place in `rows`, the earlier row that is sent again)."""
    places = np.flatnonzero(touched(world, source.NAME, Kind.DUPLICATE, dirt, rows))
    key = stream(world.seed, source.NAME, "dirt", "copy")
    after = rows[places]
    if source.NAME not in EVENTS:
        return places, after - below(key, after, np.minimum(after + 1, _COPY_WITHIN_LINES))
    events = cast(ArrivingRows, source)
    now = events.arrivals(world, after)
    age = (now - events.began(world)) // MICROSECONDS
    back = _SOONEST_COPY + below(key, after, np.clip(age, 1, _AIMED_COPY_SECONDS)) * MICROSECONDS
    again = events.rows_near(world, now - back)
    # Where events are far apart, the nearest one may be outside the time allowed: then nothing is sent again.
    gap = now - events.arrivals(world, np.maximum(again, 0))
    possible = (again >= 0) & (gap >= _SOONEST_COPY) & (gap <= _LATEST_COPY)
    return places[possible], again[possible]


def lateness(world: World, data_set: str, rows: Ints) -> Ints:
    """How long before arrival a late row's event time is, in microseconds."""
    seconds = (_LONGEST_LATENESS - _SHORTEST_LATENESS) // MICROSECONDS
    return _SHORTEST_LATENESS + below(stream(world.seed, data_set, "dirt", "lateness"), rows, seconds) * MICROSECONDS


def fresh_keys(world: World, data_set: str, rows: Ints) -> pa.Array:
    """For the invalid row derived from each row, a key as text that no clean row has."""
    if data_set in EVENTS:
        high, low = (stream(world.seed, data_set, "dirt", half) for half in ("fresh_high", "fresh_low"))
        return uuids(high, low, rows)
    return text_of(rows + _FRESH_IDS)


def missing_products(world: World, index: Ints) -> Ints:
    """For each order item, a product id that does not exist."""
    key = stream(world.seed, "order_items", "dirt", "product")
    return world.products + below(key, index, _MISSING_PRODUCTS)
