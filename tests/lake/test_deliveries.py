"""What is delivered late, in part or not at all: the last whole snapshot stays in force, and nothing else stops."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_lake.automation import hourly_job
from dagster_lake.definitions import defs
from dagster_lake.landing import snapshot
from dagster_lake.landing.result import LandingError
from tests.lake.lakes import FIRST_HOUR, TestLake
from tests.lake.test_hand_made_input import OF_USERS, drop_ids, newest
from tests.lake.test_rerun import SMALL

FILES = ("users", "vip_users", "products")


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[TestLake]:
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
    assert {"gold/engagements", "gold/daily_sales", "streams/vip_pageviews"} <= made(result)


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


def failing_for(data_set: str, land: Callable[..., Any]) -> Callable[..., Any]:
    def landing(contract: Any, *arguments: Any, **options: Any) -> Any:
        if contract.name == data_set:
            raise LandingError(f"{data_set}: cannot be landed")
        return land(contract, *arguments, **options)

    return landing


def test_a_data_set_that_fails_to_land_does_not_stop_those_that_refer_to_it(
    lake: TestLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagster_lake.landing.land.land_snapshot", failing_for("users", snapshot.land_snapshot))
    result = run_the_hour(ok=False)
    assert not result.success
    assert {"silver/orders", "silver/order_items", "silver/pageviews", "silver/stars"} <= made(result)
    assert "silver/users" not in made(result)


def test_no_check_that_warns_shares_a_step_with_one_that_blocks() -> None:
    graph = defs.resolve_asset_graph()
    steps = defs.get_repository_def().asset_checks_defs_by_key.values()
    for step in {checks.op.name: checks for checks in steps}.values():
        assert len({graph.get_check_spec(key).blocking for key in step.check_keys}) == 1, step.op.name
