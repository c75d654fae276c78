"""PostgreSQL through ADBC, which streams rows by COPY."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import sqlalchemy
from adbc_driver_postgresql import dbapi
from sqlalchemy.engine import URL

from dagster_lake.resources.database_dialect import Fingerprint, Query, listed, quoted


class PostgresDialect:
    """One PostgreSQL database, by libpq address."""

    def __init__(self, address: str) -> None:
        self.address = address

    def engine(self, url: URL) -> sqlalchemy.Engine:
        """SQLAlchemy's way to the same database, for its catalogue."""
        return sqlalchemy.create_engine(
            url.set(drivername="postgresql+psycopg"),
            poolclass=sqlalchemy.NullPool,
            execution_options={"postgresql_readonly": True},
        )

    @contextmanager
    def _transaction(self) -> Iterator[Any]:
        """An ADBC cursor in a transaction that can only read; times are shown and parsed in UTC."""
        with dbapi.connect(self.address) as connection, connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION READ ONLY")
            cursor.execute("SET TIME ZONE 'UTC'")
            yield cursor

    def read(self, query: Query) -> Iterator[pa.RecordBatch]:
        """The rows, in batches of exactly ``query.columns``."""
        values = ", ".join(_readable(field) for field in query.columns)
        with self._transaction() as cursor:
            _set_range(cursor, query)
            cursor.execute(f"SELECT {values} FROM {quoted(query.table)} {_where(query)} {query.order_by}")
            for batch in cursor.fetch_record_batch():
                if len(batch):
                    yield _typed(batch, query.columns)

    def fingerprint(self, query: Query) -> Fingerprint:
        """Count and checksum of the rows, computed by the server."""
        row = f"ROW({listed(query.columns.names)})::text"
        with self._transaction() as cursor:
            _set_range(cursor, query)
            cursor.execute(
                f"SELECT count(*), coalesce(sum(hashtextextended({row}, 0)), 0)::text "
                f"FROM {quoted(query.table)} {_where(query)}"
            )
            rows, checksum = cursor.fetchone()
        return Fingerprint(rows, checksum)


def _set_range(cursor: Any, query: Query) -> None:
    if query.start is None or query.end is None:
        return
    # The driver streams (COPY) only a query without parameters, so the range is bound to session settings.
    cursor.execute(
        "SELECT set_config('lake.start', $1, true), set_config('lake.end', $2, true)",
        (query.start.isoformat(), query.end.isoformat()),
    )
    cursor.fetchall()


def _where(query: Query) -> str:
    if query.start is None:
        return ""
    column = quoted(query.updated_at)
    return (
        f"WHERE {column} > current_setting('lake.start')::timestamptz "
        f"AND {column} <= current_setting('lake.end')::timestamptz"
    )


def _readable(field: pa.Field) -> str:
    # The driver has no Arrow type for numeric; its text is exact.
    name = quoted(field.name)
    return f"{name}::text AS {name}" if pa.types.is_decimal(field.type) or pa.types.is_string(field.type) else name


def _typed(batch: pa.RecordBatch, columns: pa.Schema) -> pa.RecordBatch:
    def typed(array: pa.Array, field: pa.Field) -> pa.Array:
        try:
            return array.cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise pa.ArrowInvalid(f"column {field.name} cannot be read as {field.type}: {error}") from None

    return pa.RecordBatch.from_arrays([typed(batch.column(i), f) for i, f in enumerate(columns)], schema=columns)
