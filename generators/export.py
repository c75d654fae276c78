"""Any range of any data set as one file (or one file per product): what the command line does."""

from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from generators.baskets import MOST_ITEMS
from generators.catalog import EVENTS, SNAPSHOTS, TABLES
from generators.columns import join, text_bytes
from generators.database import item_batches
from generators.dials import Dirt
from generators.files import OnRows, replacing, write_lines, write_product_files
from generators.json_text import fields_of, objects
from generators.world import World


class Format(StrEnum):
    """How rows are written."""

    JSONL = "jsonl"
    PARQUET = "parquet"
    FILES = "files"


_BATCH = 32_768

_Batches = Callable[[int, int], Iterator[pa.RecordBatch]]


def export(world: World, data_set: str, rows: range, out: Path, form: Format, dirt: Dirt, on_rows: OnRows) -> int:
    """Write the clean rows `rows` with their dirt to `out`; for orders also their items, beside it.

    Returns the rows written, dirt included. `on_rows` is told how many more clean rows are done.
    Raises `ValueError` when the format cannot hold the data set or its dirt.
    """
    if form is Format.FILES:
        if data_set != "products":
            raise ValueError(f"--format files is for products only: use jsonl or parquet for {data_set}")
        return write_product_files(world, rows, out, dirt, on_rows)
    if data_set in TABLES:
        return _export_tables(world, data_set, rows, out, form, dirt, on_rows)
    source = EVENTS[data_set] if data_set in EVENTS else SNAPSHOTS[data_set]
    if form is Format.JSONL:
        return write_lines(world, source, rows, out, dirt, on_rows)
    if dirt != Dirt.none():
        raise ValueError("--format parquet holds typed, clean rows only: use --format jsonl or --dirt none")
    return _write(lambda low, high: source.batches(world, low, high, _BATCH), source.SCHEMA, rows, out, form, on_rows)


def _export_tables(
    world: World, data_set: str, rows: range, out: Path, form: Format, dirt: Dirt, on_rows: OnRows
) -> int:
    def items(low: int, high: int) -> Iterator[pa.RecordBatch]:
        return item_batches(world, low, high, dirt, _BATCH * MOST_ITEMS)

    item_schema = TABLES["order_items"].SCHEMA
    if data_set == "order_items":
        return _write(items, item_schema, rows, out, form, on_rows)
    beside = out.with_name(f"order_items{out.suffix}")
    if beside == out:
        raise ValueError(f"--out {out} is where the items of the orders go: name the orders' file differently")
    orders = TABLES["orders"]

    def heads(low: int, high: int) -> Iterator[pa.RecordBatch]:
        return orders.batches(world, low, high, _BATCH)

    written = _write(heads, orders.SCHEMA, rows, out, form, on_rows)
    return written + _write(items, item_schema, rows, beside, form, lambda _: None)


def _write(make: _Batches, schema: pa.Schema, rows: range, out: Path, form: Format, on_rows: OnRows) -> int:
    """Write batches to one file, which appears only when complete."""
    written = 0
    with replacing(out) as file:
        writer = pq.ParquetWriter(file, schema) if form is Format.PARQUET else None
        for low in range(rows.start, rows.stop, _BATCH):
            high = min(low + _BATCH, rows.stop)
            for batch in make(low, high):
                if writer:
                    writer.write_batch(batch)
                else:
                    file.write(text_bytes(join(objects(fields_of(batch)), "\n"))[1].data)
                written += batch.num_rows
            on_rows(high - low)
        if writer:
            writer.close()
    return written
