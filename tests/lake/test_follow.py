"""Declarative automation over the real definitions: what a materialised hour of silver asks for, and what not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData
from dagster._core.events import StepMaterializationData

from dagster_lake.definitions import defs
from dagster_lake.defs.operations.lake_status import KEY as LAKE_STATUS
from dagster_lake.defs.schedules import silver_carries_on

OPEN, CLOSED, BEFORE, OLD = "2026-01-05T12", "2026-01-05T11", "2026-01-05T10", "2026-01-03T07"
NOW = datetime(2026, 1, 5, 12, 30, tzinfo=UTC)
VIEWS = dg.AssetKey(["silver", "pageviews"])
GRAPH = defs.resolve_asset_graph()
FOLLOWERS = {key for key in GRAPH.materializable_asset_keys if key.path[0] in ("streams", "gold")} - {LAKE_STATUS}
"""The lake's status is made of no other table, and by the clock."""
Requested = dict[str, set[str]]


def made_of(*silver: str, layer: str) -> set[str]:
    """The tables of a layer that anything of ``silver`` flows into."""
    sources = {dg.AssetKey(["silver", name]) for name in silver}
    return {
        key.to_user_string()
        for key in FOLLOWERS
        if key.path[0] == layer and sources & {*GRAPH.get_ancestor_asset_keys(key)}
    }


STREAMS = made_of("pageviews", layer="streams")
HOURLY_GOLD = {"gold/engagement_hourly", "gold/engagement_daily", "gold/engagements"}


class Daemon:
    """The sensor's evaluations, one after the other, over one history of materialisations."""

    def __init__(self, instance: dg.DagsterInstance | None = None) -> None:
        self.instance = instance or dg.DagsterInstance.ephemeral()
        self.cursor: Any = None
        self.now = NOW
        assert self.evaluate() == {}

    def evaluate(self, after: timedelta = timedelta(seconds=30)) -> Requested:
        """The partitions that are asked for some time later, by asset; ``None`` for an asset without partitions."""
        self.now += after
        result = dg.evaluate_automation_conditions(
            defs=defs,
            instance=self.instance,
            asset_selection=silver_carries_on.asset_selection,
            evaluation_time=self.now,
            cursor=self.cursor,
        )
        self.cursor = result.cursor
        return {
            key.to_user_string(): {str(partition) for partition in result.get_requested_partitions(key)}
            for key in FOLLOWERS
            if result.get_num_requested(key)
        }

    def materialize(self, *keys: dg.AssetKey, hour: str | None = CLOSED, run: dg.DagsterRun | None = None) -> None:
        """Says that these were materialised, one after the other: by somebody, or by ``run``."""
        for key in keys:
            made = dg.AssetMaterialization(key, partition=hour)
            if run is None:
                self.instance.report_runless_asset_event(made)
            else:
                event = dg.DagsterEvent(
                    dg.DagsterEventType.ASSET_MATERIALIZATION.value,
                    run.job_name,
                    event_specific_data=StepMaterializationData(made),
                )
                self.instance.report_dagster_event(event, run.run_id)

    def check(self, hour: str, *, passed: bool) -> None:
        """Says that the keys of an hour's views are unique, or that they are not."""
        made = self.instance.fetch_materializations(VIEWS, limit=1).records[0]
        of = AssetCheckEvaluationTargetMaterializationData(
            storage_id=made.storage_id, run_id=made.run_id, timestamp=made.timestamp
        )
        found = dg.AssetCheckEvaluation(VIEWS, "keys_unique", passed, {}, of, blocking=True, partition=hour)
        self.instance.report_runless_asset_event(found)

    def begin(self, job: str, *hours: str) -> dg.DagsterRun:
        """A run of a job for an hour, or for a range of hours, that is under way."""
        ends = {f"dagster/asset_partition_range_{end}": hours[n] for end, n in (("start", 0), ("end", -1))}
        tags = ends if len(hours) > 1 else {"dagster/partition": hours[0]}
        definition = defs.resolve_job_def(job)
        run = self.instance.create_run_for_job(definition, tags={**definition.run_tags, **tags})
        self._report(dg.DagsterEventType.RUN_START, run)
        return run

    def end(self, run: dg.DagsterRun) -> None:
        self._report(dg.DagsterEventType.RUN_SUCCESS, run)

    def _report(self, what: dg.DagsterEventType, run: dg.DagsterRun) -> None:
        self.instance.report_dagster_event(dg.DagsterEvent(what.value, run.job_name), run.run_id)


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


def test_the_sensor_is_on_and_evaluates_streams_and_gold() -> None:
    assert silver_carries_on.default_status == dg.DefaultSensorStatus.RUNNING
    assert silver_carries_on.asset_selection.resolve(GRAPH) >= FOLLOWERS
    assert [key for key in FOLLOWERS if GRAPH.get(key).automation_condition is None] == []


