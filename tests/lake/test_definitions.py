"""What Dagster gets to see: how light it loads, what every asset says of itself, and what runs by itself."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pytest
from dagster._core.test_utils import environ

from dagster_lake import clock
from dagster_lake.contract.model import contracts
from dagster_lake.definitions import defs, failures_told
from dagster_lake.defs.operations.failures_told import Cursor as FailuresCursor
from dagster_lake.defs.schedules import close_the_hour, dropped_files
from dagster_lake.defs.shop import source_assets
from dagster_lake.lake_resource import LakeResource
from dagster_lake.operations.failure_notice import command_to_run_again
from dagster_lake.operations.hourly_runs import hours_of
from dagster_lake.operations.telemetry.news import Cursor as RunsSeen
from dagster_lake.settings.lake import PROJECT_ROOT
from dagster_lake.sources.database.database import Database, DatabaseError
from dagster_lake.storage.manifest import read_manifest, write_manifest
from tests.lake.lakes import FIRST_HOUR, TestLake, hours, write
from tests.lake.test_hand_made_input import MONDAY, drop_ids, person
from tests.lake.test_rerun import SMALL, change_orders

NEVER_LOADED = ("pyspark", "azure", "databricks", "mlflow", "pandas", "openlineage")
HOUR = "2026-01-05T12"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[TestLake]:
    made = TestLake(tmp_path / "lake", SMALL)
    with environ(made.environment):
        yield made


def dagster_command(lake: TestLake, module: str, *selection: str) -> subprocess.CompletedProcess[str]:
    """``dagster asset materialize`` as CI types it, from the project's root."""
    return subprocess.run(
        [
            *(sys.executable, "-m", "dagster", "asset", "materialize", "-m", module),
            *("--select", ",".join(f'key:"{key}"' for key in selection), "--partition", HOUR),
        ],
        cwd=PROJECT_ROOT,
        env={**os.environ, **lake.environment},
        capture_output=True,
        text=True,
        check=False,
    )


# --- loading ----------------------------------------------------------------------------------------------------------


def test_loading_the_definitions_imports_nothing_heavy() -> None:
    code = "import dagster_lake.definitions, sys; print('\\n'.join(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in found.stdout.splitlines()}
    assert "dagster_lake" in loaded
    assert loaded.isdisjoint(NEVER_LOADED)


def test_loading_the_definitions_needs_no_setting_and_makes_no_lake(tmp_path: Path) -> None:
    code = "import dagster_lake.definitions"
    environment = {**os.environ, "LAKE_ROOT": str(tmp_path / "lake"), "LAKE_THREADS": "not a number"}
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, env=environment, check=True)
    assert not (tmp_path / "lake").exists()


# --- what assets say --------------------------------------------------------------------------------------------------

GRAPH = defs.resolve_asset_graph()
ASSETS = sorted(GRAPH.materializable_asset_keys)
TABLES = [key for key in ASSETS if key.path[0] in ("bronze", "silver", "quarantine", "gold")]


def test_the_graph_reaches_from_sources_to_gold() -> None:
    assert {key.path[0] for key in ASSETS} >= {"sources", "raw", "bronze", "silver", "quarantine", "gold"}
    assert set(contracts()) <= {key.path[1] for key in ASSETS if key.path[0] == "bronze"}
    upstream = dg.AssetSelection.keys(["gold", "engagements"]).upstream().resolve(GRAPH)
    assert dg.AssetKey(["sources", "pageviews"]) in upstream
    assert dg.AssetKey(["raw", "users"]) in upstream


@pytest.mark.parametrize("key", ASSETS, ids=lambda key: key.to_user_string())
def test_each_asset_has_a_group_kinds_an_owner_and_a_description(key: dg.AssetKey) -> None:
    node = GRAPH.get(key)
    assert node.group_name == key.path[0]
    assert node.kinds
    assert node.owners
    assert len(node.description or "") > 20


@pytest.mark.parametrize("key", TABLES, ids=lambda key: key.to_user_string())
def test_each_table_has_its_columns_with_types_and_descriptions(key: dg.AssetKey) -> None:
    schema = GRAPH.get(key).metadata["dagster/column_schema"]
    columns = (schema if isinstance(schema, dg.TableSchema) else schema.schema).columns
    assert columns
    assert all(column.type for column in columns)
    assert [column.name for column in columns if not column.description] == []


