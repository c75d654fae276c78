"""The lake's health table: what it says is what the tables and Dagster's history say."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest
from deltalake import DeltaTable
from typer.testing import CliRunner

from dagster_lake import clock
from dagster_lake.cli import app
from dagster_lake.contract.model import contracts
from dagster_lake.definitions import defs
from dagster_lake.defs.operations.lake_status import GOOD, KEY, troubles
from dagster_lake.defs.schedules import hourly_job, lake_status_job, publish_lake_status
from dagster_lake.engines.step import Step
from dagster_lake.landing.land import land_snapshot, partitions
from dagster_lake.operations.health.history import FRESH
from dagster_lake.operations.health.status_table import SCHEMA
from dagster_lake.operations.health.tables import TableHealth
from tests.lake.lakes import NOW, TestLake, hours
from tests.lake.test_hand_made_input import OF_USERS
from tests.lake.test_rerun import SMALL

HOURS = hours(2)
MADE = [
    dg.AssetKey([layer, name])
    for name in ("users", "pageviews")
    for layer in ("sources", "raw", "bronze", "silver", "quarantine")
] + [dg.AssetKey(["silver", "users_snapshots"])]
Row = dict[str, Any]


class World:
    """A lake, Dagster's history of it, and the status as it is published at any time."""

    def __init__(self, folder: Path) -> None:
        self.lake = TestLake(folder, {**SMALL, "dirt": "heavy"})
        self.instance = dg.DagsterInstance.ephemeral()
        span = {"dagster/asset_partition_range_start": HOURS[0], "dagster/asset_partition_range_end": HOURS[-1]}
        with self.lake.here():
            result = defs.resolve_job_def(hourly_job.name).execute_in_process(
                instance=self.instance, asset_selection=MADE, tags=span
            )
        self.run_id = result.run_id

    def publish(self, at: datetime, instance: dg.DagsterInstance | None = None) -> dg.ExecuteInProcessResult:
        job = defs.resolve_job_def(lake_status_job.name)
        with self.lake.here(), patch.object(clock, "utc_now", lambda: at):
            return job.execute_in_process(instance=instance or self.instance)

    def rows(self) -> dict[str, Row]:
        return {row["table_name"]: row for row in self.lake.rows("gold/lake_status")}

    def look_again(self, data_set: str, at: datetime) -> None:
        """Another run of the data set that finds nothing new."""
        contract = contracts()[data_set]
        with self.lake.here(), patch.object(clock, "utc_now", lambda: at):
            if contract.cadence == "snapshot":
                land_snapshot(contract, self.lake.resource.lake)
            newest = partitions(self.lake.resource.lake, contract)[-1:]
            for layer in ("bronze", "silver"):
                self.lake.resource.engine.run(Step(data_set, layer, tuple(newest)))  # type: ignore[arg-type]


def good(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    [check] = [check for check in result.get_asset_check_evaluations() if check.check_name == GOOD]
    return check


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("status") / "lake")
    with made.instance:
        yield made


def test_every_table_and_raw_data_set_has_a_row_with_what_its_own_log_says(world: World) -> None:
    world.publish(datetime.now(UTC))
    rows = world.rows()
    folders = {f"{log.parent.parent.name}.{log.parent.name}": log.parent for log in world.lake.root.rglob("_delta_log")}
    assert set(rows) == {*folders, "raw.users", "raw.pageviews"} - {"gold.lake_status"}
    for name, folder in folders.items():
        if name != "gold.lake_status":
            table, row = DeltaTable(str(folder)), rows[name]
            files = table.file_uris()
            told = (row["rows"], row["files"], row["bytes"], row["delta_version"])
            size = sum(Path(file).stat().st_size for file in files)
            assert told == (table.to_pyarrow_table().num_rows, len(files), size, table.version()), name
    assert rows["raw.pageviews"]["rows"] is None


def test_the_newest_hour_ages_from_its_end_and_a_snapshot_from_its_delivery(world: World) -> None:
    ended = datetime(2026, 1, 1, 2, tzinfo=UTC)
    world.publish(ended + timedelta(minutes=90))
    rows = world.rows()
    assert rows["silver.pageviews"]["newest"] == HOURS[-1]
    assert rows["silver.pageviews"]["age_minutes"] == 90
    assert rows["raw.pageviews"]["age_minutes"] == 90
    assert rows["silver.users"]["newest"] is None
    world.publish(NOW + timedelta(minutes=7))  # the lake's clock stood still at NOW when the files were landed
    for table in ("raw.users", "bronze.users", "silver.users_snapshots", "silver.users"):
        assert world.rows()[table]["age_minutes"] == 7


