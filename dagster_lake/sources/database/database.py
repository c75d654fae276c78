"""The SQL source, which is only read: SQLAlchemy knows its tables, ADBC (Arrow out) reads the volume."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import duckdb
import pyarrow as pa
import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from dagster_lake.settings.secret_text import scrub, without_secrets
from dagster_lake.sources.database.dialect import WRITTEN, DatabaseError, Dialect, Fingerprint, Query
from dagster_lake.sources.database.fit import RESCUED, WRITTEN_AT, fitted, without_time
from dagster_lake.sources.database.sqlite_damage import TO_DO, is_damage

__all__ = ["Database", "DatabaseError", "Untimed", "teaching"]


EXAMPLES = 5


@dataclass(frozen=True)
class Untimed:
    """Rows of which nobody can say when they were written, and some of them: their keys and what they have as time."""

    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class _Table:
    kinds: dict[str, Any]
    indexed: frozenset[str]


class Database:
    """One database, by SQLAlchemy URL: ``sqlite:///path`` or ``postgresql://user@host/name``.

    It is opened when something is asked of it, and then only to read: a role that may SELECT is enough. Raises
    DatabaseError for any other system.
    """

    def __init__(self, url: str | URL) -> None:
        self.url = make_url(url)
        self.dialect = _dialect(self.url)
        self._found: dict[str, _Table] = {}

    def read(
        self,
        table: str,
        columns: pa.Schema,
        updated_at: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        fallback: Sequence[str] = (),
        time_zone: str = "UTC",
        rescued: bool = False,
        written: bool = False,
    ) -> pa.RecordBatchReader:
        """The rows with start < ``updated_at`` <= end, or all of them, as exactly ``columns``, in a stable order.

        Where ``updated_at`` is null, the first of the columns ``fallback`` that is not counts in its place. Times
        without a zone are in ``time_zone``. A value that its column's type cannot hold is null; with ``rescued``, the
        column ``_rescued_data`` after them has the texts of such values, as JSON; with ``written``, the last column
        ``_written`` is when the row was. All rows come in any order. Raises DatabaseError when the table or a column
        does not exist.
        """
        query = self._query(table, columns, (updated_at, *fallback), time_zone, start, end)
        more = [field for field, wanted in ((RESCUED, rescued), (WRITTEN_AT, written)) if wanted]
        schema = pa.schema([*columns, *more])
        return pa.RecordBatchReader.from_batches(schema, self._read(query, schema))

    def fingerprint(
        self,
        table: str,
        columns: pa.Schema,
        updated_at: str,
        start: datetime,
        end: datetime,
        *,
        fallback: Sequence[str] = (),
        time_zone: str = "UTC",
    ) -> Fingerprint:
        """Count and checksum of what ``read`` would give: it changes when a row comes, goes or changes.

        It may change, too, when nothing of that happened to these rows.
        """
        query = self._query(table, columns, (updated_at, *fallback), time_zone, start, end)
        with teaching(table, self.url):
            return self.dialect.fingerprint(query)

    def untimed(
        self,
        table: str,
        keys: pa.Schema,
        updated_at: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        fallback: Sequence[str] = (),
        time_zone: str = "UTC",
    ) -> Untimed:
        """The rows that are of no hour, since their time is null or none that can be read.

        Cheap where the column has an index; a time that only looks like one, as 30 February, is then found when its
        day is in the range.
        """
        times = (updated_at, *fallback)
        named = [keys.field(name) for name in keys.names]
        named += [pa.field(name, pa.timestamp("us", "UTC")) for name in times if name not in keys.names]
        query = self._query(table, pa.schema(named), times, time_zone, start, end)
        with teaching(table, self.url):
            rows, some = without_time(query, _wire(query, self.dialect.untimed(query)), EXAMPLES)
        return Untimed(rows, tuple(", ".join(f"{n} {v}" for n, v in row.items()) for row in some))

    def _read(self, query: Query, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        with teaching(query.table, self.url):
            for batch in fitted(query, _wire(query, self.dialect.read(query))):
                yield batch.select(schema.names)

    def _query(
        self,
        table: str,
        columns: pa.Schema,
        times: tuple[str, ...],
        time_zone: str,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> Query:
        found = self._table(table)
        missing = [name for name in dict.fromkeys([*columns.names, *times]) if name not in found.kinds]
        if missing:
            raise DatabaseError(
                f"table {table} has no column {', '.join(missing)}; it has {', '.join(sorted(found.kinds))}. "
                "Correct the contract's properties, or add the column"
            )
        return Query(table, columns, times, time_zone, found.kinds, found.indexed, start, end)

    def _table(self, table: str) -> "_Table":
        """What there is to know of the table, asked once."""
        if table not in self._found:
            with teaching(table, self.url), self._engine() as engine:
                inspector = sqlalchemy.inspect(engine)
                names = inspector.get_table_names() + inspector.get_view_names()
                if table not in names:
                    raise DatabaseError(
                        f"there is no table {table!r} in {self.url.render_as_string()}; it has "
                        f"{', '.join(sorted(names)) or 'no tables'}. Create it, or correct the contract's "
                        "customProperties.source.table"
                    )
                kinds = {column["name"]: column["type"] for column in inspector.get_columns(table)}
                leading = [index["column_names"][0] for index in inspector.get_indexes(table)]
                self._found[table] = _Table(kinds, frozenset(name for name in leading if name))
        return self._found[table]

    @contextmanager
    def _engine(self) -> Iterator[sqlalchemy.Engine]:
        engine = self.dialect.engine(self.url)
        try:
            yield engine
        finally:
            engine.dispose()


def _wire(query: Query, batches: Iterator[pa.RecordBatch]) -> pa.RecordBatchReader:
    """The batches as one stream; the first says in which types the columns come."""
    first = next(batches, None)
    if first is None:
        empty = pa.schema([*query.columns, pa.field(WRITTEN, pa.timestamp("us", "UTC"))])
        return pa.RecordBatchReader.from_batches(empty, [])
    return pa.RecordBatchReader.from_batches(first.schema, chain([first], batches))


def _dialect(url: URL) -> Dialect:
    # Imported here because the other system's driver need not be installed.
    if url.get_backend_name() == "sqlite":
        from dagster_lake.sources.database.sqlite import SqliteDialect

        if not url.database or url.database == ":memory:":
            raise DatabaseError("an in-memory SQLite database lasts one connection; use sqlite:///path/to/file")
        return SqliteDialect(url.database)
    if url.get_backend_name() == "postgresql":
        from dagster_lake.sources.database.postgres import PostgresDialect

        return PostgresDialect(url.set(drivername="postgresql").render_as_string(hide_password=False))
    raise DatabaseError(f"{url.get_backend_name()!r} is not supported; use a sqlite:/// or postgresql:// URL")


@contextmanager
def teaching(table: str, url: URL) -> Iterator[None]:
    """Turns a driver's or Arrow's error into one that names the table, or the file that is damaged."""
    from adbc_driver_manager import Error as AdbcError

    try:
        yield
    except (AdbcError, SQLAlchemyError, sqlite3.Error, duckdb.Error, pa.ArrowInvalid) as error:
        scrub(error)
        if url.get_backend_name() == "sqlite" and is_damage(error):
            said = str(getattr(error, "orig", None) or error).strip()
            raise DatabaseError(f"{url.database} is damaged ({said}); {TO_DO}") from error
        remedy = "check the database's address, the contract's types and the keys that rows refer to"
        raise DatabaseError(f"table {table}: {without_secrets(str(error)).strip()}; {remedy}") from error
