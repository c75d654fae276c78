"""What is delivered late, in part or not at all: the last whole snapshot stays in force, and nothing else stops."""

import os
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_lake.definitions import defs
from dagster_lake.defs.schedules import hourly_job
from dagster_lake.lake_resource import LakeResource
from dagster_lake.sources.database.database import Database, DatabaseError
from tests.lake.lakes import FIRST_HOUR, TestLake, definitions, write
from tests.lake.test_hand_made_input import OF_USERS, drop_ids, newest, person
from tests.lake.test_rerun import SMALL

EVERYTHING = {"silver/orders", "silver/pageviews", "streams/vip_pageviews", "gold/engagements", "gold/daily_sales"}
FILES = ("users", "vip_users", "products")


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[TestLake]:
    made = TestLake(tmp_path / "lake", SMALL)
    with made.here():
        yield made


@pytest.fixture(scope="module")
def one_hour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake that holds the first hour."""
    made = TestLake(tmp_path_factory.mktemp("one_hour") / "lake", SMALL)
    with made.here():
        run_the_hour()
    return made.root


@pytest.fixture
def built(one_hour: Path, tmp_path: Path) -> Iterator[TestLake]:
    """A copy of it, to do harm to."""
    shutil.copytree(one_hour, tmp_path / "lake")
    made = TestLake(tmp_path / "lake", SMALL)
    with made.here():
        yield made


def run_the_hour(*, without: tuple[str, ...] = (), ok: bool = True) -> dg.ExecuteInProcessResult:
    """The hourly job for the first hour, without the named sources."""
    job = defs.resolve_job_def(hourly_job.name)
    left_out = {dg.AssetKey(["sources", name]) for name in without}
    result = job.execute_in_process(
        partition_key=FIRST_HOUR,
        asset_selection=[key for key in job.asset_layer.executable_asset_keys if key not in left_out],
        raise_on_error=ok,
    )
    assert result.success or not ok
    return result


def notes_of(result: dg.ExecuteInProcessResult, data_set: str) -> str:
    """What the materialisation of raw says to the data set's owner."""
    [made] = result.asset_materializations_for_node(f"raw__{data_set}")
    return str(made.metadata["notes"].value) if "notes" in made.metadata else ""


def made(result: dg.ExecuteInProcessResult) -> set[str]:
    return {key.to_user_string() for event in result.get_asset_materialization_events() if (key := event.asset_key)}


def test_what_was_never_delivered_is_an_empty_table_and_every_other_table_is_made(
    lake: TestLake, capfd: pytest.CaptureFixture[str]
) -> None:
    result = run_the_hour(without=FILES)
    assert "no file to land" in capfd.readouterr().err
    for name in FILES:
        assert "Nothing was ever delivered, so its tables are empty" in notes_of(result, name)
        for table in (f"bronze/{name}", f"quarantine/{name}", f"silver/{name}_snapshots", f"silver/{name}"):
            assert lake.rows(table) == [], table
    assert len(lake.rows("silver/orders")) > 0
    assert made(result) >= EVERYTHING


def test_what_arrives_after_an_empty_start_is_taken(lake: TestLake) -> None:
    lake.materialize(selection=OF_USERS)
    drop_ids(lake, [1, 2], day=0)
    lake.materialize(selection=OF_USERS)
    assert newest(lake) == {1: None, 2: None}


def test_a_folder_emptied_after_a_delivery_leaves_the_last_snapshot_in_force(lake: TestLake) -> None:
    drop_ids(lake, [1, 2], day=0)
    lake.materialize(selection=OF_USERS)
    before = lake.content()
    shutil.rmtree(lake.root / "landing" / "users")
    result = lake.materialize(selection=OF_USERS)
    assert "Snapshot 2026-01-05T060000Z stays in force" in notes_of(result, "users")
    assert lake.content() == before


