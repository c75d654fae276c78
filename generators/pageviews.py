"""Pageviews, by the hour. Rows are in order of arrival."""

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from itertools import product
from statistics import NormalDist

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from generators import products, sessions
from generators.columns import UTC_TIME, chunks, join, optional, required, take, times, uuids
from generators.counter import Bits, Ints, below, bits, chance, stream
from generators.pace import HOUR, MICROSECONDS, Pace, microseconds, pace
from generators.world import World

NAME = "pageviews"
SCHEMA = pa.schema(
    [
        required("event_id", pa.string()),
        required("user_id", pa.int64()),
        required("http_method", pa.string()),
        required("uri", pa.string()),
        optional("client_ip", pa.string()),
        required("user_agent", pa.string()),
        required("latency", pa.int64()),
        required("event_time", UTC_TIME),
    ]
)

_NETWORK_DELAY = 2 * MICROSECONDS
_METHODS = {"GET": 222, "POST": 22, "PUT": 5, "DELETE": 3, "HEAD": 2, "PATCH": 1, "OPTIONS": 1}
_OTHER_PAGES = pa.array(
    ["/", "/", "/", "/cart", "/checkout", "/login", "/account", "/account/orders", "/help", "/search?q=d%C3%A1rek"]
    + [f"/category/{name}" for name in ("elektronika", "knihy", "zahrada", "sport", "auto")]
)


def batches(world: World, start_row: int, stop_row: int, batch_rows: int = 65_536) -> Iterator[pa.RecordBatch]:
    """The clean pageviews start_row..stop_row-1."""
    for rows in chunks(start_row, stop_row, batch_rows):
        yield rows_at(world, rows)


def rows_at(world: World, rows: Ints) -> pa.RecordBatch:
    """The clean pageviews at these rows.

    `latency` in milliseconds; `client_ip` is null where a session hides it; `event_time` is up to 2 s before arrival.
    """
    session = sessions.session_of(world, rows)
    user = sessions.user_of(world, session)
    columns = [
        keys(world, rows),
        pa.array(user),
        take(_methods(), below(stream(world.seed, NAME, "http_method"), rows, 256)),
        _uris(world, rows),
        _client_ips(world, session),
        take(_user_agents(), below(stream(world.seed, NAME, "user_agent"), user, len(_user_agents()))),
        pa.array(latencies(world, rows)),
        times(event_times(world, rows)),
    ]
    return pa.record_batch(columns, schema=SCHEMA)


def keys(world: World, rows: Ints) -> pa.Array:
    """The event ids: UUIDs."""
    return uuids(stream(world.seed, NAME, "id_high"), stream(world.seed, NAME, "id_low"), rows)


def user_ids(world: World, rows: Ints) -> Ints:
    """The user of each pageview."""
    return sessions.user_of(world, sessions.session_of(world, rows))


def began(world: World) -> int:
    """Since when there are any, in microseconds."""
    return microseconds(world.epoch)


def arrivals(world: World, rows: Ints) -> Ints:
    """When each pageview reaches the event hub, in microseconds; never decreasing with the row."""
    return arrival_pace(world).arrivals(stream(world.seed, NAME, "arrival"), rows)


def event_times(world: World, rows: Ints) -> Ints:
    """When each page was viewed, in microseconds."""
    return arrivals(world, rows) - below(stream(world.seed, NAME, "delay"), rows, _NETWORK_DELAY + 1)


def rows_of_hour(world: World, hour: datetime) -> range:
    """The pageviews that arrive in the lake hour (hour, hour + 1 h]."""
    return arrival_pace(world).rows_of_hour(hour)


def clean_hour(world: World, hour: datetime) -> pa.Table:
    """The clean pageviews that arrive in one lake hour."""
    rows = rows_of_hour(world, hour)
    return pa.Table.from_batches(batches(world, rows.start, rows.stop), SCHEMA)


def slices_of_hour(world: World, hour: datetime, slice_rows: int) -> Iterator[Ints]:
    """The rows of one lake hour in order of arrival, at most `slice_rows` at a time."""
    rows = rows_of_hour(world, hour)
    return chunks(rows.start, rows.stop, slice_rows)


