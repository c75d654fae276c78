"""Versions of rows as bronze holds them, the engine that makes silver's latest rows of them, and the rule in Python."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from dagster_lake.contract.columns import bronze_schema
from dagster_lake.contract.model import Contract, DatabaseSource, FileSource, Property
from dagster_lake.engines.duckdb.engine import DuckDBEngine
from dagster_lake.engines.step import Engine, Step, StepResult
from dagster_lake.lake_hour import HOUR, hour_key
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import bronze_table, deletions_table, newest_table
from tests.unit.compiled import contract as short_contract

FIRST = datetime(2026, 1, 5, tzinfo=UTC)
LANDED = datetime(2026, 1, 9, tzinfo=UTC)
_ID = Property("id", "integer", "d", required=True, key=True)
_UPDATED_AT = Property("updated_at", "timestamp", "d", required=True)
Row = dict[str, Any]


def strict(of: Contract, minimum: int | None) -> Contract:
    """The contract with another least ``n``."""
    properties = [replace(p, minimum=minimum) if p.name == "n" else p for p in of.properties]
    return replace(of, properties=tuple(properties))


ORDERS = replace(
    short_contract(DatabaseSource("orders", "updated_at"), [_ID], [_UPDATED_AT, Property("n", "integer", "d")]),
    name="orders",
)
USERS = replace(short_contract(FileSource("json_lines"), [_ID], [Property("n", "integer", "d")]), name="users")


def hour(number: int) -> str:
    """The lake hour of that number, from 0."""
    return hour_key(FIRST + number * HOUR)


def snapshot(number: int) -> str:
    """The snapshot of that number, from 0."""
    return (FIRST + timedelta(days=number)).strftime("%Y-%m-%dT%H%M%SZ")


@dataclass
class LatestWorld:
    """One lake with one data set, whose bronze tests write as they like."""

    root: Path
    contract: Contract
    make_engine: Any = DuckDBEngine
    bronze: dict[str, list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.lake = Lake.at(str(self.root))
        self.settings = Settings(root=str(self.root), threads=1)
        self.engine: Engine = self.make_engine(self.lake, {self.contract.name: self.contract}, self.settings)

    def under(self, contract: Contract) -> None:
        """From now on the contract is this one."""
        self.contract = contract
        self.engine.contracts[contract.name] = contract  # type: ignore[attr-defined]

    def change(self, number: int, *rows: tuple[int, int, int | None]) -> None:
        """Bronze of an hour becomes these rows: key, minute of the time of writing, and ``n``."""
        moment = FIRST + number * HOUR
        self._write(hour(number), [{"id": k, "updated_at": moment + timedelta(minutes=m), "n": n} for k, m, n in rows])

    def export(self, number: int, rows: Iterable[tuple[int | str, int | str | None]]) -> None:
        """Bronze of a snapshot becomes these rows: key and ``n``."""
        texts = [{"id": str(k), "n": None if n is None else str(n)} for k, n in rows]
        self._write(snapshot(number), [{**row, "_source_modified": FIRST} for row in texts])

    def delete(self, deletions: Mapping[int, datetime]) -> None:
        """The source has deleted these keys."""
        spec = deletions_table(self.lake, self.contract)
        rows = [{"id": key, "_deleted_at": at} for key, at in sorted(deletions.items())]
        delta.overwrite(spec, pa.Table.from_pylist(rows, spec.schema).to_reader, {})

    def make(self, *partitions: str, accept_shrink: bool = False) -> StepResult:
        """Silver of these partitions, and then the latest rows."""
        made = self.silver(*partitions, accept_shrink=accept_shrink)
        self.newest(*partitions)
        return made

    def silver(self, *partitions: str, accept_shrink: bool = False) -> StepResult:
        """Silver alone."""
        return self.engine.run(Step(self.contract.name, "silver", partitions, accept_shrink=accept_shrink))

    def newest(self, *partitions: str) -> StepResult:
        """The latest rows alone."""
        return self.engine.run(Step(self.contract.name, "newest", partitions))

    def rows(self) -> dict[int, tuple[Any, ...]]:
        """The latest rows by key: ``n``, the partition, since when the row is gone, whether a newer one is bad."""
        pinned = delta.pin(newest_table(self.lake, self.contract).uri)
        assert pinned
        found = pinned.table.to_pyarrow_table().to_pylist()
        assert len({row["id"] for row in found}) == len(found)
        return {
            row["id"]: (
                row["n"],
                row.get("_lake_hour") or row["_snapshot"],
                row.get("_deleted_at") or row.get("_missing_since"),
                row["_newer_in_quarantine"],
            )
            for row in found
        }

    @property
    def version(self) -> int:
        """The version of the table of latest rows."""
        pinned = delta.pin(newest_table(self.lake, self.contract).uri)
        assert pinned
        return pinned.version

    def _write(self, partition: str, rows: list[Row]) -> None:
        self.bronze[partition] = rows
        spec, column = bronze_table(self.lake, self.contract), bronze_schema(self.contract).names[-1]
        place = {"_source_file": "f", "_ingested_at": LANDED, column: partition}
        full = [{**row, **place, "_source_row": number} for number, row in enumerate(rows, 1)]
        delta.replace_partitions(spec, [partition], pa.Table.from_pylist(full, spec.schema).to_reader, {})


def latest_changes(
    bronze: Mapping[str, list[Row]], made: Mapping[str, int | None], deletions: Mapping[int, datetime]
) -> dict[int, tuple[Any, ...]]:
    """The rule for changes: of each key the newest valid version, in hours that were ``made`` by a least ``n``."""
    valid: dict[int, tuple[Any, ...]] = {}
    doubted: dict[int, tuple[Any, ...]] = {}
    for partition, least in made.items():
        for place, row in enumerate(bronze[partition]):
            good = least is None or row["n"] is None or row["n"] >= least
            best = valid if good else doubted
            version = (row["updated_at"], place, row["n"], partition)
            best[row["id"]] = max(best.get(row["id"], version), version, key=lambda v: v[:2])
    return {
        key: (
            version[2],
            version[3],
            deletions[key] if key in deletions and deletions[key] >= version[0] else None,
            key in doubted and doubted[key][:2] > version[:2],
        )
        for key, version in valid.items()
    }


def not_valid(row: Row, least: int | None) -> bool:
    """Whether a row of an export breaks a rule."""
    n = row["n"]
    return not row["id"].isdigit() or (n is not None and (not n.isdigit() or int(n) < (least or 0)))


def latest_of_snapshots(
    bronze: Mapping[str, list[Row]], least: Mapping[str, int | None], accepted: Collection[str]
) -> dict[int, tuple[Any, ...]]:
    """The rule for snapshots: of each key its row in the last accepted one with a valid row; missing since the first
    accepted one that has no row of it at all after the last one that has."""
    found: dict[int, tuple[Any, ...]] = {}
    last: dict[int, str] = {}
    ordered = sorted(accepted)
    for partition in ordered:
        good, bad = {}, set()
        for row in bronze[partition]:
            if not row["id"].isdigit():
                continue
            if not_valid(row, least[partition]):
                bad.add(int(row["id"]))
            else:
                good[int(row["id"])] = None if row["n"] is None else int(row["n"])
        for key, value in good.items():
            found[key] = (value, partition, False)
            last[key] = partition
        for key in bad - {*good}:
            last[key] = partition
            if key in found:
                found[key] = (*found[key][:2], True)
    return {
        key: (n, partition, next((later for later in ordered if later > last[key]), None), newer)
        for key, (n, partition, newer) in found.items()
    }
