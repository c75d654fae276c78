"""The outside world of a simulated lake: a shop's database, an event hub and folders of exports, made without the lake.

The database and the exports are read back here as well, so that what must be in the lake is known without the lake.
"""

import json
import os
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub

Row = dict[str, Any]

TABLES = {
    "orders": ("order_id", "user_id", "order_date", "order_value", "updated_at"),
    "order_items": ("order_id", "row_id", "product_id", "quantity", "unit_price", "updated_at"),
}
KEYS = {"orders": ("order_id",), "order_items": ("order_id", "row_id")}
_DDL = """
CREATE TABLE orders (order_id INTEGER PRIMARY KEY, user_id INTEGER, order_date TEXT, order_value NUMERIC,
    updated_at TEXT);
CREATE TABLE order_items (order_id INTEGER, row_id INTEGER, product_id INTEGER, quantity INTEGER, unit_price NUMERIC,
    updated_at TEXT, PRIMARY KEY (order_id, row_id));
"""


def as_text(instant: datetime) -> str:
    """An instant as the shop's database keeps it."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%fZ")


@dataclass(frozen=True)
class Sent:
    """An event as it arrived at the hub."""

    at: datetime
    body: bytes


@dataclass(frozen=True)
class Line:
    """A line of an export, or a whole document; ``file`` and ``number`` say where it stood."""

    modified: datetime
    file: str
    number: int
    text: str


@dataclass
class Outside:
    """The sources below the lake's folder ``root``, where an embedded lake looks for them."""

    root: Path
    events: dict[str, list[Sent]] = field(default_factory=lambda: {"pageviews": [], "stars": []})

    def __post_init__(self) -> None:
        sources = self.root / "sources"
        sources.mkdir(parents=True)
        self.hub = EmbeddedEventHub(sources / "event_hub")
        self.file = sources / "shop.db"
        with closing(sqlite3.connect(self.file)) as connection:
            connection.executescript(_DDL)
        for hub in self.events:
            self.hub.append(hub, "none", [_batch([])])

    # ---- the database

    def put(self, table: str, row: Mapping[str, Any]) -> None:
        """Writes one row by its key."""
        names = TABLES[table]
        marks = ", ".join("?" for _ in names)
        self._execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", [_stored(row[name]) for name in names])

    def remove(self, table: str, key: Sequence[int]) -> None:
        """Deletes one row, if it is there."""
        self._execute(f"DELETE FROM {table} WHERE {_is(table)}", list(key))

    def row(self, table: str, key: Sequence[int]) -> Row | None:
        """One row as it is."""
        return next(iter(self._rows(table, _is(table), list(key))), None)

    def rows(self, table: str) -> list[Row]:
        """Every row as it is."""
        return self._rows(table, "true", [])

    def rows_of_hour(self, table: str, start: datetime) -> list[Row]:
        """The rows last written in one lake hour, (start, end]."""
        bounds = [as_text(start), as_text(start + timedelta(hours=1))]
        return self._rows(table, "updated_at > ? AND updated_at <= ?", bounds)

    def _rows(self, table: str, condition: str, values: Sequence[Any]) -> list[Row]:
        with closing(sqlite3.connect(self.file)) as connection:
            found = connection.execute(f"SELECT * FROM {table} WHERE {condition}", values).fetchall()
        return [{name: _read(name, value) for name, value in zip(TABLES[table], row, strict=True)} for row in found]

    def _execute(self, sql: str, values: Sequence[Any]) -> None:
        with closing(sqlite3.connect(self.file)) as connection, connection:
            connection.execute(sql, values)

    # ---- the event hub

    def send(self, hub: str, body: bytes, at: datetime, key: str) -> None:
        """Sends one event, which arrives ``at`` that instant."""
        self.events[hub].append(Sent(at, body))
        self.hub.append(hub, f"{len(self.events[hub])}", [_batch([(at, key, body)])])

    # ---- the folders of exports

    def export(self, data_set: str, files: Mapping[str, str], at: datetime) -> None:
        """Replaces the files of a folder, as somebody does who writes each under another name first. A file that holds
        what it held before is left alone."""
        folder = self.root / "landing" / data_set
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.iterdir():
            if file.name not in files:
                file.unlink()
        for name, content in files.items():
            if not (folder / name).exists() or (folder / name).read_text() != content:
                (folder / name).write_text(content)
                os.utime(folder / name, (at.timestamp(), at.timestamp()))

    def touch(self, data_set: str, at: datetime) -> None:
        """Dates the files of a folder anew; their content stays."""
        for file in (self.root / "landing" / data_set).iterdir():
            os.utime(file, (at.timestamp(), at.timestamp()))

    def files(self, data_set: str) -> dict[str, tuple[datetime, str]]:
        """What lies in a folder: when each file was written, and what it holds."""
        folder = self.root / "landing" / data_set
        return {
            file.name: (datetime.fromtimestamp(file.stat().st_mtime, UTC), file.read_text())
            for file in sorted(folder.iterdir())
        }


def lines_of(files: Mapping[str, tuple[datetime, str]], *, whole: bool) -> list[Line]:
    """The lines of an export, or its ``whole`` documents, in order of their files' times, names and places."""
    found = []
    for name, (modified, content) in files.items():
        for number, text in enumerate([content] if whole else content.splitlines(), 1):
            found.append(Line(modified, name, number, text))
    return sorted(found, key=lambda line: (line.modified, line.file, line.number))


def jsonl(rows: Sequence[Mapping[str, Any] | str]) -> str:
    """Rows as lines of JSON; a row that is text already stays as it is."""
    return "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)


def _batch(events: Sequence[tuple[datetime, str, bytes]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [
            pa.array([at for at, _, _ in events], pa.timestamp("us", "UTC")),
            pa.array([key for _, key, _ in events], pa.string()),
            pa.array([body for _, _, body in events], pa.binary()),
        ],
        ["enqueued_time", "partition_key", "body"],
    )


def _is(table: str) -> str:
    return " AND ".join(f"{name} = ?" for name in KEYS[table])


def _stored(value: Any) -> Any:
    if isinstance(value, datetime):
        return as_text(value)
    return str(value) if isinstance(value, Decimal) else value


def _read(name: str, value: Any) -> Any:
    if value is not None and name in ("order_date", "updated_at"):
        return datetime.strptime(value, "%Y-%m-%d %H:%M:%S.%fZ").replace(tzinfo=UTC)
    if value is not None and name in ("order_value", "unit_price"):
        return Decimal(str(value)).quantize(Decimal("0.01"))
    return value