def test_an_hour_that_is_still_open_has_no_age() -> None:
    table = TableHealth("silver", "pageviews", "2026-01-05T12", datetime(2026, 1, 5, 12, 20, tzinfo=UTC))
    assert table.age(datetime(2026, 1, 5, 12, 30, tzinfo=UTC)) == timedelta(0)


def test_who_made_a_table_and_when_is_what_dagster_says(world: World) -> None:
    world.publish(datetime.now(UTC))
    made = world.instance.get_latest_materialization_event(dg.AssetKey(["silver", "pageviews"]))
    assert made is not None
    row = world.rows()["silver.pageviews"]
    assert row["last_run"] == world.run_id
    assert row["made_at"].timestamp() == pytest.approx(made.timestamp, abs=0.001)


def fresh(result: dg.ExecuteInProcessResult, table: str) -> dg.AssetCheckEvaluation:
    [check] = [
        check
        for check in result.get_asset_check_evaluations()
        if (check.asset_key.to_user_string(), check.check_name) == (table, FRESH)
    ]
    return check


@pytest.mark.parametrize(
    ("table", "since"),
    [("silver/pageviews", datetime(2026, 1, 1, 2, tzinfo=UTC)), ("silver/users_snapshots", NOW)],
)
def test_data_is_late_once_the_contract_s_latency_has_passed_since_it_came_however_often_it_is_looked_for(
    world: World, table: str, since: datetime
) -> None:
    name = table.removeprefix("silver/").removesuffix("_snapshots")
    minutes = contracts()[name].freshness_minutes
    assert minutes
    row = table.replace("/", ".")
    for after, freshness in ((timedelta(minutes=minutes - 1), "fresh"), (timedelta(minutes=minutes + 1), "late")):
        world.look_again(name, since + after)
        result = world.publish(since + after)
        assert world.rows()[row]["freshness"] == freshness
        check = fresh(result, table)
        assert (check.passed, check.severity) == (freshness == "fresh", dg.AssetCheckSeverity.WARN)
        assert f"the newest data is of {since:%Y-%m-%dT%H:%MZ}" in (check.description or "")
        assert (freshness == "late") == (f"{row} is late" in (good(result).description or ""))
    assert world.rows()[row]["failed_checks"] == ""
    assert {world.rows()[other]["freshness"] for other in ("raw.users", "bronze.pageviews")} == {"none"}


def test_an_hour_without_rows_is_no_newer_data(tmp_path: Path) -> None:
    world = World(tmp_path / "lake")
    with world.instance:
        empty = "2026-01-01T05"
        keys = [["raw", "pageviews"], ["bronze", "pageviews"], ["silver", "pageviews"], ["quarantine", "pageviews"]]
        world.lake.materialize(empty, selection=dg.AssetSelection.keys(*keys))
        world.publish(datetime(2026, 1, 1, 6, tzinfo=UTC))
    assert world.rows()["silver.pageviews"]["age_minutes"] == 4 * 60


def test_what_never_came_is_late_and_said_so(tmp_path: Path) -> None:
    lake = TestLake(tmp_path / "lake", SMALL)
    lake.materialize(selection=OF_USERS)
    with lake.here(), dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def(lake_status_job.name).execute_in_process(instance=instance)
        listed = CliRunner().invoke(app, ["status"], catch_exceptions=False).output
    assert result.success
    check = fresh(result, "silver/users_snapshots")
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "nothing was ever delivered" in (check.description or "")
    assert "late users: nothing was ever delivered" in listed


def test_a_table_that_dagster_s_history_does_not_know_is_told_of_all_the_same(world: World) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        world.publish(datetime.now(UTC), instance)
    row = world.rows()["silver.pageviews"]
    assert (row["made_at"], row["last_run"], row["failed_checks"]) == (None, None, "")
    assert row["rows"] > 0


