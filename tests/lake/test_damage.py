"""Damaged tables: who meets one is told table, file and command; no other table is hidden; and the command mends it."""

import os
import random
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partialmethod
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pytest
from click.testing import Result
from deltalake import DeltaTable
from typer.testing import CliRunner

from dagster_lake.cli import app
from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.manifest import DbtRunError
from dagster_lake.dbt_runner.run import NodeResult, build
from dagster_lake.engines.step import Step
from dagster_lake.engines.told_damage import tells_damage
from dagster_lake.operations.health.tables import raw_health, tables_health
from dagster_lake.storage.damage import TableDamaged
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.duckdb.scan import scan_sql
from dagster_lake.storage.examine import content_faults
from dagster_lake.storage.paths import Lake
from tests.lake.lakes import TestLake, hours

SCHEMA = pa.schema([("id", pa.int64()), ("city", pa.string()), ("_lake_hour", pa.string())])
HOURS = [f"2026-01-05T1{n}" for n in range(3)]
ROWS = 3
LAST = "00000000000000000003.json"


def rows_of(*wanted: str) -> pa.Table:
    found = [{"id": n, "city": f"city {n}", "_lake_hour": hour} for hour in wanted for n in range(ROWS)]
    return pa.Table.from_pylist(found, SCHEMA)


def write(lake: Lake, layer: str, name: str) -> TableSpec:
    """A table of version 3: made, and then an hour a commit."""
    spec = TableSpec(lake.table(layer, name), SCHEMA, "_lake_hour")
    for hour in HOURS:
        delta.replace_partitions(spec, [hour], lambda hour=hour: rows_of(hour).to_reader(), {})  # type: ignore[misc]
    return spec


class World:
    """A lake with two tables, one of which is damaged."""

    def __init__(self, root: Path) -> None:
        self.lake = Lake.at(str(root))
        self.spec = write(self.lake, "silver", "pageviews")
        write(self.lake, "silver", "stars")
        self.folder = Path(str(self.spec.uri))
        self.log = self.folder / "_delta_log"

    def data(self, hour: str) -> Path:
        (file,) = self.folder.glob(f"_lake_hour={hour}/*.parquet")
        return file

    def checkpoint(self) -> Path:
        DeltaTable(str(self.folder)).create_checkpoint()
        (file,) = self.log.glob("*.checkpoint.parquet")
        return file

    def without_history(self, before: int) -> None:
        for version in range(before):
            (self.log / f"{version:020}.json").unlink()

    def run(self, *arguments: str) -> Result:
        delta._held.clear()  # as a process that comes anew
        return CliRunner().invoke(app, list(arguments), catch_exceptions=False, env={"COLUMNS": "200"})

    def rows(self) -> dict[str, int]:
        delta._held.clear()
        pinned = delta.pin(self.spec.uri)
        return {} if pinned is None else {hour: pinned.rows([hour]) for hour in pinned.partitions()}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "lake"))
    return World(tmp_path / "lake")


def cut(file: Path, share: float = 0.5) -> Path:
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    return file


def emptied(file: Path) -> Path:
    file.write_bytes(b"")
    return file


def gone(file: Path) -> Path:
    file.unlink()
    return file


def zeros(file: Path) -> Path:
    file.write_bytes(bytes(file.stat().st_size))
    return file


def cut_after_its_first_line(file: Path) -> Path:
    file.write_bytes(file.read_bytes().splitlines(keepends=True)[0])
    return file


def damaged_checkpoint(world: World) -> Path:
    return cut(world.checkpoint())


def lost_checkpoint(world: World) -> Path:
    gone(world.checkpoint())
    return world.log / "_last_checkpoint"


def only_checkpoint(world: World) -> Path:
    file = cut(world.checkpoint())
    world.without_history(before=3)
    return file


def two_lost_at_once(world: World) -> Path:
    """A power failure takes more than the last commit."""
    emptied(world.log / "00000000000000000002.json")
    return emptied(world.log / LAST)


