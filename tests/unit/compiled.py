"""Compiled SQL run on rows in memory: what the engine does, without its tables."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

import duckdb
import pyarrow as pa

from dagster_lake.compile.bronze import bronze_select, rescued_select
from dagster_lake.compile.duckdb_dialect import DuckDBDialect
from dagster_lake.compile.silver import (
    keys_before_select,
    keys_select,
    losers_select,
    quarantine_select,
    silver_select,
    suspect_partitions_select,
    suspects_select,
    uses_masking_key,
)
from dagster_lake.contract.columns import bronze_schema, position_fields
from dagster_lake.contract.model import Contract, EventHubSource, FileSource, Property
from dagster_lake.privacy.masking_key import MaskingKey

KEY = b"a masking key that only tests use, 48 bytes long"
LANDED = datetime(2026, 1, 5, 14, tzinfo=UTC)
HOUR = "2026-01-05T12"
SNAPSHOT = "2026-01-05T120000Z"
DIALECT = DuckDBDialect()
Row = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What became of some rows."""

    bronze: list[Row]
    silver: list[Row]
    quarantine: list[Row]
    losers: list[Row]
    suspect_partitions: list[str]
    rescued: list[tuple[str, int]]


@contextmanager
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the lake's time zone; made once, since making one costs more than a query."""
    con = _connection().cursor()
    try:
        con.execute("SET TimeZone = 'UTC'")
        yield con
    finally:
        con.close()


def events(properties: Iterable[Property]) -> Contract:
    """A contract of events with these properties, the key ``event_id`` in front."""
    return contract(
        EventHubSource("events"), [Property("event_id", "string", "Id.", required=True, key=True)], properties
    )


def contract(source: Any, keys: Iterable[Property], properties: Iterable[Property] = ()) -> Contract:
    """A contract as short as can be."""
    cadence = "snapshot" if isinstance(source, FileSource) else "hourly"
    return Contract("events", "1", "d", "shop", "team:shop", source, cadence, (*keys, *properties))


def line_rows(bodies: Iterable[bytes], hours: Iterable[str] | None = None) -> list[Row]:
    """Events with these bodies, one second apart, in one hour or in the given ones."""
    found = []
    for number, (body, hour) in enumerate(zip(bodies, hours or _forever(HOUR), strict=False)):
        start = datetime.strptime(hour, "%Y-%m-%dT%H").replace(tzinfo=UTC)
        found.append(
            {
                "body": body,
                "_enqueued_time": start.replace(minute=number // 60 % 60, second=number % 60),
                "_partition": "0",
                "_sequence_number": number,
                "_source_file": "f",
                "_source_row": number,
                "_ingested_at": LANDED,
                "_lake_hour": hour,
            }
        )
    return found


def lines_table(of: Contract, lines: list[Row]) -> pa.Table:
    """The relation ``lines`` as the engine offers it."""
    of_bronze = set() if of.typed_source else {*(p.name for p in of.source_properties), "_rescued_data"}
    given = [f for f in bronze_schema(of) if f.name not in of_bronze]
    body = [] if of.typed_source else [pa.field("body", pa.binary())]
    return pa.Table.from_pylist(lines, pa.schema([*body, *given]))


def bronze(of: Contract, lines: list[Row]) -> list[Row]:
    """The bronze rows of these lines."""
    with database() as con:
        con.register("lines", lines_table(of, lines))
        return _rows(con, bronze_select(of, DIALECT))


def run(of: Contract, lines: list[Row]) -> Outcome:
    """Bronze, silver and quarantine of these rows."""
    with database() as con:
        con.register("lines", lines_table(of, lines))
        con.execute(f"CREATE OR REPLACE TEMP TABLE bronze AS {bronze_select(of, DIALECT)}")
        con.execute("CREATE OR REPLACE TEMP VIEW reach AS SELECT * FROM bronze")
        con.execute("CREATE OR REPLACE TEMP VIEW look_back AS SELECT * FROM bronze WHERE false")
        con.execute(f"CREATE OR REPLACE TEMP TABLE keys_here AS {keys_select(of, DIALECT, 'bronze')}")
        con.execute(f"CREATE OR REPLACE TEMP TABLE keys_before AS {keys_before_select(of, DIALECT)}")
        con.execute(f"CREATE OR REPLACE TEMP TABLE suspects AS {suspects_select(of, DIALECT)}")
        con.execute(f"CREATE OR REPLACE TEMP TABLE losers AS {losers_select(of, DIALECT)}")
        return Outcome(
            _rows(con, "SELECT * FROM bronze"),
            _rows(con, silver_select(of, DIALECT), pads() if uses_masking_key(of) else None),
            _rows(con, quarantine_select(of, DIALECT)),
            _rows(con, "SELECT * FROM losers"),
            [partition for (partition,) in con.execute(suspect_partitions_select(of, DIALECT)).fetchall()],
            con.execute(rescued_select(of, DIALECT, "bronze")).fetchall(),
        )


def cast(texts: Iterable[str | None], prop: Property) -> list[Any]:
    """Each text as a value of ``prop``, None where it is not one."""
    with database() as con:
        con.register("texts", pa.table({"text": pa.array(list(texts), pa.string())}))
        return [row["v"] for row in _rows(con, f"SELECT {DIALECT.try_cast('text', prop)} AS v FROM texts")]


def evaluate(expression: str, values: Iterable[Any], kind: pa.DataType, parameters: Any = None) -> list[Any]:
    """``expression`` over the column ``x``."""
    with database() as con:
        con.register("given", pa.table({"x": pa.array(list(values), kind)}))
        return [row["v"] for row in _rows(con, f"SELECT {expression} AS v FROM given", parameters)]


def pads() -> dict[str, Any]:
    """The masking key as the engine binds it."""
    key = MaskingKey.of("test-1", KEY)
    return {"key_id": key.id, "inner_pad": key.inner_pad, "outer_pad": key.outer_pad}


def position(row: Row, of: Contract) -> tuple[Any, ...]:
    """Where a row stands in the canonical order."""
    return tuple(row[f.name] for f in position_fields(of))


def _rows(con: duckdb.DuckDBPyConnection, sql: str, parameters: Any = None) -> list[Row]:
    return con.sql(sql, params=parameters).to_arrow_table().to_pylist()


@cache
def _connection() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:", config={"threads": 1, "memory_limit": "500MB"})


def _forever(value: str) -> Iterator[str]:
    while True:
        yield value
