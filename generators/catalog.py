"""The data sets by name, and what every one of them can do."""

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from generators import order_items, orders, pageviews, products, stars, users, vip_users
from generators.counter import Ints
from generators.world import World


class Rows(Protocol):
    """Clean rows, addressed by row number."""

    @property
    def NAME(self) -> str: ...
    @property
    def SCHEMA(self) -> pa.Schema: ...
    def rows_at(self, world: World, rows: Ints) -> pa.RecordBatch: ...


class TextRows(Rows, Protocol):
    """Rows that leave their source as JSON text, one key per row."""

    def keys(self, world: World, rows: Ints) -> pa.Array: ...


class ArrivingRows(TextRows, Protocol):
    """Rows that arrive at an event hub one after the other since they `began`; all times in microseconds."""

    def user_ids(self, world: World, rows: Ints) -> Ints: ...
    def began(self, world: World) -> int: ...
    def arrivals(self, world: World, rows: Ints) -> Ints: ...
    def event_times(self, world: World, rows: Ints) -> Ints: ...
    def rows_near(self, world: World, moments: Ints) -> Ints: ...


class DataSet(Rows, Protocol):
    """A module of rows."""

    def batches(
        self, world: World, start_row: int, stop_row: int, batch_rows: int = 65_536
    ) -> Iterator[pa.RecordBatch]: ...


class TextDataSet(TextRows, DataSet, Protocol):
    """A data set that leaves its source as JSON text."""


class EventDataSet(ArrivingRows, TextDataSet, Protocol):
    """A data set that arrives at an event hub, hour by hour."""

    def slices_of_hour(self, world: World, hour: datetime, slice_rows: int) -> Iterator[Ints]: ...


SNAPSHOTS: dict[str, TextDataSet] = {module.NAME: module for module in (users, vip_users, products)}
EVENTS: dict[str, EventDataSet] = {module.NAME: module for module in (pageviews, stars)}
TABLES: dict[str, DataSet] = {module.NAME: module for module in (orders, order_items)}


def snapshot_rows(world: World, data_set: str) -> int:
    """How many clean rows a snapshot has."""
    return {"users": world.users, "vip_users": world.vip_users, "products": world.products}[data_set]


def event_data_set(name: str) -> EventDataSet:
    """The data set of events with this name. Raises `ValueError` for any other."""
    if name not in EVENTS:
        raise ValueError(f"{name!r} is no data set of events: give one of {', '.join(EVENTS)}")
    return EVENTS[name]