LAST_ONES: dict[str, Callable[[World], Path]] = {
    "a last commit that is cut off": lambda world: cut(world.log / LAST),
    "a last commit that is cut off after a line": lambda world: cut_after_its_first_line(world.log / LAST),
    "an empty last commit": lambda world: emptied(world.log / LAST),
    "a last commit of zeros": lambda world: zeros(world.log / LAST),
    "two empty commits": two_lost_at_once,
}
SPARED: dict[str, Callable[[World], Path]] = {
    "a cut-off checkpoint": damaged_checkpoint,
    "a checkpoint that is gone": lost_checkpoint,
}
WHOLE: dict[str, Callable[[World], Path]] = {
    "an empty commit in the middle": lambda world: emptied(world.log / "00000000000000000002.json"),
    "a commit that is gone in the middle": lambda world: gone(world.log / "00000000000000000002.json"),
    "an empty first commit": lambda world: emptied(world.log / "00000000000000000000.json"),
    "the only checkpoint": only_checkpoint,
}
LOGS = {**LAST_ONES, **SPARED, **WHOLE}


def test_status_tells_of_a_data_file_that_is_not_there_and_fails(world: World) -> None:
    assert world.run("status").exit_code == 0
    file = gone(world.data(HOURS[1]))
    status = world.run("status")
    assert status.exit_code == 1
    assert f"damaged silver.pageviews: {file} is missing; `lake repair silver.pageviews`" in status.output


@pytest.mark.parametrize("damage", LOGS.values(), ids=LOGS.keys())
def test_a_damaged_log_is_told_with_table_file_and_command_and_hides_no_other_table(
    world: World, damage: Callable[[World], Path]
) -> None:
    file = damage(world)
    delta._held.clear()
    with pytest.raises(TableDamaged) as told:
        delta.pin(world.spec.uri)
    for part in ("silver.pageviews", str(file), "`lake repair silver.pageviews`"):
        assert part in str(told.value)
    status = world.run("status")
    assert status.exit_code == 1
    (row,) = [line for line in status.output.splitlines() if line.strip().startswith("silver.stars")]
    assert f" {len(HOURS) * ROWS} " in row
    assert f"damaged silver.pageviews: {world.log}" in status.output
    assert world.run("query", "--format", "csv", "select count(*) from silver.stars").stdout.split()[-1] == "9"
    query = world.run("query", "select count(*) from silver.pageviews")
    assert query.exit_code == 1
    assert "`lake repair silver.pageviews`" in query.output


@pytest.mark.parametrize("damage", LAST_ONES.values(), ids=LAST_ONES.keys())
def test_cut_off_last_commits_become_ones_that_change_nothing_and_later_versions_follow_on_them(
    world: World, damage: Callable[[World], Path]
) -> None:
    damage(world)
    done = world.run("repair", "silver.pageviews", "--yes")
    assert done.exit_code == 0
    assert "dagster asset materialize" in done.output
    lost = HOURS[1:] if damage is two_lost_at_once else HOURS[2:]
    assert world.rows() == dict.fromkeys([hour for hour in HOURS if hour not in lost], ROWS)
    for hour in lost:
        delta.replace_partitions(world.spec, [hour], lambda hour=hour: rows_of(hour).to_reader(), {})  # type: ignore[misc]
    pinned = delta.pin(world.spec.uri)
    assert pinned is not None
    assert pinned.version == 3 + len(lost)
    assert world.rows() == dict.fromkeys(HOURS, ROWS)
    assert "nothing to mend" in world.run("repair", "silver.pageviews").output


def test_what_a_cut_off_commit_still_says_names_the_hour_to_make_again(world: World) -> None:
    cut(world.log / LAST, 0.9)
    assert f"--partition-range {HOURS[2]}...{HOURS[2]}" in world.run("repair", "silver.pageviews", "--yes").output


@pytest.mark.parametrize("damage", SPARED.values(), ids=SPARED.keys())
def test_what_a_log_can_do_without_goes_aside_and_no_row_is_lost(world: World, damage: Callable[[World], Path]) -> None:
    damage(world)
    done = world.run("repair", "silver.pageviews", "--yes")
    assert "No row was lost" in done.output
    assert world.rows() == dict.fromkeys(HOURS, ROWS)


