"""One DuckDB in memory, and events as tables: what every property test asks."""

from collections.abc import Iterable, Mapping
from typing import Any

import duckdb
import pyarrow as pa

from tests.temporal.render import Macros

BASE = 1_767_600_000_000_000
"""2026-01-05T08:00:00Z, in microseconds; a multiple of every size that divides a day."""
SECOND = 1_000_000
INSTANT = pa.timestamp("us", "UTC")
ASK = Macros("duckdb")

_CON = duckdb.connect(config={"threads": "1"})
_CON.execute("SET TimeZone = 'UTC'")


def rows(sql: str, **tables: pa.Table) -> list[tuple[Any, ...]]:
    """What ``sql`` selects from ``tables``, by name."""
    return result(sql, **tables)[1]


def result(sql: str, **tables: pa.Table) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The names of the columns that ``sql`` selects from ``tables``, and the rows."""
    for name, table in tables.items():
        _CON.register(name, table)
    try:
        found = _CON.execute(sql)
        return [column[0] for column in found.description or []], found.fetchall()
    finally:
        for name in tables:
            _CON.unregister(name)


def table(columns: Mapping[str, pa.DataType], values: Iterable[tuple[Any, ...]]) -> pa.Table:
    """Rows as a table; instants are given in microseconds."""
    listed = list(values)
    arrays = []
    for position, kind in enumerate(columns.values()):
        column = [row[position] for row in listed]
        arrays.append(pa.array(column, pa.int64()).cast(INSTANT) if kind == INSTANT else pa.array(column, kind))
    return pa.table(arrays, names=list(columns))
