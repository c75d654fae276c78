"""The databases that sinks may be tables of: SQLite and PostgreSQL, through ADBC, which takes rows as Arrow batches."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from pydantic import SecretStr
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from dagster_lake.settings.lake import Settings
from dagster_lake.storage.duckdb.scan import quoted
from dagster_lake.storage.paths import Lake, local_path
from dagster_lake.streams.sinks.sink import SinkRefused
from dagster_lake.streams.sinks.values import Spelling, as_postgres, as_sqlite, postgres_type, sqlite_type

TABLES, HOURS = "_lake_sinks", "_lake_sink_hours"
"""The lake's own tables in the database: what each table has, and a digest of each of its hours."""
_OWN = (
    f"CREATE TABLE IF NOT EXISTS {TABLES} (sink_table varchar(63) NOT NULL PRIMARY KEY, stream text NOT NULL, "
    "lake text NOT NULL, delta_table text, version bigint, columns text NOT NULL)",
    f"CREATE TABLE IF NOT EXISTS {HOURS} (sink_table varchar(63) NOT NULL, hour varchar(13) NOT NULL, "
    "digest text NOT NULL, held_rows bigint NOT NULL, version bigint NOT NULL, PRIMARY KEY (sink_table, hour))",
)
_LOCK = 7_241_026
"""Names the lock of those who fill tables of a PostgreSQL database."""
_AWAY_SECONDS = 10