def test_an_hour_of_silver_asks_for_that_hour_of_streams_and_gold_once(daemon: Daemon) -> None:
    daemon.materialize(VIEWS)
    asked = daemon.evaluate()
    assert asked == {name: {CLOSED} for name in STREAMS | HOURLY_GOLD}
    assert "streams/alert_notices" in asked
    assert daemon.evaluate() == {}
    assert daemon.evaluate() == {}


def test_any_hour_is_followed_however_old_and_each_once(daemon: Daemon) -> None:
    for hour in (OLD, CLOSED):
        daemon.materialize(VIEWS, hour=hour)
    assert daemon.evaluate()["streams/sessions"] == {OLD, CLOSED}
    assert daemon.evaluate() == {}
    daemon.materialize(VIEWS, hour=OLD)
    assert daemon.evaluate()["streams/sessions"] == {OLD}


def test_the_open_hour_asks_for_nothing_and_gold_follows_when_it_is_made_after_it_has_closed(daemon: Daemon) -> None:
    live = daemon.begin("near_real_time", OPEN)
    daemon.materialize(VIEWS, hour=OPEN, run=live)
    daemon.end(live)
    assert daemon.evaluate() == {}
    assert daemon.evaluate(timedelta(minutes=30)) == {}
    closing = daemon.begin("near_real_time", OPEN)
    daemon.materialize(VIEWS, hour=OPEN, run=closing)
    daemon.end(closing)
    assert daemon.evaluate() == {name: {OPEN} for name in HOURLY_GOLD}
    assert daemon.evaluate() == {}


def test_what_was_there_before_the_sensor_began_is_left_alone() -> None:
    instance = dg.DagsterInstance.ephemeral()
    instance.report_runless_asset_event(dg.AssetMaterialization(VIEWS, partition=CLOSED))
    assert Daemon(instance).evaluate() == {}


def test_a_new_snapshot_asks_for_the_whole_tables_and_for_no_hour(daemon: Daemon) -> None:
    users = [dg.AssetKey(["silver", name]) for name in ("users_snapshots", "users", "vip_users_snapshots", "vip_users")]
    daemon.materialize(*users, hour=None)
    assert daemon.evaluate() == {"gold/users_history": {"None"}}


def test_an_hour_of_orders_asks_for_its_hour_and_for_the_whole_tables(daemon: Daemon) -> None:
    daemon.materialize(dg.AssetKey(["silver", "orders_changes"]), dg.AssetKey(["silver", "orders"]))
    asked = daemon.evaluate()
    assert asked["gold/engagement_hourly"] == {CLOSED}
    assert asked["gold/daily_sales"] == {"None"}
    assert not any(name.startswith("streams/") for name in asked)


def test_what_a_run_has_done_with_its_silver_is_not_asked_for_again(daemon: Daemon) -> None:
    daemon.materialize(VIEWS, *(dg.AssetKey(name.split("/")) for name in sorted(STREAMS | HOURLY_GOLD)))
    assert daemon.evaluate() == {}
    assert daemon.evaluate(timedelta(hours=1)) == {}


@pytest.mark.parametrize(
    ("job", "asked"), [("hourly", set()), ("near_real_time", HOURLY_GOLD), ("snapshots", STREAMS | HOURLY_GOLD)]
)
def test_what_a_job_makes_itself_is_not_asked_for_even_when_it_is_seen_half_done(
    daemon: Daemon, job: str, asked: set[str]
) -> None:
    run = daemon.begin(job, CLOSED)
    daemon.materialize(VIEWS, run=run)
    daemon.end(run)
    assert set(daemon.evaluate()) == asked


@pytest.mark.parametrize(("job", "hours"), [("hourly", (CLOSED,)), ("near_real_time", (BEFORE, CLOSED))])
def test_a_run_under_way_that_will_do_it_is_waited_for(daemon: Daemon, job: str, hours: tuple[str, ...]) -> None:
    run = daemon.begin(job, *hours)
    daemon.materialize(VIEWS, hour=CLOSED, run=run)
    assert not any(name.startswith("streams/") for name in daemon.evaluate())
    daemon.materialize(*(dg.AssetKey(name.split("/")) for name in sorted(STREAMS)), run=run)
    daemon.end(run)
    assert not any(name.startswith("streams/") for name in daemon.evaluate())


def test_a_blocking_check_that_fails_keeps_its_rows_out_of_what_follows(daemon: Daemon) -> None:
    daemon.materialize(VIEWS)
    daemon.check(CLOSED, passed=False)
    assert daemon.evaluate() == {}
    daemon.materialize(VIEWS, hour=OLD)
    daemon.check(OLD, passed=True)
    assert daemon.evaluate()["streams/sessions"] == {OLD}