@pytest.mark.parametrize("damage", WHOLE.values(), ids=WHOLE.keys())
def test_a_log_that_is_broken_further_down_goes_aside_with_its_table_which_is_then_made_anew(
    world: World, damage: Callable[[World], Path]
) -> None:
    damage(world)
    assert world.run("repair", "silver.pageviews", "--yes").exit_code == 0
    assert not world.folder.exists()
    (aside,) = Path(str(world.lake.root)).glob("damaged/silver.pageviews/*/pageviews/_delta_log")
    assert aside.is_dir()
    write(world.lake, "silver", "pageviews")
    assert world.rows() == dict.fromkeys(HOURS, ROWS)


@pytest.mark.parametrize("damage", [gone, emptied, cut, zeros])
def test_only_the_hour_of_a_damaged_file_is_taken_out_and_made_again(
    world: World, damage: Callable[[Path], Path]
) -> None:
    file = damage(world.data(HOURS[1]))
    shown = world.run("repair", "silver.pageviews", "--yes").output
    assert str(file) in shown
    assert f"--partition-range {HOURS[1]}...{HOURS[1]}" in shown
    assert world.rows() == {HOURS[0]: ROWS, HOURS[2]: ROWS}
    delta.replace_partitions(world.spec, [HOURS[1]], lambda: rows_of(HOURS[1]).to_reader(), {})
    assert world.rows() == dict.fromkeys(HOURS, ROWS)


def test_nothing_changes_unless_it_is_confirmed(world: World) -> None:
    file = cut(world.log / LAST)
    before = file.read_bytes()
    asked = world.run("repair", "silver.pageviews")
    assert asked.exit_code == 1
    assert file.read_bytes() == before


def test_a_hint_that_is_no_json_is_no_reason_to_fail_but_is_found_and_mended(world: World) -> None:
    world.checkpoint()
    (world.log / "_last_checkpoint").write_text("{")
    assert world.rows() == dict.fromkeys(HOURS, ROWS)
    assert "_last_checkpoint is no JSON" in world.run("repair", "silver.pageviews", "--yes").output
    assert "nothing to mend" in world.run("repair", "silver.pageviews").output


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_a_damaged_marker_is_told_by_every_command_with_what_to_write_into_it(world: World, text: str) -> None:
    (Path(str(world.lake.root)) / "lake.json").write_text(text)
    for command in (["status"], ["upgrade"], ["doctor", "--deep"]):
        told = world.run(*command)
        assert told.exit_code == 1
        assert "lake.json is damaged" in told.output


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> TestLake:
    """A lake with an hour of orders and of their items."""
    lake = TestLake(tmp_path_factory.mktemp("built") / "lake")
    for data_set in ("orders", "order_items"):
        lake.run_data_set(data_set, *hours(1))
    return lake


def test_a_step_that_meets_a_missing_file_says_which_table_and_what_mends_it(built: TestLake) -> None:
    (file,) = built.table_folder("bronze/orders").glob("*/*.parquet")
    content = file.read_bytes()
    file.unlink()
    try:
        with pytest.raises(TableDamaged, match=r"bronze\.orders: .*is missing.*`lake repair bronze.orders`"):
            built.resource.engine.run(Step("orders", "silver", tuple(hours(1))))
    finally:
        file.write_bytes(content)


@pytest.mark.parametrize("damage", ["log", "data"])
def test_a_model_of_a_damaged_table_fails_by_its_name_and_the_others_are_made(built: TestLake, damage: str) -> None:
    folder = built.table_folder("silver/orders")
    (file,) = folder.glob("*/*.parquet") if damage == "data" else [max(folder.glob("_delta_log/*.json"))]
    content = file.read_bytes()
    file.write_bytes(b"")
    delta._held.clear()
    models = ["model.dagster_lake.daily_sales", "model.dagster_lake.users_history"]
    made: list[NodeResult] = []
    try:
        with built.here(), pytest.raises(DbtRunError, match=r"silver\.orders: .*`lake repair silver.orders`"):
            made.extend(build(models, None, built.resource.lake, built.resource.settings))
    finally:
        file.write_bytes(content)
        delta._held.clear()
    assert [result.name for result in made if result.ok] == ["users_history"]


