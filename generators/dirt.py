"""The truth about dirt: every dirty row of the sources, listed without producing the sources."""

from collections.abc import Iterator
from datetime import datetime

import numpy as np
import pyarrow as pa

from generators import order_items, orders
from generators.baskets import MOST_ITEMS, baskets
from generators.catalog import EVENTS, SNAPSHOTS, TABLES, TextDataSet, snapshot_rows
from generators.columns import chunks, join, optional, required, take, text_of
from generators.counter import Ints
from generators.dials import Dirt, Kind
from generators.invalid import faults_of, invalid_keys
from generators.pace import hour_key, microseconds
from generators.picks import copies, touched
from generators.world import World

__all__ = ["MANIFEST_SCHEMA", "Dirt", "Kind", "manifest", "manifest_of_rows"]

MANIFEST_SCHEMA = pa.schema(
    [
        required("data_set", pa.string()),
        optional("hour", pa.string()),
        required("kind", pa.string()),
        required("source_row", pa.int64()),
        optional("key", pa.string()),
        required("effect", pa.string()),
        required("reasons", pa.list_(pa.string())),
    ]
)

_CHUNK = 65_536


def manifest(world: World, dataset: str, hour: datetime | None, dirt: Dirt) -> pa.Table:
    """Every dirty row of a data set, one line per row and kind.

    - `hour`: the lake hour of arrival, 'YYYY-MM-DDTHH'; null for snapshots (ask for them with `hour=None`).
    - `kind`: duplicate, malformed, empty_client_ip, late, orphan, unknown_field or invalid_value.
    - `source_row`: the clean row it derives from (order items: the order's row).
    - `key`: the row's key as text ('order_id-row_id' for order items); null when the row carries none.
    - `effect`: deduplicated, quarantined, kept or rescued.
    - `reasons`: all codes of a quarantined row, sorted, e.g. ['http_method:enum', 'latency:type']; else empty.

    Raises `ValueError` when the data set is unknown, or the hour is missing or superfluous.
    """
    if dataset in SNAPSHOTS:
        if hour is not None:
            raise ValueError(f"{dataset} is a snapshot: give hour=None")
        slices = chunks(0, snapshot_rows(world, dataset), _CHUNK)
        return _table(world, dataset, None, slices, dirt)
    if dataset not in EVENTS and dataset not in TABLES:
        raise ValueError(f"{dataset!r} is no data set: give one of {', '.join([*SNAPSHOTS, *TABLES, *EVENTS])}")
    if hour is None:
        raise ValueError(f"{dataset} comes by the hour: give the start of a lake hour")
    if dataset in EVENTS:
        slices = EVENTS[dataset].slices_of_hour(world, hour, _CHUNK)
    else:
        rows = orders.rows_of_hour(world, hour)
        slices = order_items.order_chunks(rows.start, rows.stop, _CHUNK)
    return _table(world, dataset, hour_key(microseconds(hour)), slices, dirt)


def manifest_of_rows(world: World, dataset: str, start_row: int, stop_row: int, dirt: Dirt) -> pa.Table:
    """Every dirty row that comes with the clean rows start_row..stop_row-1; `hour` is null."""
    return _table(world, dataset, None, chunks(start_row, stop_row, _CHUNK), dirt)


def _table(world: World, data_set: str, hour: str | None, slices: Iterator[Ints], dirt: Dirt) -> pa.Table:
    entries = [batch for rows in slices for batch in _entries(world, data_set, rows, dirt)]
    found = pa.Table.from_batches(entries, _ENTRY_SCHEMA)
    count = found.num_rows
    same = [pa.repeat(pa.scalar(value, pa.string()), count) for value in (data_set, hour)]
    return pa.table([*same, *found.columns], schema=MANIFEST_SCHEMA)


_ENTRY_SCHEMA = pa.schema(list(MANIFEST_SCHEMA)[2:])


def _entries(world: World, data_set: str, rows: Ints, dirt: Dirt) -> Iterator[pa.RecordBatch]:
    if data_set in TABLES:
        if data_set == order_items.NAME:
            yield _orphans(world, rows, dirt)
        return
    source: TextDataSet = EVENTS[data_set] if data_set in EVENTS else SNAPSHOTS[data_set]
    _, copied = copies(world, source, dirt, rows)
    yield _entry(Kind.DUPLICATE, copied, source.keys(world, copied), "deduplicated")
    malformed = rows[touched(world, data_set, Kind.MALFORMED, dirt, rows)]
    yield _entry(Kind.MALFORMED, malformed, pa.nulls(len(malformed), pa.string()), "quarantined", [["malformed"]])
    for kind, effect in ((Kind.EMPTY_CLIENT_IP, "kept"), (Kind.LATE, "kept"), (Kind.UNKNOWN_FIELD, "rescued")):
        altered = rows[touched(world, data_set, kind, dirt, rows)]
        yield _entry(kind, altered, source.keys(world, altered), effect)
    invalid = rows[touched(world, data_set, Kind.INVALID_VALUE, dirt, rows)]
    faults, which = faults_of(world, data_set, invalid)
    reasons = [fault.reasons for fault in faults]
    yield _entry(Kind.INVALID_VALUE, invalid, invalid_keys(world, data_set, invalid), "quarantined", reasons, which)


def _orphans(world: World, rows: Ints, dirt: Dirt) -> pa.RecordBatch:
    index = baskets(world, rows).index
    orphan = index[touched(world, order_items.NAME, Kind.ORPHAN, dirt, index)]
    order_id, place = np.divmod(orphan, MOST_ITEMS)
    keys = join(text_of(order_id), "-", text_of(place + 1))
    return _entry(Kind.ORPHAN, order_id, keys, "kept")


def _entry(
    kind: Kind,
    rows: Ints,
    keys: pa.Array,
    effect: str,
    reasons: list[list[str]] | None = None,
    which: Ints | None = None,
) -> pa.RecordBatch:
    """Manifest lines; `which` tells each line's own among several `reasons`."""
    at = np.zeros(len(rows), dtype=np.int64) if which is None else which
    listed = take(pa.array(reasons or [[]], pa.list_(pa.string())), at)
    columns = [pa.repeat(str(kind), len(rows)), pa.array(rows), keys, pa.repeat(effect, len(rows)), listed]
    return pa.record_batch(columns, schema=_ENTRY_SCHEMA)
