"""A stream's table of every type, its hours written in any order, and sinks of each kind that follow it."""

import csv
import io
import json
import os
import signal
import sqlite3
from base64 import b64encode
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import SecretStr

from dagster_lake import clock
from dagster_lake.lake_hour import HOUR, hour_key, parse_hour
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.choice import open_event_hub
from dagster_lake.sources.event_hub.protocol import EventHubError
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.delta.write import Pinned, pin, replace_partitions
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.sinks.database import DatabaseSink
from dagster_lake.streams.sinks.deliver import Filled, fill
from dagster_lake.streams.sinks.hub import ENVELOPE
from dagster_lake.streams.sinks.sink import Sink

STREAM = "slow_pages"
NOW = datetime(2026, 1, 5, 20, tzinfo=UTC)
FIRST = "2026-01-05T08"
ALWAYS = datetime(2000, 1, 1, tzinfo=UTC)
Row = dict[str, Any]
SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("uri", pa.string()),
        pa.field("latency", pa.float64()),
        pa.field("price", pa.decimal128(38, 5)),
        pa.field("small", pa.int32()),
        pa.field("vip", pa.bool_()),
        pa.field("day", pa.date32()),
        pa.field("bytes", pa.binary()),
        pa.field("seen", pa.list_(pa.struct([("at", pa.timestamp("us", "UTC")), ("cost", pa.decimal128(10, 2))]))),
        pa.field("_time", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("_is_final", pa.bool_()),
        pa.field("_lake_hour", pa.string(), nullable=False),
    ]
)
TABLE = Sink(STREAM, ("id",), "database_table", STREAM)
JSONL = Sink(STREAM, ("id",), "files", "slow_jsonl", "jsonl")
CSV = Sink(STREAM, ("id",), "files", "slow_csv", "csv")
PARQUET = Sink(STREAM, ("id",), "files", "slow_parquet", "parquet")
HUB = Sink(STREAM, ("id",), "event_hub", "slow-pages")
FILES = [JSONL, CSV, PARQUET]


def hour(number: int) -> str:
    """The key of the world's hour of that number, from 0."""
    return hour_key(parse_hour(FIRST) + number * HOUR)


def row(id: int, of: int = 0, **values: Any) -> Row:
    """A row of the hour number ``of``."""
    time = parse_hour(hour(of)) + timedelta(minutes=1 + id % 58, microseconds=id)
    return {
        **{"id": id, "uri": f"/a,'b'\"{id}\"\n;", "latency": 0.1 * id, "price": Decimal("123456789012345678901.00010")},
        **{"small": -id, "vip": id % 2 == 0, "day": date(2026, 1, 5), "bytes": bytes([0, 255, id % 256])},
        **{"seen": [{"at": time, "cost": Decimal("1.50")}, None], "_time": time, "_is_final": True},
        "_lake_hour": hour(of),
        **values,
    }


def empty_row(id: int, of: int = 0) -> Row:
    """A row that has nothing where it may."""
    must = ("id", "_time", "_is_final", "_lake_hour")
    return {name: value if name in must else None for name, value in row(id, of).items()} | {"_is_final": None}


@dataclass
class SinkWorld:
    """A lake with the one stream, and what its sinks hold."""

    root: Path
    database: str | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lake = Lake.at(str(self.root))
        url = None if self.database is None else SecretStr(self.database)
        self.settings = Settings(root=str(self.root), threads=1, sink_database_url=url, **self.more)

    @property
    def spec(self) -> TableSpec:
        """The stream's table."""
        return TableSpec(self.lake.table("streams", STREAM), SCHEMA, "_lake_hour")

    @property
    def pinned(self) -> Pinned:
        """As it stands."""
        found = pin(self.spec.uri)
        assert found is not None
        return found

    def write(self, rows: Iterable[Row], *hours: int, schema: pa.Schema = SCHEMA) -> None:
        """Makes some hours of the stream's table hold these rows, and no others."""
        given = pa.Table.from_pylist(list(rows), schema)
        spec = TableSpec(self.spec.uri, schema, "_lake_hour")
        replace_partitions(spec, [hour(n) for n in hours], given.to_reader, {})

    def fill(self, *sinks: Sink, at: datetime = NOW, at_once: bool = False) -> list[Filled]:
        """Fills sinks, at an instant."""
        with patch.object(clock, "utc_now", lambda: at):
            return fill(self.lake, self.settings, sinks, at_once=at_once)

    def filled(self, *sinks: Sink) -> list[Filled]:
        """The same, and nothing may fail."""
        found = self.fill(*sinks)
        assert [one.trouble for one in found] == [None] * len(found)
        return found

    def rows(self) -> list[Row]:
        """What a sink must hold: the final rows, without the column that says so."""
        kept = [one for one in self.pinned.table.to_pyarrow_table().to_pylist() if one["_is_final"] is not False]
        return ordered({name: value for name, value in one.items() if name != "_is_final"} for one in kept)

    def held(self, sink: Sink) -> list[Row]:
        """What a sink holds, in the table's own types."""
        match sink.kind:
            case "database_table":
                return ordered(self._table())
            case "files":
                return ordered(self._files(sink))
        return ordered(kept(self.events(sink)))

    def events(self, sink: Sink) -> list[Row]:
        """What a hub was sent, each partition in order."""
        hub = open_event_hub(self.settings, self.lake)
        try:
            batches = list(hub.read(sink.name, ALWAYS, datetime(2999, 1, 1, tzinfo=UTC)))
        except EventHubError:  # it comes into being with its first event
            return []
        return [json.loads(body) for batch in batches for body in batch.column("body").to_pylist()]

    def _table(self) -> list[Row]:
        names = [one for one in self.pinned.schema.names if one != "_is_final"]
        query = f"SELECT {', '.join(names)} FROM {STREAM}"
        return [_typed(dict(zip(names, one, strict=True))) for one in self.query(query)]

    def run(self, statement: str) -> None:
        """A statement in the sinks' database."""
        if self.database is not None and self.database.startswith("postgresql"):
            with psycopg.connect(self.database) as connection:
                connection.execute(statement)
            return
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute(statement)

    def query(self, query: str) -> list[tuple[Any, ...]]:
        """What the sinks' database holds."""
        if self.database is not None and self.database.startswith("postgresql"):
            with psycopg.connect(self.database) as connection:
                return connection.execute(query).fetchall()
        with closing(sqlite3.connect(self.file)) as connection:
            return connection.execute(query).fetchall()

    @property
    def file(self) -> str:
        """The SQLite file."""
        return (self.database or f"sqlite:///{self.root / 'sinks/tables.db'}").removeprefix("sqlite:///")

    def drops(self, sink: Sink) -> list[Path]:
        """The files of a sink."""
        return sorted(file for file in (self.root / "drops" / sink.name).glob("*") if not file.name.startswith("."))

    def _files(self, sink: Sink) -> list[Row]:
        found = []
        for file in self.drops(sink):
            assert file.suffix == f".{sink.format}"
            rows = _read(file)
            assert {one["_lake_hour"] for one in rows} <= {file.stem}
            found += rows
        return [_typed(one) for one in found]


