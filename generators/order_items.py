"""The items of orders, by the hour. Rows are addressed by order: the items of order i belong to row i."""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa

from generators.baskets import MOST_ITEMS, Baskets, baskets, order_pace, order_times
from generators.columns import UTC_TIME, chunks, decimals, required, times
from generators.counter import Ints
from generators.world import World

NAME = "order_items"
SCHEMA = pa.schema(
    [
        required("order_id", pa.int64()),
        required("row_id", pa.int64()),
        required("product_id", pa.int64()),
        required("quantity", pa.int64()),
        required("unit_price", pa.decimal128(10, 2)),
        required("updated_at", UTC_TIME),
    ]
)


def batches(world: World, start_row: int, stop_row: int, batch_rows: int = 65_536) -> Iterator[pa.RecordBatch]:
    """The clean items of the orders start_row..stop_row-1, each order's items together and in `row_id` order."""
    for orders in order_chunks(start_row, stop_row, batch_rows):
        yield rows_at(world, orders)


def rows_at(world: World, orders: Ints) -> pa.RecordBatch:
    """The clean items of the orders with these ids; `unit_price` in crowns is the product's price."""
    items = baskets(world, orders)
    return as_batch(world, orders, items, items.product_ids)


def rows_of_hour(world: World, hour: datetime) -> range:
    """The orders (not items) whose items' `updated_at` is in the lake hour (hour, hour + 1 h]."""
    return order_pace(world).rows_of_hour(hour)


def clean_hour(world: World, hour: datetime) -> pa.Table:
    """The clean items of one lake hour."""
    orders = rows_of_hour(world, hour)
    return pa.Table.from_batches(batches(world, orders.start, orders.stop), SCHEMA)


def order_chunks(start_row: int, stop_row: int, batch_rows: int) -> Iterator[Ints]:
    """Order ids in chunks that have about `batch_rows` items at most (never less than one order)."""
    return chunks(start_row, stop_row, max(1, batch_rows // MOST_ITEMS))


def as_batch(world: World, orders: Ints, items: Baskets, product_ids: Ints) -> pa.RecordBatch:
    """Items as Arrow, referring to the given products."""
    counts = np.diff(items.first, append=len(items.index))
    columns = [
        pa.array(items.order_ids),
        pa.array(items.row_ids),
        pa.array(product_ids),
        pa.array(items.quantities),
        decimals(items.unit_hundredths, 10),
        times(np.repeat(order_times(world, orders), counts)),
    ]
    return pa.record_batch(columns, schema=SCHEMA)
