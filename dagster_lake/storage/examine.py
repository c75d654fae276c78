"""Whether a table's files are as its log has them: quickly by name and size, or in full by reading every row."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.exceptions import DeltaError
from upath import UPath

from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.checksums import differs
from dagster_lake.storage.damage import Fault, TableDamaged, log_faults
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.delta.write import DeltaWriteError, Pinned
from dagster_lake.storage.manifest import ManifestError

UNREADABLE = (DeltaError, DeltaWriteError, TableDamaged, ManifestError, OSError)
"""What a damaged table or manifest raises, whichever way it is damaged."""

_BATCH_ROWS = 20_000


def table_faults(uri: UPath) -> list[Fault]:
    """What is wrong with a table's log and, where that is readable, which of its live files are not there."""
    if found := log_faults(uri):
        return found
    try:
        pinned = delta.pin(uri)
    except TableDamaged as damaged:
        return damaged.faults
    except (DeltaError, DeltaWriteError) as error:
        return [Fault(uri / "_delta_log", str(error), "middle")]
    return [] if pinned is None else list(_misplaced(pinned))


def content_faults(pinned: Pinned, read: Callable[[int], None]) -> Iterator[Fault]:
    """Reads every row of every live file, some rows at a time, and gives each file that is not as the log has it.

    ``read`` is told the bytes of each file that is done with.
    """
    absent = {fault.place: fault for fault in _misplaced(pinned)}
    for place, size, rows, partition in _live(pinned):
        what = absent[place].what if place in absent else _changed(place, pinned.uri) or _unreadable(place, rows)
        if what is not None:
            yield Fault(place, what, "data", partition=partition)
        read(size)


def _misplaced(pinned: Pinned) -> Iterator[Fault]:
    sizes = _sizes(pinned.uri)
    for place, size, _, partition in _live(pinned):
        found = sizes(place)
        if found != size:
            what = "is missing" if found is None else f"has {found} bytes, and the log says {size}"
            yield Fault(place, what, "data", partition=partition)


def _live(pinned: Pinned) -> Iterator[tuple[UPath, int, int, str | None]]:
    """Each live file with its bytes, rows and partition."""
    column, actions = pinned.partition_column, pinned.actions
    partitions = actions[f"partition.{column}"].to_pylist() if column else [None] * actions.num_rows
    counts = (actions["size_bytes"].to_pylist(), actions["num_records"].to_pylist(), partitions)
    for path, size, rows, partition in zip(actions["path"].to_pylist(), *counts, strict=True):
        yield pinned.uri / path, size, rows, partition


def _sizes(uri: UPath) -> Callable[[UPath], int | None]:
    if is_adls(uri):
        from dagster_lake.storage.adls.blobs import list_blobs

        held = {str(blob.path): blob.size for blob in list_blobs(uri)}
        return lambda place: held.get(str(place))

    def size(place: UPath) -> int | None:
        try:
            return os.stat(str(place)).st_size
        except FileNotFoundError:
            return None

    return size


def _changed(place: UPath, table: UPath) -> str | None:
    return differs(Path(str(place)), Path(str(table))) if isinstance(place, Path) else None


def _unreadable(place: UPath, rows: int | None) -> str | None:
    """Why the file's rows cannot all be read, or are not as many as the log says."""
    found = 0
    try:
        with place.open("rb") as file, pq.ParquetFile(file, page_checksum_verification=True) as parquet:
            for batch in parquet.iter_batches(_BATCH_ROWS):
                batch.validate(full=True)
                found += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        return f"cannot be read ({str(error).partition(chr(10))[0]})"
    return None if rows is None or found == rows else f"has {found} rows, and the log says {rows}"