def test_a_check_that_fails_is_named_until_it_passes_again(world: World) -> None:
    key, check = dg.AssetKey(["silver", "pageviews"]), "row_balance"
    try:
        for passed in (False, True):
            evaluation = dg.AssetCheckEvaluation(key, check, passed=passed)
            world.instance.report_runless_asset_event(evaluation)
            result = world.publish(datetime.now(UTC))
            row = world.rows()["silver.pageviews"]
            assert row["failed_checks"] == ("" if passed else check)
            [made] = result.asset_materializations_for_node("gold__lake_status")
            assert ("fails row_balance" in str(made.metadata["attention"].value)) is not passed
    finally:
        world.instance.report_runless_asset_event(dg.AssetCheckEvaluation(key, check, passed=True))


def test_the_share_kept_out_is_of_the_newest_hour(world: World) -> None:
    world.publish(datetime.now(UTC))
    newest = HOURS[-1]
    valid = [row for row in world.lake.rows("silver/pageviews") if row["_lake_hour"] == newest]
    kept_out = [row for row in world.lake.rows("quarantine/pageviews") if row["_lake_hour"] == newest]
    assert kept_out
    share = world.rows()["silver.pageviews"]["quarantine_share"]
    assert share == pytest.approx(len(kept_out) / (len(kept_out) + len(valid)))
    assert world.rows()["bronze.pageviews"]["quarantine_share"] is None


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, ""),
        ({"freshness": "late"}, "is late"),
        ({"problem": "no log"}, "cannot be read: no log"),
        ({"failed_checks": "keys_unique, rules_hold"}, "fails keys_unique, rules_hold"),
        ({"quarantine_share": 0.2}, ""),
        ({"quarantine_share": 0.25, "freshness": "late"}, "is late, had 25% kept out"),
    ],
)
def test_what_needs_attention_is_said_in_words(row: Row, said: str) -> None:
    good = {"problem": None, "freshness": "fresh", "failed_checks": "", "quarantine_share": None}
    assert troubles({**good, **row}) == said


def test_a_table_that_cannot_be_read_hides_no_other_and_needs_attention(tmp_path: Path) -> None:
    lake = TestLake(tmp_path / "lake", SMALL)
    lake.run_data_set("stars", HOURS[0])
    newest = max((lake.root / "silver" / "stars" / "_delta_log").glob("*.json"))
    newest.write_text("{")
    with lake.here(), dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def(lake_status_job.name).execute_in_process(instance=instance)
        listed = CliRunner().invoke(app, ["status"], catch_exceptions=False).output
    rows = {row["table_name"]: row for row in lake.rows("gold/lake_status")}
    assert (rows["silver.stars"]["rows"], rows["silver.stars"]["age_minutes"]) == (None, None)
    assert rows["silver.stars"]["problem"]
    assert rows["bronze.stars"]["rows"] > 0
    check = good(result)
    assert "silver.stars cannot be read: " in (check.description or "")
    assert re.search(r"silver.stars +cannot be read", listed)


def test_publishing_twice_leaves_one_row_a_table(world: World) -> None:
    world.publish(datetime.now(UTC))
    names = [row["table_name"] for row in world.lake.rows("gold/lake_status")]
    world.publish(datetime.now(UTC))
    again = world.lake.rows("gold/lake_status")
    assert [row["table_name"] for row in again] == names
    assert len(set(names)) == len(names)


def test_a_lake_without_tables_has_an_empty_status(tmp_path: Path) -> None:
    lake = TestLake(tmp_path / "lake", SMALL)
    with lake.here(), dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_job_def(lake_status_job.name).execute_in_process(instance=instance)
    assert good(result).passed
    assert lake.rows("gold/lake_status") == []


def test_it_waits_for_no_other_asset_and_is_made_by_the_hour_on_its_own() -> None:
    graph = defs.resolve_asset_graph()
    assert graph.get(KEY).parent_keys == set()
    assert KEY not in defs.resolve_job_def(hourly_job.name).asset_layer.executable_asset_keys
    assert set(defs.resolve_job_def(lake_status_job.name).asset_layer.executable_asset_keys) == {KEY}
    assert publish_lake_status.cron_schedule == "20 * * * *"


def test_unity_catalog_holds_the_table_with_the_same_columns(tmp_path: Path) -> None:
    from dagster_lake.dbt_runner.manifest import manifest
    from dagster_lake.unity_catalog.desired import desired_state
    from tests.azure.catalog_yaml import ROOT, config

    state = desired_state(config(tmp_path), contracts(), manifest())
    [table] = [one for one in state.values() if one.kind == "table" and one.name.endswith(".gold.lake_status")]
    assert list(table.columns) == SCHEMA.names
    assert table.settings["location"] == f"{ROOT}/gold/lake_status"
