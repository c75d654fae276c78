"""Somebody else's database, which a lake lands from: any table, under any contract, on SQLite and on PostgreSQL."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from dagster_lake import clock
from dagster_lake.contract.model import Contract, DatabaseSource, Property
from dagster_lake.engines.duckdb.engine import DuckDBEngine
from dagster_lake.engines.step import Engine, Step, StepResult
from dagster_lake.lake_hour import HourRange, hour_key
from dagster_lake.landing.land import Landed, land_hours, late_commits, manifests
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.database.database import Database
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.manifest import landed_files
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import quarantine_table, silver_table

from .postgres import postgres_server, postgres_url  # noqa: F401  # fixtures

KEY = Property("id", "integer", "The key.", required=True, key=True)
AMOUNT = Property("amount", "number", "CZK.", precision=12, scale=2)
CHANGED_AT = Property("changed_at", "timestamp", "Last written.")
NOW = datetime(2026, 12, 1, 9, 30, tzinfo=UTC)
Row = dict[str, Any]
MakesEngine = Callable[[Lake, dict[str, Contract], Settings], Engine]


def sales(*properties: Property, **source: Any) -> Contract:
    """A contract for their table ``orders``, by default of a key, an amount and a time."""
    return Contract(
        "sales",
        "1.0.0",
        "A sale.",
        "shop",
        "team:shop",
        DatabaseSource(**{"table": "orders", "updated_at": "changed_at", **source}),
        "hourly",
        properties or (KEY, AMOUNT, CHANGED_AT),
        file="sales.odcs.yaml",
    )


@dataclass
class Theirs:
    """Their database and a lake that lands from it."""

    url: str
    folder: Path
    contract: Contract

    @property
    def lake(self) -> Lake:
        return Lake.at(str(self.folder / "lake"))

    @property
    def database(self) -> Database:
        return Database(self.url)

    @property
    def is_sqlite(self) -> bool:
        return self.url.startswith("sqlite")

    def run(self, statement: str, *rows: Sequence[Any]) -> None:
        """Runs a statement as its owner, once, or for each of the rows (``?`` stands for a value)."""
        if self.is_sqlite:
            with closing(sqlite3.connect(self.url.removeprefix("sqlite:///"))) as connection, connection:
                connection.executemany(statement, rows) if rows else connection.execute(statement)
            return
        with psycopg.connect(self.url) as connection, connection.cursor() as cursor:
            if rows:
                cursor.executemany(statement.replace("?", "%s"), rows)
            else:
                cursor.execute(statement)

    def land(self, hour: str, until: str | None = None, **how: Any) -> list[Landed]:
        return land_hours(
            self.contract, self.lake, HourRange.of(hour, until or hour), Sources(None, self.database), **how
        )

    def late(self, hour: str, until: str | None = None) -> list[str]:
        """The hours that have rows which are not landed."""
        hours = HourRange.of(hour, until or hour)
        return [hour_key(late) for late in late_commits(self.contract, self.lake, hours, Sources(None, self.database))]

    def raw(self, hour: str) -> list[Row]:
        """The rows landed for an hour, in landing order."""
        (manifest,) = manifests(self.lake, self.contract, [hour])
        folder = self.lake.raw_partition(self.contract.name, hour, sensitive=self.contract.sensitive)
        return [row for _, _, file in landed_files(folder, manifest) for row in pq.read_table(str(file)).to_pylist()]

    def silver(
        self, *hours: str, engine: Callable[[Lake, dict[str, Contract], Settings], Engine] = DuckDBEngine
    ) -> StepResult:
        """Bronze and silver of landed hours."""
        runs = engine(self.lake, {self.contract.name: self.contract}, Settings(root=str(self.lake.root), threads=1))
        runs.run(Step(self.contract.name, "bronze", hours))
        return runs.run(Step(self.contract.name, "silver", hours))

    def rows(self, layer: str) -> list[Row]:
        """The rows of silver (every version) or of quarantine."""
        table = {"silver": silver_table, "quarantine": quarantine_table}[layer](self.lake, self.contract)
        return DeltaTable(str(table.uri)).to_pyarrow_table().to_pylist()


@pytest.fixture(params=["sqlite", "postgresql"])
def theirs(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Theirs:
    """An empty database of either system, and a lake."""
    monkeypatch.setattr(clock, "utc_now", lambda: NOW)
    sqlite = f"sqlite:///{tmp_path / 'theirs.sqlite'}"
    url = sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return Theirs(url, tmp_path, sales())


@pytest.fixture
def their_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Theirs:
    """An empty SQLite database, and a lake."""
    monkeypatch.setattr(clock, "utc_now", lambda: NOW)
    return Theirs(f"sqlite:///{tmp_path / 'theirs.sqlite'}", tmp_path, sales())


@pytest.fixture
def their_postgres(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Theirs:  # noqa: F811
    """An empty PostgreSQL database, and a lake."""
    monkeypatch.setattr(clock, "utc_now", lambda: NOW)
    return Theirs(postgres_url, tmp_path, sales())


def at(hour: int, minute: int = 0, second: float = 0) -> datetime:
    """A time of the tests' day."""
    return datetime(2026, 1, 5, hour, minute, tzinfo=UTC) + timedelta(seconds=second)
