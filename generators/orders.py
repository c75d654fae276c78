"""Orders, by the hour. Row i is the order with order_id i."""

from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa

from generators.baskets import baskets, order_pace, order_times, order_values
from generators.columns import UTC_TIME, chunks, decimals, required, times
from generators.counter import Ints, few_are_popular, permute, stream
from generators.world import World

NAME = "orders"
SCHEMA = pa.schema(
    [
        required("order_id", pa.int64()),
        required("user_id", pa.int64()),
        required("order_date", UTC_TIME),
        required("order_value", pa.decimal128(12, 2)),
        required("updated_at", UTC_TIME),
    ]
)


def batches(world: World, start_row: int, stop_row: int, batch_rows: int = 65_536) -> Iterator[pa.RecordBatch]:
    """The clean orders start_row..stop_row-1."""
    for rows in chunks(start_row, stop_row, batch_rows):
        yield rows_at(world, rows)


def rows_at(world: World, rows: Ints) -> pa.RecordBatch:
    """The clean orders with these ids; `order_value` in crowns is the exact sum of quantity * unit_price."""
    when = times(order_times(world, rows))
    value = decimals(order_values(baskets(world, rows)), 12)
    return pa.record_batch([pa.array(rows), pa.array(_user_ids(world, rows)), when, value, when], schema=SCHEMA)


def rows_of_hour(world: World, hour: datetime) -> range:
    """The orders whose `updated_at` is in the lake hour (hour, hour + 1 h]."""
    return order_pace(world).rows_of_hour(hour)


def clean_hour(world: World, hour: datetime) -> pa.Table:
    """The clean orders of one lake hour."""
    rows = rows_of_hour(world, hour)
    return pa.Table.from_batches(batches(world, rows.start, rows.stop), SCHEMA)


def _user_ids(world: World, rows: Ints) -> Ints:
    rank = few_are_popular(stream(world.seed, NAME, "user"), rows, world.users, knee=0.3)
    return permute(stream(world.seed, NAME, "activity"), rank, world.users)