@pytest.mark.parametrize("name", contracts())
def test_each_data_set_has_blocking_checks_of_balance_keys_and_rules(name: str) -> None:
    silver = {"orders": "orders_changes", "order_items": "order_items_changes"}.get(name, name)
    silver = f"{name}_snapshots" if contracts()[name].cadence == "snapshot" else silver
    blocking = {
        key.name
        for key in GRAPH.asset_check_keys
        if key.asset_key == dg.AssetKey(["silver", silver]) and GRAPH.get_check_spec(key).blocking
    }
    assert blocking >= {"row_balance", "keys_unique", "rules_hold"}


# --- the schedule -----------------------------------------------------------------------------------------------------


def tick(at: datetime) -> list[dg.RunRequest]:
    with dg.build_schedule_context(
        scheduled_execution_time=at, resources={"lake": LakeResource()}, repository_def=defs.get_repository_def()
    ) as context:
        data = close_the_hour.evaluate_tick(context)
    return list(data.run_requests or [])


def test_the_tick_at_13_05_closes_hour_12(lake: TestLake) -> None:
    [request] = tick(datetime(2026, 1, 5, 13, 5, tzinfo=UTC))
    assert request.partition_key == HOUR
    assert int(request.tags["dagster/priority"]) > 0  # before a backfill that was there first
    assert close_the_hour.cron_schedule == "5 * * * *"
    assert lake.root.exists()


def test_a_late_commit_adds_a_run_for_its_hour_until_it_is_landed(lake: TestLake) -> None:
    two = hours(2)
    lake.run_data_set("orders", *two)
    after = datetime(2026, 1, 1, 3, 5, tzinfo=UTC)
    assert [request.partition_key for request in tick(after)] == ["2026-01-01T02"]
    change_orders(lake)
    closing, late = tick(after)
    assert (closing.partition_key, hours_of(late.tags)) == ("2026-01-01T02", two)
    assert closing.run_key != late.run_key
    lake.run_data_set("orders", *two, sources=False)
    assert [request.partition_key for request in tick(after)] == ["2026-01-01T02"]


def test_hours_that_were_missed_while_the_daemon_was_down_run_at_the_next_tick(lake: TestLake) -> None:
    lake.run_data_set("orders", FIRST_HOUR)
    closing, missed = tick(datetime(2026, 1, 1, 4, 5, tzinfo=UTC))
    assert closing.partition_key == "2026-01-01T03"
    assert hours_of(missed.tags) == ["2026-01-01T01", "2026-01-01T02"]


def test_hours_that_were_landed_too_early_to_be_complete_run_again_at_each_tick(lake: TestLake) -> None:
    lake.run_data_set("pageviews", FIRST_HOUR)
    after = datetime(2026, 1, 1, 2, 5, tzinfo=UTC)
    assert [request.partition_key for request in tick(after)] == ["2026-01-01T01"]
    folder = lake.resource.lake.raw_partition("pageviews", FIRST_HOUR, sensitive=True)
    landed = read_manifest(folder)
    assert landed is not None
    write_manifest(folder, replace(landed, complete=False), replacing=landed)
    first, again = tick(after), tick(after + timedelta(hours=1))
    assert [request.partition_key for request in first] == ["2026-01-01T01", FIRST_HOUR]
    assert FIRST_HOUR in [request.partition_key for request in again]
    assert not {request.run_key for request in first} & {request.run_key for request in again}


