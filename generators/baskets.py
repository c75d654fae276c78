"""What is in each order and when it was placed: the facts that orders and order_items share."""

from dataclasses import dataclass

import numpy as np

from generators import products
from generators.counter import Ints, below, stream
from generators.pace import Pace, pace
from generators.world import World

MOST_ITEMS = 10
_NAME = "orders"


@dataclass(frozen=True)
class Baskets:
    """The items of some orders, one entry per item, order by order; money in hundredths of a crown.

    `index` numbers the items of all orders: 10 * order_id + row_id - 1. `first` is where each order's items begin.
    """

    index: Ints
    order_ids: Ints
    row_ids: Ints
    product_ids: Ints
    quantities: Ints
    unit_hundredths: Ints
    first: Ints


def baskets(world: World, orders: Ints) -> Baskets:
    """The items of the orders with these ids, computed without looking at any other order."""
    counts = 1 + below(stream(world.seed, _NAME, "items"), orders, MOST_ITEMS)
    first = np.cumsum(counts) - counts
    order_ids = np.repeat(orders, counts)
    place = np.arange(len(order_ids), dtype=np.int64) - np.repeat(first, counts)
    index = order_ids * MOST_ITEMS + place
    product_ids = products.popular(world, stream(world.seed, _NAME, "product"), index)
    return Baskets(
        index=index,
        order_ids=order_ids,
        row_ids=place + 1,
        product_ids=product_ids,
        quantities=1 + below(stream(world.seed, _NAME, "quantity"), index, 5),
        unit_hundredths=products.price_hundredths(world, product_ids),
        first=first,
    )


def order_values(items: Baskets) -> Ints:
    """The value of each order in hundredths: the exact sum of quantity * unit price."""
    return np.add.reduceat(items.quantities * items.unit_hundredths, items.first)


def order_times(world: World, orders: Ints) -> Ints:
    """When each order was placed and last updated, in microseconds."""
    return order_pace(world).arrivals(stream(world.seed, _NAME, "time"), orders)


def order_pace(world: World) -> Pace:
    """The arrival of orders."""
    return pace(world.epoch, world.orders_per_hour)
