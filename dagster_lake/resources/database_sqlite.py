"""SQLite through ADBC. Every value is read as text and parsed by Arrow.

SQLite has no column types, so its driver guesses one from the first rows and fails on a later row that differs
(a NUMERIC column holds 5 as an integer and 5.5 as a double). Text is the one type every value has.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy
from adbc_driver_sqlite import dbapi
from sqlalchemy.engine import URL

from dagster_lake.resources.database_dialect import DatabaseError, Fingerprint, Query, listed, quoted

BATCH_ROWS = 65_536
_NULL = "\x00"  # A first batch of only nulls would make the driver guess integers, so nulls travel as this text.


class SqliteDialect:
    """One SQLite file, opened so that nothing can be written to it."""

    def __init__(self, file: str) -> None:
        self.file = file

    def read(self, query: Query) -> Iterator[pa.RecordBatch]:
        """The rows, in batches of exactly ``query.columns``."""
        values = ", ".join(f"coalesce({_as_text(field)}, char(0)) AS {quoted(field.name)}" for field in query.columns)
        sql = f"SELECT {values} FROM {quoted(query.table)} {_where(query)} {query.order_by}"
        with self._cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(BATCH_ROWS)})
            cursor.execute(sql, _range(query))
            for batch in cursor.fetch_record_batch():
                if len(batch):
                    yield pa.RecordBatch.from_arrays(
                        [_parsed(batch.column(i), field) for i, field in enumerate(query.columns)], schema=query.columns
                    )

    def fingerprint(self, query: Query) -> Fingerprint:
        """Count and checksum of the rows, by an aggregate that SQLite calls."""
        with closing(sqlite3.connect(read_only_uri(self.file), uri=True, timeout=60)) as connection:
            connection.create_aggregate("checksum", -1, _Checksum)  # type: ignore[arg-type]  # typed for one argument
            sql = f"SELECT count(*), checksum({listed(query.columns.names)}) FROM {quoted(query.table)} {_where(query)}"
            rows, checksum = connection.execute(sql, _range(query)).fetchone()
        return Fingerprint(rows, checksum)

    def engine(self, url: URL) -> sqlalchemy.Engine:
        """SQLAlchemy's way to the same file, for its catalogue."""
        return sqlalchemy.create_engine(
            "sqlite://",
            creator=lambda: sqlite3.connect(read_only_uri(self.file), uri=True, timeout=60),
            poolclass=sqlalchemy.NullPool,
        )

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        with dbapi.connect(read_only_uri(self.file), autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 60000")
            yield cursor


def read_only_uri(file: str) -> str:
    """The address that opens ``file`` for reading only, in step with whoever is writing it.

    A reader of a file in WAL mode shares two files beside it with the writers. Where those cannot be made, nobody can
    be writing: the file is read as it is. Raises DatabaseError when there is no such file.
    """
    path = Path(file).absolute()
    if not path.is_file():
        raise DatabaseError(
            f"there is no SQLite database {file}; correct LAKE_DATABASE_URL, or fill the lake's own by materialising "
            "sources/orders and sources/order_items"
        )
    beside = path.with_name(f"{path.name}-shm")
    shared = beside.exists() or os.access(path.parent, os.W_OK)
    return f"{path.as_uri()}?mode=ro" if shared else f"{path.as_uri()}?mode=ro&immutable=1"


class _Checksum:
    """The sum of the rows' hashes, which no order of rows changes. A Python call a row; only late checks pay it."""

    def __init__(self) -> None:
        self.sum = 0

    def step(self, *values: object) -> None:
        digest = hashlib.blake2b(repr(values).encode(), digest_size=8).digest()
        self.sum = (self.sum + int.from_bytes(digest, "big")) % 2**64

    def finalize(self) -> str:
        return f"{self.sum:016x}"


def _as_text(field: pa.Field) -> str:
    # A cast to text keeps 15 digits, which is exact for the decimals SQLite can hold; a double needs 17.
    name = quoted(field.name)
    if pa.types.is_floating(field.type):
        return f"iif({name} IS NULL, NULL, printf('%!.17g', {name}))"
    return f"CAST({name} AS TEXT)"


def _parsed(text: pa.Array, field: pa.Field) -> pa.Array:
    value = pc.if_else(pc.equal(text, pa.scalar(_NULL)), pa.scalar(None, pa.string()), text)
    try:
        return value.cast(field.type)
    except pa.ArrowInvalid as error:
        raise pa.ArrowInvalid(f"column {field.name} cannot be read as {field.type}: {error}") from None


def _where(query: Query) -> str:
    return "" if query.start is None else f"WHERE {quoted(query.updated_at)} > ? AND {quoted(query.updated_at)} <= ?"


def _range(query: Query) -> tuple[str, ...]:
    if query.start is None:
        return ()
    bounds = pa.array([query.start, query.end], pa.timestamp("us", "UTC")).cast(pa.string())
    return bounds[0].as_py(), bounds[1].as_py()