def test_a_hub_that_cannot_be_back_dated_is_given_no_past_hour(
    lake: TestLake, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LAKE_EVENT_HUBS", "shop.servicebus.windows.net")
    source = next(asset for asset in source_assets() if dg.AssetKey(["sources", "pageviews"]) in asset.keys)
    assert dg.materialize([source], partition_key=FIRST_HOUR, resources={"lake": LakeResource()}).success
    assert "python -m generators stream pageviews" in capfd.readouterr().err


def test_a_database_that_is_down_does_not_keep_the_closed_hour_from_running(
    lake: TestLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def down(*_: object, **__: object) -> None:
        raise DatabaseError("the database does not answer")

    lake.run_data_set("orders", FIRST_HOUR)
    monkeypatch.setattr(Database, "fingerprint", down)
    assert [request.partition_key for request in tick(datetime(2026, 1, 1, 2, 5, tzinfo=UTC))] == ["2026-01-01T01"]


# --- the sensor of dropped files --------------------------------------------------------------------------------------


def glance(cursor: str | None) -> tuple[list[dg.RunRequest], str | None, str]:
    """(runs asked for, new cursor, why not) of one evaluation."""
    with (
        dg.DagsterInstance.ephemeral() as instance,
        dg.build_sensor_context(instance, cursor, definitions=defs, resources={"lake": LakeResource()}) as context,
    ):
        data = dropped_files.evaluate_tick(context)
    return list(data.run_requests or []), data.cursor or cursor, data.skip_message or ""


def look(cursor: str | None) -> tuple[list[dg.RunRequest], str | None, str]:
    """As ``glance``, where the sensor had looked half a minute before as well."""
    _, cursor, _ = glance(cursor)
    later = datetime.now(UTC) + timedelta(seconds=30)
    with patch.object(clock, "utc_now", lambda: later):
        return glance(cursor)


def test_dropped_files_ask_for_one_run_a_change_with_the_data_set_s_own_assets(lake: TestLake) -> None:
    runs, cursor, why = look(None)
    assert (runs, why) == ([], "No landing folder has changed.")
    drop_ids(lake, [1, 2], day=0)
    [run], cursor, _ = look(cursor)
    assert {key.to_user_string() for key in run.asset_selection or []} == {
        *("raw/users", "bronze/users", "silver/users_snapshots", "quarantine/users", "silver/users")
    }
    assert look(cursor)[0] == []
    drop_ids(lake, [1, 2, 3], day=1)
    runs, cursor, _ = look(cursor)
    assert len(runs) == 1
    write(lake.root / "landing" / "products" / "1.json", json.dumps({"id": 1, "name": "x", "price": 1}), MONDAY)
    [run], cursor, _ = look(cursor)
    assert run.tags["dropped"] == "products"
    assert look(cursor)[0] == []


def test_files_that_a_persons_run_has_landed_are_none_of_the_sensors(lake: TestLake) -> None:
    drop_ids(lake, [1, 2], day=0)
    lake.land("users")
    runs, cursor, why = look(None)
    assert (runs, why) == ([], "No landing folder has changed.")
    drop_ids(lake, [1, 2, 3], day=1)
    assert len(look(cursor)[0]) == 1


def test_the_sensor_waits_while_a_folder_is_being_filled_however_old_its_files_look(lake: TestLake) -> None:
    cursor = None
    for number in range(3):
        write(lake.root / "landing" / "users" / f"{number}.jsonl", person(number) + "\n", MONDAY)
        runs, cursor, why = glance(cursor)
        assert runs == []
        assert "users: they changed within the last 5 s" in why
    assert len(look(cursor)[0]) == 1


def test_a_folder_that_is_being_filled_does_not_hold_up_another(lake: TestLake) -> None:
    write(lake.root / "landing" / "products" / "1.json", json.dumps({"id": 1, "name": "x", "price": 1}), MONDAY)
    assert glance(None)[0] == []
    write(lake.root / "landing" / "users" / "users.jsonl", person(1) + "\n", MONDAY)
    with patch.object(clock, "utc_now", lambda: datetime.now(UTC) + timedelta(seconds=30)):
        [run], _, _ = glance(None)
    assert run.tags["dropped"] == "products"


def test_a_file_dated_in_the_future_is_taken_rather_than_waited_for(lake: TestLake) -> None:
    write(lake.root / "landing" / "users" / "users.jsonl", person(1) + "\n", datetime.now(UTC) + timedelta(days=9))
    assert len(look(None)[0]) == 1


def test_a_folder_that_cannot_be_read_gets_one_run_that_says_so(lake: TestLake) -> None:
    write(lake.root / "landing" / "users", "no folder")
    [run], cursor, _ = glance(None)
    assert run.tags["dropped"] == "users"
    assert glance(cursor)[0] == []


def test_the_sensors_are_on_without_anybody_switching_them_on() -> None:
    assert dropped_files.default_status == dg.DefaultSensorStatus.RUNNING
    assert failures_told.default_status == dg.DefaultSensorStatus.RUNNING


def test_the_assets_that_the_sensor_asks_for_make_the_table(lake: TestLake) -> None:
    drop_ids(lake, [1, 2], day=0)
    [run], _, _ = look(None)
    lake.materialize(selection=list(run.asset_selection or []))
    assert [row["id"] for row in lake.rows("silver/users")] == [1, 2]


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_failed_run_leaves_a_notice_that_a_person_can_read(lake: TestLake) -> None:
    write(lake.root / "landing" / "users", "no folder")
    with dg.DagsterInstance.ephemeral() as instance:
        job = defs.resolve_job_def("snapshots")
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(["raw", "users"])],
            raise_on_error=False,
        )
        assert not result.success
        since = RunsSeen(datetime.now(UTC) - timedelta(minutes=1))
        with dg.build_sensor_context(
            instance, FailuresCursor(since).write(), resources={"lake": LakeResource()}
        ) as context:
            failures_told(context)
        logged = [entry.dagster_event for entry in instance.all_logs(result.run_id) if entry.dagster_event]
    text = (lake.root / "notices" / f"{result.run_id}.md").read_text()
    [shown] = [e.engine_event_data.metadata["notice"] for e in logged if "how to run it again" in (e.message or "")]
    assert shown == dg.MetadataValue.md(text)  # on the run's page
    assert f"# Run {result.run_id[:8]} of snapshots failed" in text
    assert "### landed__users" in text
    assert "landing/users is a file, and has to be a folder to drop files into" in text
    assert "whom to tell: data-alerts" in text
    assert "dagster asset materialize -m dagster_lake.definitions --select 'key:\"raw/users\"'\n" in text
    assert "Traceback" not in text