class System(Protocol):
    """What differs between database systems."""

    is_own: bool
    """Whether it is the lake's own, so that no other lake can have written to it."""
    spelling: Spelling
    column_type: Callable[[pa.DataType], str]

    def transaction(self) -> Any:
        """A context manager giving an ADBC cursor, alone among those who fill tables here; rolls back on an error."""
        ...

    def is_ready(self) -> bool:
        """Whether the lake's own tables are there."""
        ...

    def make_own_tables(self) -> None:
        """Makes the lake's own tables where they are absent."""
        ...

    def has_table(self, cursor: Any, name: str) -> bool:
        """Whether there is a table or a view of the name."""
        ...

    def rows(self, cursor: Any, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query gives; ``?`` stands for a value."""
        ...

    def run(self, cursor: Any, sql: str, *values: Any) -> None:
        """Runs a statement; ``?`` stands for a value."""
        ...

    def insert(self, cursor: Any, table: str, rows: pa.RecordBatchReader) -> None:
        """Adds rows, spelled as the system wants them, to a table that has their columns."""
        ...


class SqliteSystem:
    """One SQLite file, made when absent."""

    def __init__(self, file: str, *, is_own: bool) -> None:
        self.file, self.is_own = file, is_own
        self.spelling: Spelling = as_sqlite
        self.column_type: Callable[[pa.DataType], str] = sqlite_type

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Waits a minute for who else is writing to the file."""
        from adbc_driver_sqlite import dbapi

        with dbapi.connect(self.file, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 60000")
            cursor.execute("BEGIN IMMEDIATE")
            try:
                yield cursor
            except BaseException:
                cursor.execute("ROLLBACK")
                raise
            cursor.execute("COMMIT")

    def is_ready(self) -> bool:
        """A file that is not there is not made by the question."""
        if not Path(self.file).exists():
            return False
        with self.transaction() as cursor:
            return self.has_table(cursor, TABLES) and self.has_table(cursor, HOURS)

    def make_own_tables(self) -> None:
        """The file too; reading it holds up nobody who writes."""
        from adbc_driver_sqlite import dbapi

        Path(self.file).parent.mkdir(parents=True, exist_ok=True)
        with dbapi.connect(self.file, autocommit=True) as connection, connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 60000")
            cursor.execute("PRAGMA journal_mode = WAL")
            cursor.fetchall()
            for statement in _OWN:
                cursor.execute(statement)

    def has_table(self, cursor: Any, name: str) -> bool:
        """SQLite does not tell ``A`` from ``a``."""
        sql = "SELECT count(*) FROM sqlite_master WHERE type IN ('table', 'view') AND lower(name) = ?"
        return bool(self.rows(cursor, sql, name)[0][0])

    def rows(self, cursor: Any, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """ADBC fetches a result as Arrow."""
        cursor.execute(sql, values)
        return [tuple(row) for row in cursor.fetchall()]

    def run(self, cursor: Any, sql: str, *values: Any) -> None:
        """A statement without a result."""
        cursor.execute(sql, values or None)

    def insert(self, cursor: Any, table: str, rows: pa.RecordBatchReader) -> None:
        """The driver binds a batch to one statement."""
        names = rows.schema.names
        sql = f"INSERT INTO {quoted(table)} ({_listed(names)}) VALUES ({', '.join('?' * len(names))})"
        for batch in rows:
            if len(batch):
                cursor.executemany(sql, batch)


class PostgresSystem:
    """One PostgreSQL database, by libpq address."""

    def __init__(self, address: str) -> None:
        self.address, self.is_own = address, False
        self.spelling: Spelling = as_postgres
        self.column_type: Callable[[pa.DataType], str] = postgres_type

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        """Holds a lock that nobody else takes; it goes with the transaction, or with its process."""
        from adbc_driver_postgresql import dbapi

        with dbapi.connect(self.address) as connection, connection.cursor() as cursor:
            cursor.execute("SET TIME ZONE 'UTC'")
            cursor.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
            cursor.fetchall()
            yield cursor
            connection.commit()

    def is_ready(self) -> bool:
        """Where the user's search path leads."""
        with self.transaction() as cursor:
            return self.has_table(cursor, TABLES) and self.has_table(cursor, HOURS)

    def make_own_tables(self) -> None:
        """In a transaction that is alone: IF NOT EXISTS does not keep two from making them at once."""
        with self.transaction() as cursor:
            for statement in _OWN:
                cursor.execute(statement)

    def has_table(self, cursor: Any, name: str) -> bool:
        """In the schemas where a name without one is looked for."""
        return bool(self.rows(cursor, "SELECT to_regclass(quote_ident($1)) IS NOT NULL", name)[0][0])

    def rows(self, cursor: Any, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """ADBC fetches a result as Arrow."""
        cursor.execute(_numbered(sql), values)
        return [tuple(row) for row in cursor.fetchall()]

    def run(self, cursor: Any, sql: str, *values: Any) -> None:
        """A statement without a result."""
        cursor.execute(_numbered(sql) if values else sql, values or None)

    def insert(self, cursor: Any, table: str, rows: pa.RecordBatchReader) -> None:
        """By way of a temporary table, into which the driver copies; there, decimals and JSON are texts."""
        staging = quoted(f"staging_{table[:50]}")
        columns = _listed(rows.schema.names)
        kinds: dict[str, str] = dict(self._kinds(cursor, table))
        given = ", ".join(
            f"{quoted(f.name)} {'text' if _is_text(f.type) else postgres_type(f.type)}" for f in rows.schema
        )
        cast = ", ".join(f"CAST({quoted(name)} AS {kinds[name]})" for name in rows.schema.names)
        self.run(cursor, f"CREATE TEMPORARY TABLE {staging} ({given}) ON COMMIT DROP")
        cursor.adbc_ingest(f"staging_{table[:50]}", rows, mode="append", temporary=True)
        self.run(cursor, f"INSERT INTO {quoted(table)} ({columns}) SELECT {cast} FROM {staging}")
        self.run(cursor, f"DROP TABLE {staging}")

    def _kinds(self, cursor: Any, table: str) -> list[tuple[Any, ...]]:
        sql = (
            "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute "
            "WHERE attrelid = to_regclass(quote_ident($1)) AND attnum > 0 AND NOT attisdropped"
        )
        return self.rows(cursor, sql, table)


def system_of(settings: Settings, lake: Lake) -> System:
    """The database that tables of sinks are in: the one that the settings name, or a file of a local lake's own.

    Raises SinkRefused for one that cannot be written to.
    """
    if settings.sink_database_url is not None:
        return named_system(settings.sink_database_url)
    return SqliteSystem(str(own_database(lake)), is_own=True)


def own_database(lake: Lake) -> Path:
    """The SQLite file of a local lake, where no other database is named."""
    return local_path(lake.root) / "sinks" / "tables.db"


def named_system(address: SecretStr) -> System:
    """The database of an address. Raises SinkRefused for one that nothing can be written to."""
    try:
        url = make_url(address.get_secret_value())
    except ArgumentError:
        raise SinkRefused("LAKE_SINK_DATABASE_URL is no address; use a sqlite:/// or postgresql:// URL") from None
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        return SqliteSystem(url.database, is_own=False)
    if url.get_backend_name() == "postgresql":
        if find_spec("adbc_driver_postgresql") is None:
            raise SinkRefused(
                "LAKE_SINK_DATABASE_URL needs PostgreSQL's driver: pip install 'dagster-lake[postgresql]'"
            )
        return PostgresSystem(_libpq(url))
    raise SinkRefused(
        f"LAKE_SINK_DATABASE_URL: {url.get_backend_name()} is not supported; use a sqlite:///file or postgresql:// URL"
    )


def _libpq(url: URL) -> str:
    plain = url.set(drivername="postgresql")
    if "connect_timeout" not in plain.query:
        plain = plain.update_query_dict({"connect_timeout": str(_AWAY_SECONDS)})
    return plain.render_as_string(hide_password=False)


def _numbered(sql: str) -> str:
    numbers = count(1)
    return "".join(f"${next(numbers)}" if part == "?" else part for part in sql)


def _listed(names: list[str]) -> str:
    return ", ".join(quoted(name) for name in names)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