def rows_near(world: World, moments: Ints) -> Ints:
    """A row that arrived shortly before each moment (microseconds); -1 when there is none."""
    return arrival_pace(world).rows_until(moments) - 1


def arrival_pace(world: World) -> Pace:
    """The arrival of pageviews."""
    return pace(world.epoch, world.pageviews_per_hour)


def latencies(world: World, rows: Ints) -> Ints:
    """Milliseconds: about N(base, 50), base drifting around 200; 1% (in a rare bad hour 20%) are 500 to 5000."""
    random = bits(stream(world.seed, NAME, "latency"), rows)
    hour = (arrivals(world, rows) - microseconds(world.epoch)) // HOUR
    bad_hour = below(stream(world.seed, NAME, "bad_hour"), hour, 100) == 0
    usual = _base_latency(world, hour) + _normal_table()[_low(random, 12)]
    slow = 500 + _low(random >> np.uint64(12), 24) * 4_501 // (1 << 24)
    is_slow = _low(random >> np.uint64(36), 24) < np.where(bad_hour, 20, 1) * (1 << 24) // 100
    return np.where(is_slow, slow, np.maximum(usual, 1))


def _base_latency(world: World, hour: Ints) -> Ints:
    """The base moves in a straight line from one random level to the next, six hours later."""
    key = stream(world.seed, NAME, "base_latency")
    knot, step = np.divmod(hour, 6)
    here, there = 170 + below(key, knot, 61), 170 + below(key, knot + 1, 61)
    return here + (there - here) * step // 6


def _low(random: Bits, width: int) -> Ints:
    return (random & np.uint64((1 << width) - 1)).astype(np.int64)


def _uris(world: World, rows: Ints) -> pa.Array:
    of_product = bits(stream(world.seed, NAME, "uri_kind"), rows) >> np.uint64(63) == 1
    product_rows = rows[of_product]
    product_ids = products.popular(world, stream(world.seed, NAME, "product"), product_rows)
    place = below(stream(world.seed, NAME, "page_place"), product_rows, 3)
    other = below(stream(world.seed, NAME, "page"), rows, len(_OTHER_PAGES))
    choices = pa.concat_arrays([_OTHER_PAGES, products.page_uris(world, product_ids, place)])
    at = np.where(of_product, len(_OTHER_PAGES) + np.cumsum(of_product) - 1, other)
    return take(choices, at)


def _client_ips(world: World, session: Ints) -> pa.Array:
    random = bits(stream(world.seed, NAME, "client_ip"), session)
    ips = join(
        take(_ip_halves(), _low(random, 16)),
        ".",
        take(_ip_halves(), _low(random >> np.uint64(16), 16)),
    )
    hidden = chance(stream(world.seed, NAME, "hidden_ip"), session, 0.005)
    return pc.if_else(pa.array(hidden), pa.scalar(None, pa.string()), ips)


@lru_cache(maxsize=1)
def _ip_halves() -> pa.Array:
    return pa.array([f"{1 + high % 223}.{low}" for high in range(256) for low in range(256)])


@lru_cache(maxsize=1)
def _methods() -> pa.Array:
    return pa.array([method for method, share in _METHODS.items() for _ in range(share)])


@lru_cache(maxsize=1)
def _normal_table() -> Ints:
    """Quantiles of N(0, 50) as whole milliseconds: a table gives every machine the same values."""
    normal = NormalDist(0, 50)
    return np.array([round(normal.inv_cdf((step + 0.5) / 4_096)) for step in range(4_096)], dtype=np.int64)


@lru_cache(maxsize=1)
def _user_agents() -> pa.Array:
    desktops = ("Windows NT 10.0; Win64; x64", "X11; Linux x86_64", "Macintosh; Intel Mac OS X 10_15_7")
    chrome = [
        f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{version}.0.0.0 Safari/537.36"
        for system, version in product((*desktops, "Linux; Android 14"), range(120, 132))
    ]
    firefox = [
        f"Mozilla/5.0 ({system}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
        for system, version in product(desktops, range(120, 132))
    ]
    return pa.array(chrome + firefox + ["curl/8.5.0", "shop-app/1.0", "monitor/1.0"])