BROKEN_CHAIN = ("sources/orders", "sources/order_items", "raw/orders", "bronze/orders", "silver/orders_changes")
CHAIN = (*BROKEN_CHAIN, "quarantine/orders", "silver/orders")


def test_dagster_asset_materialize_works_from_the_root(lake: TestLake) -> None:
    done = dagster_command(lake, "dagster_lake.definitions", *CHAIN)
    assert done.returncode == 0, done.stderr[-2000:]
    assert len(lake.rows("silver/orders")) > 0
    assert {row["_lake_hour"] for row in lake.rows("silver/orders")} == {HOUR}


def test_dagster_asset_materialize_fails_with_a_blocking_check_and_goes_no_further(lake: TestLake) -> None:
    done = dagster_command(lake, "tests.lake.broken_definitions", *CHAIN)
    assert done.returncode != 0
    assert "row_balance" in done.stderr + done.stdout
    rows = lake.rows("silver/orders_changes")
    assert len(rows) == 2 * len({row["order_id"] for row in rows}) > 0
    assert not (lake.root / "silver" / "orders").exists()


def test_the_clock_of_the_tests_is_not_the_clock_of_the_lake() -> None:
    assert abs(clock.utc_now() - datetime.now(UTC)) < timedelta(minutes=1)


def test_the_notice_of_a_range_of_hours_says_how_to_run_the_whole_range_again() -> None:
    span = {"dagster/asset_partition_range_start": FIRST_HOUR, "dagster/asset_partition_range_end": HOUR}
    whole = dg.DagsterRun(job_name="hourly", tags=span)
    assert command_to_run_again(whole) == (
        f"dagster job execute -m dagster_lake.definitions -j hourly --tags '{json.dumps(span)}'"
    )
    some = dg.DagsterRun(job_name="__ASSET_JOB", tags=span, asset_selection={dg.AssetKey(["raw", "stars"])})
    assert command_to_run_again(some) == (
        "dagster asset materialize -m dagster_lake.definitions --select 'key:\"raw/stars\"' "
        f"--partition-range {FIRST_HOUR}...{HOUR}"
    )


def test_every_check_says_what_it_checks() -> None:
    graph = defs.resolve_asset_graph()
    silent = [key for key in graph.asset_check_keys if not (graph.get_check_spec(key).description or "").strip()]
    assert silent == []
    said = {key.name: graph.get_check_spec(key).description for key in graph.asset_check_keys}
    assert (
        said["engagement_hourly_has_one_row_per_hour_and_customer"] == "No two rows have the same _lake_hour, user_id."
    )