def test_a_refused_export_leaves_the_last_snapshot_in_force_and_stops_nothing_else(built: TestLake) -> None:
    before = built.rows("silver/users")
    write(built.root / "landing" / "users" / "users.jsonl", "")
    result = run_the_hour(without=("users",), ok=False)
    assert not result.success
    [failed] = [event.step_key for event in result.all_events if event.is_step_failure]
    assert failed == "accepted__users_snapshots"
    assert made(result) >= EVERYTHING
    assert built.rows("silver/users") == before


def test_a_file_dated_in_the_future_is_corrected_by_one_that_is_dropped_later(lake: TestLake) -> None:
    folder = lake.root / "landing" / "users"
    write(folder / "a.jsonl", person(1, city="Brno") + "\n", datetime(2131, 1, 1, tzinfo=UTC))
    lake.materialize(selection=OF_USERS)
    write(folder / "b.jsonl", person(1, city="Praha") + "\n")
    result = lake.materialize(selection=OF_USERS)
    assert "a.jsonl is dated 2131-01-01T00:00:00Z, after it arrived" in notes_of(result, "users")
    assert [row["city"] for row in lake.rows("silver/users")] == ["Praha"]


def test_a_folder_that_may_not_be_read_fails_the_run_and_stops_nothing(
    built: TestLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = built.rows("silver/users_snapshots")
    listing = os.scandir

    def refused(folder: Any) -> Any:
        if str(folder).endswith("landing/users"):
            raise PermissionError(13, "Permission denied", str(folder))
        return listing(folder)

    monkeypatch.setattr("dagster_lake.landing.dropped.os.scandir", refused)
    result = run_the_hour(ok=False)
    assert not result.success
    [failed] = [event for event in result.all_events if event.is_step_failure]
    assert failed.step_key == "landed__users"
    assert "landing/users cannot be read; give its reader permission" in str(failed.step_failure_data.error)
    [check] = [
        check for check in result.get_asset_check_evaluations() if check.check_name == "landed" and not check.passed
    ]
    assert check.asset_key == dg.AssetKey(["raw", "users"])
    assert made(result) >= EVERYTHING
    assert built.rows("silver/users_snapshots") == before


def test_what_stays_unreadable_fails_one_scheduled_run_and_every_run_by_hand(lake: TestLake) -> None:
    write(lake.root / "landing" / "users" / "export.csv", "id,name\n1,Eva\n")
    instance, schedule = dg.DagsterInstance.ephemeral(), {"dagster/schedule_name": "close_the_hour"}

    def run(**tags: str) -> tuple[bool, dg.AssetCheckSeverity]:
        result = dg.materialize(
            definitions(),
            selection=dg.AssetSelection.keys(["raw", "users"]),
            resources={"lake": LakeResource()},
            tags=tags,
            instance=instance,
            raise_on_error=False,
        )
        (check,) = result.get_asset_check_evaluations()
        assert not check.passed
        assert "export.csv" in (check.description or "")
        return result.success, check.severity

    assert run(**schedule) == (False, dg.AssetCheckSeverity.ERROR)
    assert run(**schedule) == (True, dg.AssetCheckSeverity.WARN)
    assert run() == (False, dg.AssetCheckSeverity.ERROR)


def test_a_database_that_is_away_stops_neither_events_nor_their_streams_nor_files(
    built: TestLake, monkeypatch: pytest.MonkeyPatch
) -> None:

    def away(*_: Any, **__: Any) -> None:
        raise DatabaseError("the database does not answer")

    for call in ("fingerprint", "read"):
        monkeypatch.setattr(Database, call, away)
    result = run_the_hour(ok=False)
    assert not result.success
    assert {"silver/pageviews", "silver/stars", "silver/users", "streams/vip_pageviews"} <= made(result)


def test_no_check_that_warns_shares_a_step_with_one_that_blocks() -> None:
    graph = defs.resolve_asset_graph()
    steps = defs.get_repository_def().asset_checks_defs_by_key.values()
    for step in {checks.op.name: checks for checks in steps}.values():
        assert len({graph.get_check_spec(key).blocking for key in step.check_keys}) == 1, step.op.name
