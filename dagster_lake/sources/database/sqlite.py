"""SQLite through ADBC. Every value is read as text and parsed by Arrow.

SQLite has no column types, so its driver guesses one from the first rows and fails on a later row that differs
(a NUMERIC column holds 5 as an integer and 5.5 as a double). Text is the one type every value has.
"""

import hashlib
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy
from adbc_driver_sqlite import dbapi
from sqlalchemy.engine import URL

from dagster_lake.sources.database.dialect import (
    WRITTEN,
    DatabaseError,
    Fingerprint,
    Query,
    listed,
    quoted,
)
from dagster_lake.sources.database.fit import BLOB

BATCH_ROWS = 65_536
_NAME = re.compile(r":(lake_[a-z_]+)\b")
_NULL = "\x00"  # A first batch of only nulls would make the driver guess integers, so nulls travel as this text.


Part = tuple[str, str]
"""A relation that stands beside the table, and a condition that finds rows."""


class SqliteDialect:
    """One SQLite file, opened so that nothing can be written to it."""

    def __init__(self, file: str) -> None:
        self.file = file

    def read(self, query: Query) -> Iterator[pa.RecordBatch]:
        """The rows as text, with the query's columns and ``WRITTEN``; see ``Dialect``."""
        yield from self._rows(query, _about(query))

    def untimed(self, query: Query) -> Iterator[pa.RecordBatch]:
        """The rows whose time may not be one; see ``Dialect``."""
        odd = [*_ODD, (_YEARS, _BETWEEN_YEARS)] if _is_indexed(query) else [("", _ODD_BY_FORM)]
        if query.start is not None:
            odd.append(("", _ODD_DAY))
        found = _by_times(query, odd)
        found.append(("", " AND ".join(f"{quoted(name)} IS NULL" for name in query.times)))
        # Without an index every part would look through the whole table.
        yield from self._rows(query, found if _is_indexed(query) else _in_one(found))

    def _rows(self, query: Query, parts: list[Part]) -> Iterator[pa.RecordBatch]:
        written = f"coalesce({listed(query.times)})" if query.times[1:] else quoted(query.times[0])
        values = [f"{_as_text(quoted(f.name), f)} AS {quoted(f.name)}" for f in query.columns]
        values.append(f"{_as_text(written, None)} AS {WRITTEN}")
        sql, bounds = _select(query, values, parts), _bounds(query)
        with self._cursor() as cursor:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": str(BATCH_ROWS)})
            # ADBC binds by position.
            cursor.execute(_NAME.sub("?", sql), [bounds[name] for name in _NAME.findall(sql)])
            for batch in cursor.fetch_record_batch():
                if len(batch):
                    columns = [_with_nulls(column) for column in batch.columns]
                    yield pa.RecordBatch.from_arrays(columns, names=batch.schema.names)

    def fingerprint(self, query: Query) -> Fingerprint:
        """Count and checksum of the rows that ``read`` would give, by an aggregate that SQLite calls."""
        names = list(dict.fromkeys([*query.columns.names, *query.times]))
        # As bytes, since a text need not be UTF-8.
        values = [f"CAST({quoted(name)} AS BLOB) AS {quoted(name)}" for name in names]
        with closing(sqlite3.connect(read_only_uri(self.file), uri=True, timeout=60)) as connection:
            connection.create_aggregate("checksum", -1, _Checksum)  # type: ignore[arg-type]  # typed for one argument
            connection.create_function("together", -1, lambda *values: repr(values), deterministic=True)
            some = [names[n : n + _MOST_ARGUMENTS] for n in range(0, len(names), _MOST_ARGUMENTS)]
            given = ", ".join(f"together({listed(each)})" for each in some) if some[1:] else listed(names)
            sql = f"SELECT count(*), checksum({given}) FROM ({_select(query, values, _about(query))})"
            rows, checksum = connection.execute(sql, _bounds(query)).fetchone()
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
            "the assets of the group sources"
        )
    beside = path.with_name(f"{path.name}-shm")
    shared = beside.exists() or os.access(path.parent, os.W_OK)
    return f"{path.as_uri()}?mode=ro" if shared else f"{path.as_uri()}?mode=ro&immutable=1"


_MOST_ARGUMENTS = 100
"""Of a function in SQLite; its own limit is 127 where nobody has set another one."""


class _Checksum:
    """The sum of the rows' hashes, which no order of rows changes. A Python call a row; only late checks pay it."""

    def __init__(self) -> None:
        self.sum = 0

    def step(self, *values: object) -> None:
        digest = hashlib.blake2b(repr(values).encode(), digest_size=8).digest()
        self.sum = (self.sum + int.from_bytes(digest, "big")) % 2**64

    def finalize(self) -> str:
        return f"{self.sum:016x}"


