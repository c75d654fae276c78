"""The sensor that runs the current hour while events arrive: when it asks, for which hours, and when it does not."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pyarrow as pa
import pytest
from dagster._core.test_utils import environ

from dagster_lake import clock
from dagster_lake.contract.model import contracts
from dagster_lake.definitions import defs
from dagster_lake.defs.partitions import hourly
from dagster_lake.defs.streams.alert_notices import HELD
from dagster_lake.defs.streams.alert_notices import KEY as ALERTS
from dagster_lake.defs.streams.near_real_time import (
    LOOKS_SECONDS,
    LOST_AFTER,
    SENSOR,
    events_arriving,
    near_real_time_job,
)
from dagster_lake.lake_hour import HourRange, hour_key, hour_of
from dagster_lake.lake_resource import LakeResource
from dagster_lake.landing.land import land_hours
from dagster_lake.operations.hourly_runs import hours_of
from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
from dagster_lake.sources.event_hub.protocol import EventHubError
from tests.lake.lakes import TestLake

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
LATE_IN_THE_HOUR = NOON + timedelta(minutes=59, seconds=30)


class Watch:
    """A lake whose sensor is looked at, again and again, as time goes on."""

    def __init__(self, lake: TestLake) -> None:
        self.lake = lake
        self.cursor: str | None = None
        self.instance = dg.DagsterInstance.ephemeral()

    def send(self, hub: str, at: datetime, count: int = 3) -> None:
        keys = pa.array([f"k{n}" for n in range(count)], pa.string())
        bodies = pa.array([b"{}"] * count, pa.binary())
        with patch.object(clock, "utc_now", lambda: at):
            self.hub.send(hub, [pa.record_batch({"partition_key": keys, "body": bodies})])

    @property
    def hub(self) -> EmbeddedEventHub:
        hub = self.lake.resource.sources.event_hub
        assert isinstance(hub, EmbeddedEventHub)
        return hub

    def land(self, at: datetime, hour: str) -> None:
        with patch.object(clock, "utc_now", lambda: at):
            for name in ("pageviews", "stars"):
                land_hours(contracts()[name], self.lake.resource.lake, HourRange.of(hour), self.lake.resource.sources)

    def look(self, at: datetime) -> list[str]:
        """The hours asked for; empty when the sensor skips, and why is then in ``said``."""
        with (
            patch.object(clock, "utc_now", lambda: at),
            dg.build_sensor_context(
                cursor=self.cursor, instance=self.instance, resources={"lake": LakeResource()}
            ) as context,
        ):
            result = events_arriving(context)
        if isinstance(result, dg.SkipReason):
            self.said = str(result.skip_message)
            return []
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        [self.request] = result.run_requests or []
        return hours_of(self.request.tags)

    def run(self, status: dg.DagsterRunStatus) -> None:
        """A run of the sensor that has come so far."""
        job = defs.resolve_job_def("near_real_time")
        self.instance.create_run_for_job(job, status=status, tags={"dagster/sensor_name": SENSOR})


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    lake = TestLake(tmp_path / "lake")
    with environ(lake.environment):
        watch = Watch(lake)
        for hub in ("pageviews", "stars"):
            watch.send(hub, NOON - timedelta(days=30), count=0)
        yield watch


def test_events_of_the_current_hour_ask_for_a_run_of_it_once(watch: Watch) -> None:
    watch.send("pageviews", NOON + timedelta(minutes=3))
    assert watch.look(NOON + timedelta(minutes=4)) == ["2026-01-05T12"]
    assert watch.request.tags["arrived"] == "pageviews"
    assert watch.look(NOON + timedelta(minutes=5)) == []
    assert watch.said == "No event has arrived since the last look."
    watch.send("stars", NOON + timedelta(minutes=6))
    assert watch.look(NOON + timedelta(minutes=7)) == ["2026-01-05T12"]
    assert watch.request.tags["arrived"] == "stars"


def test_dagster_takes_the_request_although_the_open_hour_is_no_partition_and_notes_what_it_makes(watch: Watch) -> None:
    now = clock.utc_now()
    watch.send("pageviews", now)
    resources = {"lake": LakeResource()}
    with (
        patch.object(clock, "utc_now", lambda: now),
        dg.build_sensor_context(instance=watch.instance, definitions=defs, resources=resources) as context,
    ):
        [request] = events_arriving.evaluate_tick(context).run_requests or []
    hour = hour_key(hour_of(now))
    assert request.tags["dagster/partition"] == hour

    @dg.asset(partitions_def=hourly)
    def made(lake: LakeResource) -> None:
        pass

    for tags in (request.tags, {f"dagster/asset_partition_range_{end}": hour for end in ("start", "end")}):
        definitions = dg.Definitions([made], resources=resources)
        definitions.resolve_implicit_global_asset_job_def().execute_in_process(instance=watch.instance, tags=tags)
        event = watch.instance.get_latest_materialization_event(made.key)
        assert event is not None
        assert event.asset_materialization is not None
        assert event.asset_materialization.partition == hour


def test_an_hour_is_a_partition_once_it_has_ended(watch: Watch) -> None:
    assert hourly.get_partition_keys(NOON + timedelta(minutes=59))[-1] == "2026-01-05T11"
    assert hourly.get_partition_keys(NOON + timedelta(minutes=60))[-1] == "2026-01-05T12"


def test_a_lake_without_a_hub_is_told_readably_and_asks_for_nothing(watch: Watch) -> None:
    shutil.rmtree(watch.hub.folder)
    assert watch.look(NOON) == []
    assert "pageviews: the event hub 'pageviews' does not exist" in watch.said


def test_a_demonstration_of_the_past_asks_for_nothing(watch: Watch) -> None:
    watch.send("pageviews", NOON - timedelta(days=3))
    assert watch.look(NOON) == []
    assert watch.said == "The newest event is of 2026-01-02 12:00:00 UTC, in an hour that the hourly run closes."


def test_an_event_stamped_at_the_full_hour_is_of_the_hour_that_ends_then(watch: Watch) -> None:
    watch.send("pageviews", NOON)
    assert watch.look(NOON) == ["2026-01-05T11"]
    watch.send("pageviews", NOON)
    assert watch.look(NOON + timedelta(seconds=20)) == []


def test_the_hour_that_just_closed_is_done_again_when_it_was_landed_in_part(watch: Watch) -> None:
    watch.send("pageviews", LATE_IN_THE_HOUR)
    watch.land(LATE_IN_THE_HOUR, "2026-01-05T12")
    watch.send("pageviews", LATE_IN_THE_HOUR + timedelta(seconds=40))
    after = LATE_IN_THE_HOUR + timedelta(minutes=1)
    assert watch.look(after) == ["2026-01-05T12", "2026-01-05T13"]
    watch.land(after, "2026-01-05T12")
    watch.send("pageviews", after)
    assert watch.look(after + timedelta(minutes=1)) == ["2026-01-05T13"]


def test_the_last_events_of_an_hour_that_was_landed_in_part_ask_for_that_hour_alone(watch: Watch) -> None:
    watch.send("pageviews", LATE_IN_THE_HOUR)
    watch.land(LATE_IN_THE_HOUR, "2026-01-05T12")
    watch.send("pageviews", LATE_IN_THE_HOUR + timedelta(seconds=10))
    assert watch.look(LATE_IN_THE_HOUR + timedelta(minutes=2)) == ["2026-01-05T12"]


def test_it_asks_no_more_often_than_the_setting_says(watch: Watch) -> None:
    start = NOON + timedelta(minutes=3)
    with environ({"LAKE_STREAM_SECONDS": "60"}):
        watch.send("pageviews", start)
        assert watch.look(start) != []
        watch.send("pageviews", start + timedelta(seconds=1))
        assert watch.look(start + timedelta(seconds=59)) == []
        assert watch.said == "The last run was asked for less than 60 s ago (LAKE_STREAM_SECONDS)."
        assert watch.look(start + timedelta(seconds=60)) != []


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_events_wait_while_a_run_of_the_sensor_is_not_finished(watch: Watch, status: dg.DagsterRunStatus) -> None:
    watch.run(status)
    watch.send("pageviews", NOON + timedelta(minutes=3))
    assert watch.look(NOON + timedelta(minutes=4)) == []
    assert "has not finished" in watch.said
    [run] = watch.instance.get_runs()
    watch.instance.report_run_canceled(run)
    assert watch.look(NOON + timedelta(minutes=4)) == ["2026-01-05T12"]


def test_a_run_that_was_killed_long_ago_holds_nothing_up(watch: Watch) -> None:
    watch.run(dg.DagsterRunStatus.STARTED)
    watch.send("pageviews", NOON + timedelta(minutes=3))
    with patch("dagster_lake.defs.streams.near_real_time.LOST_AFTER", -LOST_AFTER):
        assert watch.look(NOON + timedelta(minutes=4)) == ["2026-01-05T12"]


def test_runs_of_others_hold_nothing_up(watch: Watch) -> None:
    job = defs.resolve_job_def("near_real_time")
    watch.instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED)
    watch.send("pageviews", NOON + timedelta(minutes=3))
    assert watch.look(NOON + timedelta(minutes=4)) == ["2026-01-05T12"]


def test_a_daemon_that_died_before_it_saved_the_cursor_asks_for_the_same_run(watch: Watch) -> None:
    watch.send("pageviews", NOON + timedelta(minutes=3))
    watch.look(NOON + timedelta(minutes=4))
    first = watch.request.run_key
    watch.cursor = None
    watch.look(NOON + timedelta(minutes=5))
    assert watch.request.run_key == first
    watch.send("pageviews", NOON + timedelta(minutes=6))
    watch.look(NOON + timedelta(minutes=7))
    assert watch.request.run_key != first


def test_the_cursor_holds_the_newest_event_of_each_partition(watch: Watch) -> None:
    arrived = NOON + timedelta(minutes=3)
    watch.send("pageviews", arrived, count=40)
    watch.look(arrived)
    document = json.loads(watch.cursor or "")
    newest = watch.hub.newest("pageviews")
    assert document["seen"]["pageviews"] == {
        p: [position.sequence_number, arrived.isoformat()] for p, position in newest.items()
    }
    assert len(newest) == 4


def test_a_hub_that_cannot_be_reached_is_a_readable_reason_and_loses_nothing(
    watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch.send("pageviews", NOON + timedelta(minutes=3))
    with monkeypatch.context() as patched:

        def down(self: EmbeddedEventHub, hub: str) -> None:
            raise EventHubError(f"{hub}: nobody answers")

        patched.setattr(EmbeddedEventHub, "newest", down)
        assert watch.look(NOON + timedelta(minutes=4)) == []
        assert "pageviews: nobody answers" in watch.said
    assert watch.look(NOON + timedelta(minutes=5)) == ["2026-01-05T12"]


@pytest.mark.parametrize("cursor", ["", "7", "[]", "{}", '{"asked": null, "seen": {"pageviews": {"0": "x"}}}'])
def test_a_cursor_that_somebody_typed_is_refused_with_the_remedy(watch: Watch, cursor: str) -> None:
    watch.cursor = cursor
    with pytest.raises(ValueError, match="reset it in the UI: Automation, events_arriving, Reset cursor"):
        watch.look(NOON)


def test_the_sensor_is_on_and_looks_often_enough_for_the_setting() -> None:
    assert events_arriving.default_status == dg.DefaultSensorStatus.RUNNING
    assert events_arriving.minimum_interval_seconds == LOOKS_SECONDS
    assert LakeResource().settings.stream_seconds >= LOOKS_SECONDS


def test_its_job_is_what_events_bring_up_to_date_and_nothing_else() -> None:
    graph = defs.resolve_asset_graph()
    keys = near_real_time_job.selection.resolve(graph)
    streams = {key for key in graph.materializable_asset_keys if key.path[0] in ("streams", "sinks")}
    layers = {
        dg.AssetKey([layer, name])
        for layer in ("raw", "bronze", "silver", "quarantine")
        for name in ("pageviews", "stars")
    }
    assert keys == streams | layers
    assert dg.AssetKey(["streams", "alert_notices"]) in keys


def test_alerts_that_wait_for_time_to_pass_are_looked_at_again_when_no_event_comes(watch: Watch) -> None:
    watch.send("pageviews", NOON + timedelta(minutes=3))
    assert watch.look(NOON + timedelta(minutes=4)) == ["2026-01-05T12"]

    def notices_made(held: int) -> datetime:
        made = dg.AssetMaterialization(ALERTS, partition="2026-01-05T12", metadata={HELD: held})
        watch.instance.report_runless_asset_event(made)
        return datetime.now(UTC)

    at = notices_made(held=2)
    assert watch.look(at + timedelta(seconds=30)) == []
    assert len(watch.look(at + timedelta(seconds=61))) == 2
    assert watch.request.asset_selection == [ALERTS]
    assert watch.look(at + timedelta(seconds=62)) == []
    at = notices_made(held=0)
    assert watch.look(at + timedelta(minutes=5)) == []
