"""The database of the demonstration's shop, as the generators write it. Landing never comes here: it only reads.

The outside world writes its own databases; here it is stood in for. Tables are made when the first rows come.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.schema import CreateIndex, CreateTable

from dagster_lake.commit import commit
from dagster_lake.settings.lake import Settings
from dagster_lake.shop.tables import METADATA
from dagster_lake.sources.choice import database_url
from dagster_lake.sources.database.database import teaching
from dagster_lake.sources.database.dialect import DatabaseError, listed, quoted
from dagster_lake.storage.paths import Lake


def open_shop(settings: Settings, lake: Lake) -> "ShopDatabase | None":
    """The embedded database, for the generators to fill; None where the settings name somebody else's database."""
    return None if settings.database_url else ShopDatabase(database_url(settings, lake))


class Writer(Protocol):
    """How one system takes rows in volume."""

    def transaction(self) -> Any:
        """A context manager giving an ADBC cursor; commits at its end, rolls back on an error."""
        ...

    def upsert(self, table: sqlalchemy.Table, batches: Iterator[pa.RecordBatch], cursor: Any) -> None:
        """Writes rows by primary key; an existing row yields only to one at least as new."""
        ...


class ShopDatabase:
    """The shop's tables in one database, by SQLAlchemy URL, made when absent.

    Raises DatabaseError for a system other than SQLite and PostgreSQL.
    """

    def __init__(self, url: str | URL) -> None:
        self.url = make_url(url)
        self._writer = _writer(self.url)
        self._ready = False

    def create_tables(self) -> None:
        """Creates the shop's tables where they are absent; a SQLite file, too.

        Raises DatabaseError when a table of such a name is there that is not the shop's; then nothing is created.
        """
        engine = sqlalchemy.create_engine(_with_driver(self.url), poolclass=sqlalchemy.NullPool)
        if self.url.get_backend_name() == "sqlite":
            Path(self.url.database or "").parent.mkdir(parents=True, exist_ok=True)
        try:
            with teaching("orders", self.url):
                self._refuse_others(engine)
                with commit("database.create_tables"):
                    _create(engine)
        finally:
            engine.dispose()
        self._ready = True

    def upsert(self, tables: Mapping[str, Iterable[pa.RecordBatch]]) -> None:
        """Writes rows of the shop's tables by primary key, all tables in one transaction, parents first.

        The same rows again change nothing: an existing row is replaced only by one with a newer or equal
        ``updated_at``. Raises DatabaseError for an unknown table, a missing column or a broken constraint; then
        nothing is written.
        """
        unknown = sorted(set(tables) - set(METADATA.tables))
        if unknown:
            raise DatabaseError(f"no table {', '.join(unknown)}; the shop has {', '.join(METADATA.tables)}")
        if not self._ready:
            self.create_tables()
        # The transaction itself may find the file damaged.
        with (
            teaching("orders", self.url),
            commit(f"database.{'+'.join(sorted(tables))}"),
            self._writer.transaction() as cursor,
        ):
            for table in METADATA.sorted_tables:
                if table.name in tables:
                    with teaching(table.name, self.url):
                        self._writer.upsert(table, _checked(table, tables[table.name]), cursor)

    def _refuse_others(self, engine: sqlalchemy.Engine) -> None:
        inspector = sqlalchemy.inspect(engine)
        for table in METADATA.sorted_tables:
            if not inspector.has_table(table.name):
                continue
            found = {column["name"] for column in inspector.get_columns(table.name)}
            if missing := sorted({column.name for column in table.columns} - found):
                raise DatabaseError(
                    f"{self.url.render_as_string()} has a table {table.name} that is not the shop's: it lacks "
                    f"{', '.join(missing)}. Give the generators a database of their own"
                )


def _create(engine: sqlalchemy.Engine) -> None:
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:  # so that a long read does not hold up writers
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    with engine.begin() as connection:  # IF NOT EXISTS, since another process may be at it too
        for table in METADATA.sorted_tables:
            connection.execute(CreateTable(table, if_not_exists=True))
            for index in table.indexes:
                connection.execute(CreateIndex(index, if_not_exists=True))


