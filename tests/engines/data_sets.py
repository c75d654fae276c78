"""A data set of any kind with any contract, landed from its source and made by an engine: the same story on each."""

import json
import os
import shutil
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa

from dagster_lake import clock
from dagster_lake.contract.model import Contract, DatabaseSource, EventHubSource, FileSource, Property, Source
from dagster_lake.engines.duckdb.engine import DuckDBEngine
from dagster_lake.engines.spark.engine import SparkEngine
from dagster_lake.engines.step import Check, Engine, Step, StepResult
from dagster_lake.lake_hour import HOUR, HourRange, hour_key
from dagster_lake.landing.land import land_hours, land_snapshot
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.database.database import Database
from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import has_newest
from tests.engines.tables import differences
from tests.lake.lakes import content_of

FIRST = datetime(2026, 1, 5, 12, tzinfo=UTC)
NOW = datetime(2026, 1, 12, 9, 30, tzinfo=UTC)
ENGINES: dict[str, type[DuckDBEngine] | type[SparkEngine]] = {"duckdb": DuckDBEngine, "spark": SparkEngine}
SOURCES: dict[str, Source] = {
    "events": EventHubSource("things"),
    "snapshots": FileSource("json_lines"),
    "database": DatabaseSource("things", "written"),
}
WRITTEN = Property("written", "timestamp", "Last written.", required=True)


def things(kind: str, *properties: Property, name: str = "things") -> Contract:
    """A contract of that kind of source; that of a database table has ``written`` last."""
    cadence = "snapshot" if kind == "snapshots" else "hourly"
    own = (*properties, WRITTEN) if kind == "database" else properties
    return Contract(name, "1", "A thing.", "shop", "team:shop", SOURCES[kind], cadence, own, file=f"{name}.odcs.yaml")


@dataclass
class DataSet:
    """One lake of one data set, and one engine."""

    root: Path
    contract: Contract
    engine_name: str
    results: list[StepResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.lake = Lake.at(str(self.root))
        settings = Settings(root=str(self.root), threads=1)
        self.engine: Engine = ENGINES[self.engine_name](self.lake, {self.contract.name: self.contract}, settings)

    def under(self, contract: Contract) -> None:
        """From now on the contract is this one."""
        self.contract = contract
        self.engine.contracts[contract.name] = contract  # type: ignore[attr-defined]

    def comes(self, number: int, rows: Sequence[Mapping[str, Any] | bytes], *, again: Iterable[int] = ()) -> None:
        """The rows come from the source in the load (hour or day) of that number, and all tables are made of it, and
        once more of the loads ``again``."""
        with patch.object(clock, "utc_now", lambda: NOW):
            partition = self._landed(number, rows)
            partitions = (*(self.partitions[each] for each in again), partition)
            self.partitions[number] = partition
            for layer in ("bronze", "silver", *(["newest"] if has_newest(self.contract) else [])):
                step = Step(self.contract.name, layer, partitions, accepted=partitions)  # type: ignore[arg-type]
                made = self.engine.run(step)
                assert all(count.balanced for count in made.counts.values()), made
                self.results.append(replace(made, version=0, table_bytes=0))

    def copied(self, root: Path, engine_name: str) -> "DataSet":
        """The same lake and sources elsewhere, for another engine to go on with."""
        shutil.copytree(self.root, root)
        other = DataSet(root, self.contract, engine_name, [*self.results])
        other.partitions.update(self.partitions)
        return other

    def check(self) -> dict[str, dict[str, int]]:
        """What the contract's checks find."""
        hours = None if self.contract.cadence == "snapshot" else tuple(self.partitions.values())
        return self.engine.check(Check(self.contract.name, hours, ("keys_unique", "rules_hold")))

    @property
    def partitions(self) -> dict[int, str]:
        """The partitions that have landed, by number."""
        return self.__dict__.setdefault("_partitions", {})

    def differences(self, other: "DataSet") -> list[str]:
        """What tells the tables and results of two engines apart."""
        mine, theirs = self.folders(), other.folders()
        told = [f"tables: {sorted(mine)} instead of {sorted(theirs)}"] if mine.keys() != theirs.keys() else []
        for name in sorted(mine.keys() & theirs.keys()):
            told += [f"{name}: {each}" for each in differences(mine[name], theirs[name])]
        pairs = zip(self.results, other.results, strict=True)
        return told + [f"{a} instead of {b}" for a, b in pairs if a != b]

    def folders(self) -> dict[str, Path]:
        """Every table, by its name."""
        found = [log.parent for log in self.root.rglob("_delta_log")]
        return {f"{folder.parent.name}/{folder.name}": folder for folder in found}

    def rows(self, table: str) -> list[dict[str, Any]]:
        """The rows of one table, such as ``silver/things``."""
        return content_of(self.folders()[table])

    def _landed(self, number: int, rows: Sequence[Mapping[str, Any] | bytes]) -> str:
        if isinstance(self.contract.source, DatabaseSource):
            return self._written(number, [row for row in rows if isinstance(row, Mapping)])
        lines = [row if isinstance(row, bytes) else json.dumps(row, ensure_ascii=False).encode() for row in rows]
        if isinstance(self.contract.source, FileSource):
            folder = self.root / "landing" / self.contract.name
            folder.mkdir(parents=True, exist_ok=True)
            for old in folder.iterdir():
                old.unlink()
            file = folder / f"{number}.jsonl"
            file.write_bytes(b"\n".join(lines))
            moment = (FIRST + timedelta(days=number)).timestamp()
            os.utime(file, (moment, moment))
            return land_snapshot(self.contract, self.lake).partition
        hub = EmbeddedEventHub(self.root / "sources" / "event_hub")
        start = FIRST + number * HOUR
        columns = {
            "enqueued_time": pa.array(
                [start + timedelta(seconds=1 + n) for n in range(len(lines))], pa.timestamp("us", "UTC")
            ),
            "partition_key": pa.array(["one"] * len(lines), pa.string()),
            "body": pa.array(lines, pa.binary()),
        }
        hub.append("things", str(number), [pa.RecordBatch.from_pydict(columns)])
        land_hours(self.contract, self.lake, HourRange.of(hour_key(start)), Sources(hub, None))  # type: ignore[arg-type]
        return hour_key(start)

    def _written(self, number: int, rows: Sequence[Mapping[str, Any]]) -> str:
        start = FIRST + number * HOUR
        path = self.root / "their.sqlite"
        path.parent.mkdir(parents=True, exist_ok=True)
        names = [p.name for p in self.contract.source_properties]
        listed = ", ".join(_quoted(name) for name in names)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"CREATE TABLE IF NOT EXISTS things ({listed})")
            there = [row[1] for row in connection.execute("PRAGMA table_info(things)")]
            for name in (name for name in names if name not in there):
                connection.execute(f"ALTER TABLE things ADD COLUMN {_quoted(name)}")
            for n, row in enumerate(rows):
                written = (start + timedelta(seconds=1 + n)).isoformat()
                values = [{"written": written, **row}.get(name) for name in names]
                connection.execute(f"INSERT INTO things ({listed}) VALUES ({', '.join('?' * len(names))})", values)
        sources = Sources(None, Database(f"sqlite:///{path}"))
        land_hours(self.contract, self.lake, HourRange.of(hour_key(start)), sources)
        return hour_key(start)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