# A time is a text that begins with a date, or a number of seconds since 1970. Texts are found by the days about the
# hour, whatever their form and offset, and of these SQLite's own date functions leave out what is of another hour for
# certain; exactly, it is decided when texts are parsed. Each part is one range of one column, for an index to serve:
# SQLite does not trust an OR of ranges to be few rows. No row is in two parts.
_ABOUT: list[Part] = [
    (
        "",
        "{0} >= :lake_first_day AND {0} < :lake_after_last_day AND typeof({0}) = 'text' "
        "AND coalesce(CAST(strftime('%s', {0}) AS INTEGER) BETWEEN :lake_least AND :lake_most, true)",
    ),
    ("", "{0} >= :lake_start_number AND {0} <= :lake_end_number AND typeof({0}) IN ('integer', 'real')"),
    ("", "{0} >= :lake_start_digits AND {0} <= :lake_end_digits AND typeof({0}) = 'text'"),
]
_FIRST_YEAR, _LAST_YEAR = 1900, 2199
_YEARS = (
    f"(WITH RECURSIVE years(_year) AS (VALUES ({_FIRST_YEAR}) UNION ALL "
    f"SELECT _year + 1 FROM years WHERE _year < {_LAST_YEAR}) SELECT _year FROM years) CROSS JOIN "
)
_BETWEEN_YEARS = "{0} >= _year || '.' AND {0} < (_year + 1) || '-'"
"""Between one year's dates and the next one's lies what has another form."""
_ODD: list[Part] = [
    ("", "{0} < 100000000 AND typeof({0}) IN ('integer', 'real')"),
    ("", "{0} >= 100000000000 AND typeof({0}) IN ('integer', 'real')"),
    ("", f"{{0}} >= '' AND {{0}} < '{_FIRST_YEAR}-'"),
    ("", f"{{0}} >= '{_LAST_YEAR + 1}-'"),
]
_ODD_BY_FORM = (
    "CASE typeof({0}) WHEN 'text' THEN strftime('%s', {0}) IS NULL "
    "OR {0} NOT GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*' "
    "WHEN 'blob' THEN true WHEN 'null' THEN false ELSE {0} < 100000000 OR {0} >= 100000000000 END"
)
_ODD_DAY = (
    "{0} >= :lake_first_day AND {0} < :lake_after_last_day AND typeof({0}) = 'text' "
    "AND (coalesce(strftime('%Y-%m-%d', {0}) <> substr({0}, 1, 10), true) "
    "OR {0} GLOB '*[^-0-9:.TZ+ ]*' OR length({0}) > 30)"
)
_SLACK = timedelta(hours=15)


def _about(query: Query) -> list[Part]:
    """What gives the rows of the query's range, and some of other times."""
    if query.start is None:
        return [("", "true")]
    parts = _by_times(query, _ABOUT)
    return parts if _is_indexed(query) else _in_one(parts)


def _is_indexed(query: Query) -> bool:
    return query.indexed.issuperset(query.times)


def _by_times(query: Query, parts: list[Part]) -> list[Part]:
    """The parts for each of the query's times: a column counts where those before it are null."""
    found, before = [], ""
    for name in query.times:
        found += [(beside, before + f"({condition.format(quoted(name))})") for beside, condition in parts]
        before += f"{quoted(name)} IS NULL AND "
    return found


def _in_one(parts: list[Part]) -> list[Part]:
    return [("", " OR ".join(f"({condition})" for _, condition in parts))]


def _select(query: Query, values: list[str], parts: list[Part]) -> str:
    given = ", ".join(values)
    selects = [f"SELECT {given} FROM {beside}{quoted(query.table)} WHERE {condition}" for beside, condition in parts]
    return " UNION ALL ".join(selects)


def _bounds(query: Query) -> dict[str, Any]:
    """The parameters of ``_ABOUT``."""
    if query.start is None or query.end is None:
        return {}
    zone = ZoneInfo(query.time_zone)
    offsets = [moment.astimezone(zone).utcoffset() or timedelta() for moment in (query.start, query.end)]
    second = timedelta(seconds=1)
    least = query.start + min(timedelta(), *offsets) - second
    most = query.end + max(timedelta(), *offsets) + second
    start, end = int(query.start.timestamp()), int(query.end.timestamp())
    return {
        "lake_first_day": (query.start - _SLACK).date().isoformat(),
        "lake_after_last_day": ((query.end + _SLACK).date() + timedelta(days=1)).isoformat(),
        "lake_least": int(least.timestamp()),
        "lake_most": int(most.timestamp()),
        "lake_start_number": start,
        "lake_end_number": end,
        "lake_start_digits": str(start),
        "lake_end_digits": str(end),
    }


def _as_text(value: str, field: pa.Field | None) -> str:
    # A cast to text keeps 15 digits, which is exact for the decimals SQLite can hold; a double needs 17.
    text = f"CAST({value} AS TEXT)"
    if field is not None and pa.types.is_floating(field.type):
        text = f"iif(typeof({value}) = 'real', printf('%!.17g', {value}), {text})"
    return f"CASE typeof({value}) WHEN 'null' THEN char(0) WHEN 'blob' THEN '{BLOB}' || hex({value}) ELSE {text} END"


def _with_nulls(column: pa.Array) -> pa.Array:
    """The texts with nulls where they were marked; a text that is not UTF-8 as its bytes in hexadecimal."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        column = pa.array([_as_utf8(value.as_buffer()) for value in column.cast(pa.binary())], pa.string())
    return pc.if_else(pc.equal(column, pa.scalar(_NULL)), pa.scalar(None, pa.string()), column)


def _as_utf8(value: pa.Buffer) -> str:
    content = value.to_pybytes()
    try:
        return content.decode()
    except UnicodeDecodeError:
        return BLOB + content.hex().upper()
