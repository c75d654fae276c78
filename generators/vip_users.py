"""VIP users: row i is the i-th of a pseudo-random choice of distinct existing users."""

from collections.abc import Iterator

import pyarrow as pa

from generators.columns import chunks, text_of
from generators.counter import Ints, permute, stream
from generators.world import World

NAME = "vip_users"
SCHEMA = pa.schema([pa.field("id", pa.int64(), nullable=False)])


def batches(world: World, start_row: int, stop_row: int, batch_rows: int = 65_536) -> Iterator[pa.RecordBatch]:
    """The clean VIPs start_row..stop_row-1. Raises `ValueError` beyond the world's users: no one is a VIP twice."""
    if stop_row > world.users:
        raise ValueError(f"VIP rows up to {stop_row} asked of {world.users} users: VIPs are distinct, ask for fewer")
    for rows in chunks(start_row, stop_row, batch_rows):
        yield rows_at(world, rows)


def rows_at(world: World, rows: Ints) -> pa.RecordBatch:
    """The clean VIPs at these places."""
    return pa.record_batch([pa.array(_ids(world, rows))], schema=SCHEMA)


def keys(world: World, rows: Ints) -> pa.Array:
    """The user ids as text."""
    return text_of(_ids(world, rows))


def _ids(world: World, rows: Ints) -> Ints:
    return permute(stream(world.seed, NAME, "id"), rows, world.users)
