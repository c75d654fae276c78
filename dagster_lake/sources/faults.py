"""Whether the embedded event hub can give every event that its index names, and what SQLite finds wrong with a file."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from dagster_lake.sources.database.sqlite import read_only_uri

_BATCH_ROWS = 20_000


def database_faults(file: Path) -> Iterator[str]:
    """What SQLite itself finds wrong with a database file; it is only read."""
    try:
        with closing(sqlite3.connect(read_only_uri(str(file)), uri=True, timeout=60)) as connection:
            yield from (told for (told,) in connection.execute("PRAGMA quick_check") if told != "ok")
    except sqlite3.Error as error:
        yield f"cannot be read ({error})"


def segment_faults(folder: Path, read: Callable[[int], None]) -> Iterator[tuple[Path, str]]:
    """Each segment whose events cannot all be read, with why. ``read`` is told the bytes of each that is done with."""
    with closing(sqlite3.connect(read_only_uri(str(folder / "index.sqlite")), uri=True, timeout=60)) as connection:
        for name, rows in connection.execute("SELECT file, rows FROM segments ORDER BY file"):
            place = folder / name
            if (why := _unreadable(place, rows)) is not None:
                yield place, why
            read(place.stat().st_size if place.exists() else 0)


def _unreadable(place: Path, rows: int) -> str | None:
    found = 0
    try:
        with pq.ParquetFile(place, pre_buffer=False, page_checksum_verification=True) as parquet:
            for batch in parquet.iter_batches(_BATCH_ROWS):
                found += batch.num_rows
    except FileNotFoundError:
        return "is missing"
    except (pa.ArrowException, OSError) as error:
        return f"cannot be read ({str(error).partition(chr(10))[0]})"
    return None if found == rows else f"has {found} events, and the index says {rows}"
