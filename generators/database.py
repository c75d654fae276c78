"""What the shop's database holds: orders and their items, with dirt."""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa

from generators import order_items, orders
from generators.baskets import baskets
from generators.dials import Dirt, Kind
from generators.picks import missing_products, touched
from generators.world import World


def table_batches(
    world: World, dataset: str, hour: datetime, dirt: Dirt, batch_rows: int = 65_536
) -> Iterator[pa.RecordBatch]:
    """The rows of 'orders' or 'order_items' whose `updated_at` is in the lake hour (hour, hour + 1 h].

    Raises `ValueError` for another data set or an hour that is no UTC hour start.
    """
    if dataset == orders.NAME:
        rows = orders.rows_of_hour(world, hour)
        return orders.batches(world, rows.start, rows.stop, batch_rows)
    if dataset == order_items.NAME:
        rows = order_items.rows_of_hour(world, hour)
        return item_batches(world, rows.start, rows.stop, dirt, batch_rows)
    raise ValueError(f"{dataset!r} is no table of the database: give orders or order_items")


def item_batches(
    world: World, start_row: int, stop_row: int, dirt: Dirt, batch_rows: int = 65_536
) -> Iterator[pa.RecordBatch]:
    """The items of the orders start_row..stop_row-1, some referring to products that do not exist."""
    for order_rows in order_items.order_chunks(start_row, stop_row, batch_rows):
        items = baskets(world, order_rows)
        orphan = touched(world, order_items.NAME, Kind.ORPHAN, dirt, items.index)
        product_ids = np.where(orphan, missing_products(world, items.index), items.product_ids)
        yield order_items.as_batch(world, order_rows, items, product_ids)
