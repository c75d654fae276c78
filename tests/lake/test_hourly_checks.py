"""Checks of hourly tables: each hour has a result of its own, in a run of one hour and in one over a range."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionResolvedStatus as Status

from dagster_lake import clock
from dagster_lake.definitions import defs
from dagster_lake.defs.dbt.assets import dbt_assets
from dagster_lake.defs.partitions import hourly
from dagster_lake.engines.duckdb.engine import DuckDBEngine
from dagster_lake.engines.step import Check
from dagster_lake.lake_hour import HOUR, hour_key
from dagster_lake.lake_resource import LakeResource
from dagster_lake.operations.health.history import asset_histories
from dagster_lake.operations.telemetry.runs import read_run
from tests.lake.lakes import definitions
from tests.lake.resent_worlds import FIRST, Sent, World

NOON, ONE, TWO = HOURS = [hour_key(FIRST + n * HOUR) for n in range(3)]
SILVER, QUARANTINE, GOLD = (
    dg.AssetKey(path) for path in (["silver", "stars"], ["quarantine", "stars"], ["gold", "engagement_hourly"])
)
KEYS = [dg.AssetKey(["raw", "stars"]), dg.AssetKey(["bronze", "stars"]), SILVER, QUARANTINE, GOLD]
WHOLE = {
    *("fresh", "nothing_needs_attention", "webhook_takes_them"),  # of now
    "sinks_delivered",  # of all that a sink lacks
    "rows_have_times",  # of rows that are in no hour
}


class Runs(World):
    """A world whose runs have one history."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.instance = dg.DagsterInstance.ephemeral()

    def run(self, *hours: str, broken: Mapping[str, Mapping[str, int]] | None = None) -> dg.ExecuteInProcessResult:
        """Everything of stars for one hour, or for a range; ``broken`` rows are found by the checks that read back."""
        tags = {"dagster/partition": hours[0]}
        if len(hours) > 1:
            tags = {f"dagster/asset_partition_range_{end}": hours[n] for end, n in (("start", 0), ("end", -1))}

        def found(_: DuckDBEngine, check: Check) -> dict[str, dict[str, int]]:
            return {name: dict((broken or {}).get(name, {})) for name in check.names}

        with self.here(), patch.object(DuckDBEngine, "check", found):
            return dg.materialize(
                [*definitions(), *dbt_assets()],
                selection=dg.AssetSelection.keys(*KEYS),
                resources={"lake": LakeResource()},
                tags=tags,
                instance=self.instance,
                raise_on_error=False,
            )

    def shown(self, asset: dg.AssetKey, check: str) -> dict[str, set[str]]:
        """The hours by what Dagster's pages say of the check in each."""
        key = dg.AssetCheckKey(asset, check)
        state = self.instance.event_log_storage.get_asset_check_state([(key, hourly)])[key]
        subsets: dict[Status, Any] = {**state.subsets}
        return {status.value: {*subset.value.get_partition_keys()} for status, subset in subsets.items() if subset.size}


@pytest.fixture
def world(tmp_path: Path) -> Runs:
    world = Runs(tmp_path)
    world.send(Sent("a", 0), Sent("b", 1), Sent("b", 1, minutes=40, stars=1), Sent("c", 2))
    return world


def test_dagster_shows_which_hour_of_a_range_failed(world: Runs) -> None:
    result = world.run(*HOURS)
    assert result.success
    assert world.shown(SILVER, "no_conflicting_copies") == {"FAILED": {ONE}, "SUCCEEDED": {NOON, TWO}}
    by_hour = {
        check.partition: check for check in result.get_asset_check_evaluations() if check.asset_key == QUARANTINE
    }
    assert {hour: by_hour[hour].metadata["quarantined"].value for hour in HOURS} == {NOON: 0, ONE: 1, TWO: 0}
    checks = {(check.asset_key, check.check_name) for check in result.get_asset_check_evaluations() if check.partition}
    assert len(checks) >= 9
    for asset, name in checks - {(SILVER, "no_conflicting_copies"), (QUARANTINE, "little_quarantined")}:
        assert world.shown(asset, name) == {"SUCCEEDED": {*HOURS}}, name


def test_one_hour_that_breaks_a_rule_fails_alone_and_holds_back_what_follows_from_the_run(world: Runs) -> None:
    result = world.run(*HOURS, broken={"rules_hold": {TWO: 3}})
    assert not result.success
    assert world.shown(SILVER, "rules_hold") == {"FAILED": {TWO}, "SUCCEEDED": {NOON, ONE}}
    assert GOLD not in {event.asset_key for event in result.get_asset_materialization_events()}
    (failed,) = [check for check in result.get_asset_check_evaluations() if check.blocking and not check.passed]
    assert (failed.partition, failed.metadata["rows"].value) == (TWO, 3)


def test_what_is_told_and_counted_of_a_run_has_the_hours_that_failed(world: Runs) -> None:
    result = world.run(*HOURS, broken={"rules_hold": {TWO: 3}})
    record = world.instance.get_run_record_by_id(result.run_id)
    assert record is not None
    (silver,) = [asset for asset in read_run(world.instance, record).assets if asset.key == SILVER]
    assert silver.checks["rules_hold"].found == {NOON: "passed", ONE: "passed", TWO: "error"}
    assert not silver.checks["rules_hold"].passed
    warned = silver.checks["no_conflicting_copies"]
    assert (warned.passed, warned.severity, warned.found[ONE]) == (False, "warn", "warn")
    assert silver.checks["keys_unique"].passed


def test_an_hour_that_failed_is_in_the_lake_s_status_whatever_hour_came_last(world: Runs) -> None:
    def failed() -> tuple[str, ...]:
        return asset_histories(world.instance, defs, [SILVER])[SILVER].failed_checks

    world.run(*HOURS, broken={"rules_hold": {NOON: 3}})
    assert failed() == ("no_conflicting_copies", "rules_hold")
    with patch.object(clock, "utc_now", lambda: FIRST + 3 * HOUR):
        world.run(TWO)
        assert failed() == ("rules_hold",)  # rows that break a rule are still there; what warned may be good by now
        world.run(NOON)
        assert failed() == ()


def test_a_run_of_the_hour_that_failed_makes_it_good_and_leaves_the_others(world: Runs) -> None:
    world.run(*HOURS, broken={"rules_hold": {TWO: 3}, "keys_unique": {NOON: 1}})
    assert world.run(TWO).success
    assert world.shown(SILVER, "rules_hold") == {"SUCCEEDED": {*HOURS}}
    assert world.shown(SILVER, "keys_unique") == {"FAILED": {NOON}, "SUCCEEDED": {ONE, TWO}}
    assert world.run(NOON, ONE).success
    assert world.shown(SILVER, "keys_unique") == {"SUCCEEDED": {*HOURS}}


def test_checks_are_by_the_hour_where_their_table_is() -> None:
    graph = defs.resolve_asset_graph()
    of_hours = {key for key in graph.asset_check_keys if graph.get(key.asset_key).partitions_def is not None}
    whole = {key for key in of_hours if graph.get(key).partitions_def is None}
    of_dbt = {key for key in whole if "dagster_dbt/unique_id" in (graph.get_check_spec(key).metadata or {})}
    assert {key.name for key in whole - of_dbt} <= WHOLE
    assert len(of_hours - whole) > 30