def test_a_damaged_table_or_manifest_has_a_row_of_its_own_and_takes_nothing_from_the_rows_of_others(
    built: TestLake,
) -> None:
    lake = built.resource.lake
    log = max(built.table_folder("quarantine/orders").glob("_delta_log/*.json"))
    (manifest,) = (built.root / "raw" / "orders").glob("*/_manifest.json")
    contents = {file: file.read_bytes() for file in (log, manifest)}
    try:
        for file in contents:
            file.write_bytes(b"")
        delta._held.clear()
        rows = {one.name: one for one in (*raw_health(lake), *tables_health(lake))}
    finally:
        for file, content in contents.items():
            file.write_bytes(content)
        delta._held.clear()
    assert {name for name, row in rows.items() if row.problem} == {"raw.orders", "quarantine.orders"}
    assert "`lake repair quarantine.orders`" in str(rows["quarantine.orders"].problem)
    assert rows["silver.orders_changes"].rows
    assert rows["raw.order_items"].newest


def test_the_contracts_tables_that_are_looked_at_are_those_that_there_are(built: TestLake) -> None:
    from dagster_lake.storage.tables import tables_of

    known = {str(uri) for contract in contracts().values() for uri in tables_of(built.resource.lake, contract)}
    there = {str(log.parent) for log in built.root.rglob("_delta_log")}
    assert there <= known | {str(folder) for folder in built.root.glob("gold/*")}


def flipped(content: bytes, number: int) -> bytes:
    """The content with one bit the other way around, another one for each number."""
    place = random.Random(number).randrange(len(content) * 8)
    changed = bytearray(content)
    changed[place // 8] ^= 1 << place % 8
    return bytes(changed)


def test_no_flipped_bit_of_an_hour_is_read_by_a_step_or_missed_by_a_look_at_every_file(world: World) -> None:
    """Without checksums DuckDB reads 127 of 200 flips as other values, and Arrow 139."""
    file = world.data(HOURS[1])
    whole = file.read_bytes()
    pinned = delta.pin(world.spec.uri)
    assert pinned is not None
    for number in range(100):
        file.write_bytes(flipped(whole, number))
        with pytest.raises(TableDamaged, match=r"`lake repair silver\.pageviews`"):
            scan_sql(pinned, [HOURS[1]])
        (fault,) = content_faults(pinned, lambda read: None)
        assert (str(fault.place), fault.partition) == (str(file), HOURS[1])
    file.write_bytes(whole)
    scan_sql(pinned, [HOURS[1]])
    assert list(content_faults(pinned, lambda read: None)) == []


def test_a_vacuum_keeps_the_checksums_of_live_files_and_removes_those_of_the_files_that_it_removes(
    world: World,
) -> None:
    delta.replace_partitions(world.spec, [HOURS[0]], lambda: rows_of(HOURS[0]).to_reader(), {})
    long_ago = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
    for path in world.folder.rglob("*"):
        if path.is_file():
            os.utime(path, (long_ago, long_ago))
    before = {path.name for path in (world.folder / "_checksums").iterdir()}
    with patch.object(DeltaTable, "vacuum", partialmethod(_vacuum_at_once, DeltaTable.vacuum)):
        delta.vacuum(world.spec.uri)
    live = {path.name for path in world.folder.glob("_lake_hour=*/*.parquet")}
    assert len(before) == len(live) + 1
    assert {path.stem for path in (world.folder / "_checksums").iterdir()} == live


def _vacuum_at_once(table: DeltaTable, vacuum: Callable[..., list[str]], **options: object) -> list[str]:
    return vacuum(table, **{**options, "retention_hours": 0}, enforce_retention_duration=False)


def test_where_no_table_can_be_looked_at_a_step_fails_for_its_own_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    class Engine:
        """As on a Databricks cluster, where the wheel is installed without delta-rs."""

        lake, contracts = Lake.at("/nowhere"), contracts()

        class settings:
            catalog = None

        @tells_damage
        def run(self, step: Step) -> None:
            raise ValueError("the step's own reason")

    monkeypatch.setitem(sys.modules, "dagster_lake.storage.examine", None)
    with pytest.raises(ValueError, match="the step's own reason"):
        Engine().run(Step("users", "silver", ("2026-01-05T060000Z",)))


def test_files_of_a_run_that_died_before_they_had_a_checksum_get_one_with_the_next_commit(world: World) -> None:
    died = world.folder / "_checksums" / f"{world.data(HOURS[-1]).name}.crc32"
    died.unlink()
    delta.replace_partitions(world.spec, [HOURS[0]], lambda: rows_of(HOURS[0]).to_reader(), {})
    assert died.exists()
