"""The SQL source, which is only read: SQLAlchemy knows its tables, ADBC (Arrow out) reads the volume."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import pyarrow as pa
import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from dagster_lake.resources.database_dialect import DatabaseError, Dialect, Fingerprint, Query

__all__ = ["Database", "DatabaseError", "teaching"]


class Database:
    """One database, by SQLAlchemy URL: ``sqlite:///path`` or ``postgresql://user@host/name``.

    It is opened when something is asked of it, and then only to read: a role that may SELECT is enough. Raises
    DatabaseError for any other system.
    """

    def __init__(self, url: str | URL) -> None:
        self.url = make_url(url)
        self.dialect = _dialect(self.url)
        self._found: dict[str, tuple[frozenset[str], tuple[str, ...]]] = {}

    def read(
        self, table: str, columns: pa.Schema, updated_at: str, start: datetime, end: datetime
    ) -> pa.RecordBatchReader:
        """The rows with start < ``updated_at`` <= end, as exactly ``columns``, by (updated_at, primary key).

        Raises DatabaseError when the table or a column does not exist, or when a value does not fit its type.
        """
        query = self._query(table, columns, updated_at, start, end)
        return pa.RecordBatchReader.from_batches(columns, self._read(query))

    def read_all(self, table: str, columns: pa.Schema, updated_at: str) -> pa.RecordBatchReader:
        """Every row, those without ``updated_at`` too, as exactly ``columns``, in any order.

        Raises DatabaseError as ``read`` does.
        """
        query = self._query(table, columns, updated_at, None, None)
        return pa.RecordBatchReader.from_batches(columns, self._read(query))

    def fingerprint(
        self, table: str, columns: pa.Schema, updated_at: str, start: datetime, end: datetime
    ) -> Fingerprint:
        """Count and checksum of what ``read`` would give: it changes when a row comes, goes or changes."""
        query = self._query(table, columns, updated_at, start, end)
        with teaching(table):
            return self.dialect.fingerprint(query)

    def _read(self, query: Query) -> Iterator[pa.RecordBatch]:
        with teaching(query.table):
            yield from self.dialect.read(query)

    def _query(
        self, table: str, columns: pa.Schema, updated_at: str, start: datetime | None, end: datetime | None
    ) -> Query:
        existing, primary_key = self._table(table)
        missing = [name for name in [*columns.names, updated_at] if name not in existing]
        if missing:
            raise DatabaseError(
                f"table {table} has no column {', '.join(missing)}; it has {', '.join(sorted(existing))}. "
                "Correct the contract's properties, or add the column"
            )
        order = tuple(dict.fromkeys((updated_at, *(primary_key or columns.names))))
        return Query(table, columns, updated_at, order, start, end)

    def _table(self, table: str) -> tuple[frozenset[str], tuple[str, ...]]:
        """The table's columns and its primary key, asked once."""
        if table not in self._found:
            with teaching(table), self._engine() as engine:
                inspector = sqlalchemy.inspect(engine)
                names = inspector.get_table_names() + inspector.get_view_names()
                if table not in names:
                    raise DatabaseError(
                        f"there is no table {table!r} in {self.url.render_as_string()}; it has "
                        f"{', '.join(sorted(names)) or 'no tables'}. Create it, or correct the contract's "
                        "customProperties.source.table"
                    )
                columns = frozenset(column["name"] for column in inspector.get_columns(table))
                primary_key = tuple(inspector.get_pk_constraint(table)["constrained_columns"])
                self._found[table] = (columns, primary_key)
        return self._found[table]

    @contextmanager
    def _engine(self) -> Iterator[sqlalchemy.Engine]:
        engine = self.dialect.engine(self.url)
        try:
            yield engine
        finally:
            engine.dispose()


def _dialect(url: URL) -> Dialect:
    # Imported here because the other system's driver need not be installed.
    if url.get_backend_name() == "sqlite":
        from dagster_lake.resources.database_sqlite import SqliteDialect

        if not url.database or url.database == ":memory:":
            raise DatabaseError("an in-memory SQLite database lasts one connection; use sqlite:///path/to/file")
        return SqliteDialect(url.database)
    if url.get_backend_name() == "postgresql":
        from dagster_lake.resources.database_postgres import PostgresDialect

        return PostgresDialect(url.set(drivername="postgresql").render_as_string(hide_password=False))
    raise DatabaseError(f"{url.get_backend_name()!r} is not supported; use a sqlite:/// or postgresql:// URL")


@contextmanager
def teaching(table: str) -> Iterator[None]:
    """Turns a driver's or Arrow's error into one that names the table."""
    from adbc_driver_manager import Error as AdbcError

    try:
        yield
    except (AdbcError, SQLAlchemyError, sqlite3.Error, pa.ArrowInvalid) as error:
        remedy = "check the database's address, the contract's types and the keys that rows refer to"
        raise DatabaseError(f"table {table}: {str(error).strip()}; {remedy}") from error