def kept(events: Iterable[Row]) -> list[Row]:
    """What a consumer has that leaves out ids it knows, and keeps of each row the greatest revision."""
    ids: dict[str, Row] = {}
    newest: dict[str, Row] = {}
    for event in events:
        # Whatever comes twice under one id is the same.
        assert ids.setdefault(event["_id"], event) == event
        if event["_revision"] >= newest.get(event["_row"], event)["_revision"]:
            newest[event["_row"]] = event
    assert {one["_stream"] for one in newest.values()} <= {STREAM}
    rows = [one for one in newest.values() if not one["_deleted"]]
    return [_typed({name: value for name, value in one.items() if name not in ENVELOPE}) for one in rows]


def _read(file: Path) -> list[Row]:
    match file.suffix:
        case ".jsonl":
            return [json.loads(line) for line in file.read_text().splitlines()]
        case ".parquet":
            return pq.ParquetFile(file).read().to_pylist()
    return _read_csv(file)


def _read_csv(file: Path) -> list[Row]:
    """Nothing is null, a quoted empty text is a text: PostgreSQL and DuckDB tell them apart, Python's reader not."""
    text = file.read_text().replace(',"",', ',"\x01",')
    rows = [*csv.DictReader(io.StringIO(text, newline=""))]
    return [{name: None if value == "" else value.replace("\x01", "") for name, value in one.items()} for one in rows]


def _typed(row: Row) -> Row:
    """Values of a sink in the types of the stream's table."""
    return {name: _value(SCHEMA.field(name).type if name in SCHEMA.names else pa.string(), row[name]) for name in row}


def _value(kind: pa.DataType, value: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, str) and pa.types.is_nested(kind):
        value = json.loads(value)
    if pa.types.is_list(kind):
        return [_value(kind.value_type, one) for one in value]
    if pa.types.is_struct(kind):
        return {f.name: _value(f.type, value[f.name]) for f in kind}
    if pa.types.is_timestamp(kind):
        return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else value.astimezone(UTC)
    if pa.types.is_decimal(kind):
        return Decimal(value)
    if pa.types.is_date(kind):
        return date.fromisoformat(value) if isinstance(value, str) else value
    if pa.types.is_boolean(kind):
        return value if isinstance(value, bool) else {"true": True, "false": False, 1: True, 0: False}[value]
    if pa.types.is_integer(kind):
        return int(value)
    if pa.types.is_floating(kind):
        return float(value)
    if pa.types.is_binary(kind):
        return value if isinstance(value, bytes) else _bytes(value)
    return value


def _bytes(text: str) -> bytes:
    from base64 import b64decode

    found = b64decode(text)
    assert b64encode(found).decode() == text
    return found


def ordered(rows: Iterable[Row]) -> list[Row]:
    """Rows in a fixed order."""
    return sorted(rows, key=lambda one: (one["_lake_hour"], one["id"], repr(one)))


def fill_until_killed(root: Path, database: str | None) -> None:
    """Fills the table in a process that is killed in the middle of its transaction, with rows written and not noted."""
    put, calls = DatabaseSink._put, []

    def killed_at_second(self: DatabaseSink, *given: Any) -> int:
        calls.append(given)
        rows = put(self, *given)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return rows

    with patch.object(DatabaseSink, "_put", killed_at_second):
        SinkWorld(root, database).fill(TABLE)
