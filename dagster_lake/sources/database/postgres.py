"""PostgreSQL through ADBC, which streams rows by COPY."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import sqlalchemy
from adbc_driver_postgresql import dbapi
from sqlalchemy import types as sqltypes
from sqlalchemy.engine import URL

from dagster_lake.sources.database.dialect import (
    MISFIT,
    WRITTEN,
    DatabaseError,
    Fingerprint,
    Query,
    listed,
    quoted,
)

_HOUR = timedelta(hours=1)


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
        """The rows, with the query's columns and ``WRITTEN``; see ``Dialect``."""
        yield from self._rows(query, "true" if query.start is None else _where(query))

    def untimed(self, query: Query) -> Iterator[pa.RecordBatch]:
        """The rows without a time, or with one that the lake's types do not hold; see ``Dialect``."""
        odd = " OR ".join(f"NOT ({_IN_RANGE.format(quoted(name))})" for name in query.times)
        yield from self._rows(query, f"coalesce({listed(query.times)}) IS NULL OR {odd}")

    def _rows(self, query: Query, where: str) -> Iterator[pa.RecordBatch]:
        values = [value for field in query.columns for value in _readable(field, query)]
        times = ", ".join(_instant(name, query) for name in query.times)
        values.append(f"CASE WHEN {_IN_RANGE.format(f'coalesce({times})')} THEN coalesce({times}) END AS {WRITTEN}")
        with self._transaction() as cursor:
            _set_range(cursor, query)
            cursor.execute(f"SELECT {', '.join(values)} FROM {quoted(query.table)} WHERE {where}")
            for batch in cursor.fetch_record_batch():
                if len(batch):
                    yield batch

    def fingerprint(self, query: Query) -> Fingerprint:
        """Count and checksum of the rows, computed by the server."""
        row = f"ROW({listed(dict.fromkeys([*query.columns.names, *query.times]))})::text"
        with self._transaction() as cursor:
            _set_range(cursor, query)
            cursor.execute(
                f"SELECT count(*), coalesce(sum(hashtextextended({row}, 0)), 0)::text "
                f"FROM {quoted(query.table)} WHERE {_where(query)}"
            )
            rows, checksum = cursor.fetchone()
        return Fingerprint(rows, checksum)


_IN_RANGE = "{0} >= '0001-01-01' AND {0} < '10000-01-01'"


def _set_range(cursor: Any, query: Query) -> None:
    # The driver streams (COPY) only a query without parameters, so the range is bound to session settings.
    bounds = {"zone": query.time_zone}
    if query.start is not None and query.end is not None:
        zone = ZoneInfo(query.time_zone)
        offsets = [moment.astimezone(zone).utcoffset() or timedelta() for moment in (query.start, query.end)]
        bounds |= {
            "start": query.start.isoformat(),
            "end": query.end.isoformat(),
            # The range on the database's own clocks, an hour more than enough, so that an index serves it.
            "wall_start": (query.start + min(offsets) - _HOUR).replace(tzinfo=None).isoformat(),
            "wall_end": (query.end + max(offsets) + _HOUR).replace(tzinfo=None).isoformat(),
        }
    settings = ", ".join(f"set_config('lake.{name}', ${number}, true)" for number, name in enumerate(bounds, 1))
    cursor.execute(f"SELECT {settings}", tuple(bounds.values()))
    cursor.fetchall()


def _where(query: Query) -> str:
    """The rows of the range, by the first of the times that is not null."""
    cases, before = [], ""
    for name in query.times:
        instant = _instant(name, query)
        within = (
            f"{instant} > current_setting('lake.start')::timestamptz "
            f"AND {instant} <= current_setting('lake.end')::timestamptz"
        )
        if instant != quoted(name):
            within += (
                f" AND {quoted(name)} >= current_setting('lake.wall_start')::timestamp "
                f"AND {quoted(name)} <= current_setting('lake.wall_end')::timestamp"
            )
        cases.append(f"({before}{within})")
        before += f"{quoted(name)} IS NULL AND "
    return "(" + " OR ".join(cases) + ")"


def _instant(name: str, query: Query) -> str:
    """When a row was written, with a zone: that of the column, or the one that the contract gives the database."""
    kind = query.kinds[name]
    if isinstance(kind, sqltypes.DateTime):
        return quoted(name) if kind.timezone else f"({quoted(name)} AT TIME ZONE current_setting('lake.zone'))"
    if isinstance(kind, sqltypes.Date):
        return f"({quoted(name)}::timestamp AT TIME ZONE current_setting('lake.zone'))"
    raise DatabaseError(
        f"table {query.table}: column {name} is {kind}, which PostgreSQL does not compare as a time; name a column of "
        "type timestamp, timestamptz or date as customProperties.source.updated_at, perhaps of a view"
    )


def _readable(field: pa.Field, query: Query) -> list[str]:
    """The column in its own type where each value fits the field's, else as text; the driver has no Arrow type for
    numeric. Of a time or date, what the lake's types do not hold comes as text beside it."""
    name, kind = quoted(field.name), query.kinds[field.name]
    is_time = isinstance(kind, sqltypes.DateTime | sqltypes.Date)
    if (pa.types.is_timestamp(field.type) and is_time) or (
        pa.types.is_date(field.type) and isinstance(kind, sqltypes.Date)
    ):
        value = name if pa.types.is_date(field.type) else _instant(field.name, query)
        fits = _IN_RANGE.format(name)
        return [
            f"CASE WHEN {fits} THEN {value} END AS {name}",
            f"CASE WHEN NOT ({fits}) THEN {name}::text END AS {quoted(MISFIT + field.name)}",
        ]
    own = (pa.types.is_integer(field.type) and isinstance(kind, sqltypes.Integer)) or (
        pa.types.is_boolean(field.type) and isinstance(kind, sqltypes.Boolean)
    )
    return [name if own else f"{name}::text AS {name}"]