class SqliteWriter:
    """Writes to one SQLite file."""

    def __init__(self, file: str) -> None:
        self.file = file

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """An ADBC cursor in a transaction with foreign keys enforced."""
        from adbc_driver_sqlite import dbapi

        with dbapi.connect(self.file, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 60000")
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def upsert(self, table: sqlalchemy.Table, batches: Iterator[pa.RecordBatch], cursor: Any) -> None:
        """Writes rows by primary key; an existing row yields only to one at least as new."""
        columns = [column.name for column in table.columns]
        sql = (
            f"INSERT INTO {quoted(table.name)} ({listed(columns)}) VALUES ({', '.join('?' * len(columns))}) "
            f"{_newer_wins(table)}"
        )
        for batch in batches:
            if len(batch):
                cursor.executemany(sql, _storable(batch))


class PostgresWriter:
    """Writes to one PostgreSQL database, by libpq address."""

    def __init__(self, address: str) -> None:
        self.address = address

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """An ADBC cursor in a transaction; times are parsed in UTC."""
        from adbc_driver_postgresql import dbapi

        with dbapi.connect(self.address) as connection, connection.cursor() as cursor:
            cursor.execute("SET TIME ZONE 'UTC'")
            yield cursor
            connection.commit()

    def upsert(self, table: sqlalchemy.Table, batches: Iterator[pa.RecordBatch], cursor: Any) -> None:
        """Writes rows by way of a temporary table; an existing row yields only to one at least as new."""
        first = next(batches, None)
        if first is None:
            return
        columns = listed(column.name for column in table.columns)
        keys = listed(column.name for column in table.primary_key)
        staging = f"staging_{table.name}"
        cursor.execute(
            f"CREATE TEMPORARY TABLE {quoted(staging)} (LIKE {quoted(table.name)} INCLUDING DEFAULTS) ON COMMIT DROP"
        )
        cursor.adbc_ingest(staging, _reader(first, batches), mode="append", temporary=True)
        # One statement may not touch a row twice, so the newest (then the last) row of each key is chosen first.
        cursor.execute(
            f"INSERT INTO {quoted(table.name)} ({columns}) SELECT DISTINCT ON ({keys}) {columns} "
            f"FROM {quoted(staging)} ORDER BY {keys}, updated_at DESC, ctid DESC {_newer_wins(table)}"
        )


def _writer(url: URL) -> Writer:
    if url.get_backend_name() == "sqlite" and url.database:
        return SqliteWriter(url.database)
    if url.get_backend_name() == "postgresql":
        return PostgresWriter(url.set(drivername="postgresql").render_as_string(hide_password=False))
    raise DatabaseError(f"{url.get_backend_name()!r} cannot be filled; use a sqlite:///file or postgresql:// URL")


def _with_driver(url: URL) -> URL:
    return url.set(drivername="postgresql+psycopg") if url.drivername == "postgresql" else url


def _newer_wins(table: sqlalchemy.Table) -> str:
    """The end of an INSERT: an existing row yields only to one with a newer or equal ``updated_at``."""
    keys = [column.name for column in table.primary_key]
    others = [column.name for column in table.columns if column.name not in keys]
    replaced = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in others)
    return (
        f"ON CONFLICT ({listed(keys)}) DO UPDATE SET {replaced} "
        f"WHERE excluded.updated_at >= {quoted(table.name)}.updated_at"
    )


def _storable(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch as SQLite takes it: times as UTC text with microseconds, decimals as text.

    A NUMERIC column turns the text into the nearest double; Arrow's own cast to double is often one bit off.
    """

    def stored(array: pa.Array) -> pa.Array:
        if pa.types.is_timestamp(array.type):
            return array.cast(pa.timestamp("us", "UTC")).cast(pa.string())
        return array.cast(pa.string()) if pa.types.is_decimal(array.type) else array

    return pa.RecordBatch.from_arrays([stored(column) for column in batch.columns], names=batch.schema.names)


def _checked(table: sqlalchemy.Table, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches with the table's columns, in its order."""
    names = [column.name for column in table.columns]
    for batch in batches:
        missing = [name for name in names if name not in batch.schema.names]
        if missing:
            raise DatabaseError(f"{table.name}: the rows lack {', '.join(missing)}; give {', '.join(names)}")
        yield batch.select(names)


def _reader(first: pa.RecordBatch, others: Iterator[pa.RecordBatch]) -> pa.RecordBatchReader:
    def batches() -> Iterator[pa.RecordBatch]:
        yield first
        yield from (batch.cast(first.schema) for batch in others)

    return pa.RecordBatchReader.from_batches(first.schema, batches())
