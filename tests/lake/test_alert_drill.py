"""The alert drill: twelve failures, channels that are down for an hour, and each owner told of his own, once.

    python -m pytest tests/lake/test_alert_drill.py

docs/alerts.md lists the failures. Time is injected; nothing sleeps.
"""

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    ScheduleInstigatorData,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._daemon.types import DaemonHeartbeat
from dagster_shared.error import SerializableErrorInfo

from dagster_lake import clock
from dagster_lake.contract.model import Channel, contracts
from dagster_lake.definitions import failures_told
from dagster_lake.defs.operations.failures_told import Cursor
from dagster_lake.lake_resource import LakeResource
from dagster_lake.operations.failures.watch import Watch
from dagster_lake.operations.telemetry.news import Cursor as RunsSeen
from dagster_lake.storage.delta.write import pin
from dagster_lake.streams.alerts import webhook as webhook_module
from dagster_lake.streams.alerts.notices import notices_table
from dagster_lake.streams.alerts.notify import tell
from tests.lake.lakes import TestLake
from tests.lake.test_alerts import SLOW, alert, rows
from tests.lake.webhooks import Webhook, webhook

START = datetime(2026, 1, 1, 3, 22, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOURS = ("2026-01-01T00", "2026-01-01T01", "2026-01-01T02", "2026-01-01T03")
OWNERS = {"pageviews": "web", "stars": "stars", "orders": "sales", "order_items": "sales", "users": "people"}
"""The channel that each contract names; of what concerns no data set, the default channel is told."""


# --- what fails in Dagster --------------------------------------------------------------------------------------------


def checked(name: str, key: list[str], check: str, severity: dg.AssetCheckSeverity) -> dg.AssetsDefinition:
    """An asset with a check that passes when the run says so."""
    asset_key = dg.AssetKey(key)

    @dg.asset(key=asset_key, check_specs=[dg.AssetCheckSpec(check, asset=asset_key)], name=None)
    def made(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        passed = context.run.tags.get("passes") == "yes"
        result = dg.AssetCheckResult(passed=passed, severity=severity, description="Jan Novák, 770101/1234")
        return dg.MaterializeResult(check_results=[result])

    return made


@dg.asset(key=["silver", "stars"])
def broken_stars() -> None:
    raise ValueError("could not convert 'Jan Novák' to INT")


@dg.asset(key=["bronze", "order_items"])
def broken_items() -> None:
    raise RuntimeError("no room")


@dg.asset(key=["raw", "pageviews"])
def killed_pageviews() -> None: ...


ASSETS: dict[str, Any] = {
    "broken_stars": broken_stars,
    "broken_items": broken_items,
    "killed_pageviews": killed_pageviews,
    "bad_orders": checked("orders", ["silver", "orders_changes"], "rows_valid", dg.AssetCheckSeverity.ERROR),
    "odd_users": checked("users", ["silver", "users_snapshots"], "user_id_exists", dg.AssetCheckSeverity.WARN),
}
JOBS = dg.Definitions(
    assets=list(ASSETS.values()),
    jobs=[dg.define_asset_job(name, selection=dg.AssetSelection.assets(*made.keys)) for name, made in ASSETS.items()],
)


class World:
    """A lake, Dagster's history, a clock, and a webhook for each channel."""

    def __init__(self, root: Path, hooks: dict[str, Webhook], instance: dg.DagsterInstance) -> None:
        self.lake, self.hooks, self.now = TestLake(root), hooks, START
        self.instance = instance
        self.cursor = self.first_cursor = Cursor(RunsSeen(datetime.now(UTC) - MINUTE)).write()
        self.said: list[str] = []
        self.up_at: dict[str, datetime] = {}
        resource = LakeResource()
        self.place, self.settings = resource.lake, resource.settings
        self.watch = Watch(self.place, self.settings, self.instance, "lake watch", self.said.append)

    def run(self, job: str, tags: dict[str, str] | None = None) -> None:
        JOBS.resolve_job_def(job).execute_in_process(instance=self.instance, raise_on_error=False, tags=tags or {})

    def kill_a_run(self, job: str) -> None:
        run = self.instance.create_run_for_job(JOBS.resolve_job_def(job), status=dg.DagsterRunStatus.STARTED)
        self.instance.report_run_failed(run, "its worker is gone")

    def ticks(self, name: str, kind: InstigatorType, *statuses: TickStatus, start: datetime | None = None) -> None:
        """Turns a sensor or schedule on, and has it tick, the last time now."""
        origin = RemoteInstigatorOrigin(
            RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("dagster_lake"), "__repository__"), name
        )
        data: Any = SensorInstigatorData()
        if kind == InstigatorType.SCHEDULE:
            data = ScheduleInstigatorData("5 * * * *", start.timestamp() if start else None)
        state = InstigatorState(origin, kind, InstigatorStatus.RUNNING, data)
        if self.instance.get_instigator_state(origin.get_id(), state.selector_id) is None:
            self.instance.add_instigator_state(state)
        for back, status in enumerate(reversed(statuses)):
            at = (self.now - back * timedelta(seconds=30)).timestamp()
            error = SerializableErrorInfo("it fails", [], "E") if status == TickStatus.FAILURE else None
            own = TickData(
                origin.get_id(), name, kind, status, at, run_ids=[], error=error, selector_id=state.selector_id
            )
            self.instance.create_tick(own)

    def beat(self, **minutes_ago: float) -> None:
        """Heartbeats of Dagster's daemon, by its threads."""
        for thread, minutes in minutes_ago.items():
            at = (self.now - minutes * MINUTE).timestamp()
            self.instance.add_daemon_heartbeat(DaemonHeartbeat(at, thread, "id", []))

    def look(self, *, daemon: bool = True) -> None:
        """Both that look, once: Dagster's sensor, where its daemon lives, and ``lake watch``."""
        if daemon:
            self.beat(SENSOR=0, BACKFILL=0)
            self.ticks("failures_told", InstigatorType.SENSOR, TickStatus.SKIPPED)
        with patch.object(clock, "utc_now", lambda: self.now):
            if daemon:
                resources = {"lake": LakeResource()}
                with dg.build_sensor_context(self.instance, self.cursor, resources=resources) as context:
                    result = failures_told(context)
                assert isinstance(result, dg.SensorResult)
                self.cursor = result.cursor or ""
            self.watch.look()

    def pass_time(self, minutes: float, step: float, *, daemon: bool = True) -> None:
        """Time passes, and somebody looks every ``step`` minutes."""
        end = self.now + minutes * MINUTE
        while self.now < end:
            self.now += step * MINUTE
            self.look(daemon=daemon)

    def told(self) -> dict[str, list[dict[str, Any]]]:
        """By channel, each failure that was taken, as often as it was."""
        return {
            name: [one for post in hook.posts for one in post.body["alerts"] if one["stream"] != SLOW.stream]
            for name, hook in self.hooks.items()
        }

    def notices(self) -> list[dict[str, Any]]:
        pinned = pin(notices_table(self.place).uri)
        return pinned.table.to_pyarrow_table().to_pylist() if pinned else []


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake in which pageviews lack an hour, and orders were delivered in the first hour alone."""
    root = tmp_path_factory.mktemp("drill") / "lake"
    lake = TestLake(root)
    lake.run_data_set("pageviews", HOURS[0])
    lake.run_data_set("pageviews", HOURS[2])
    lake.run_data_set("pageviews", HOURS[3])
    lake.run_data_set("orders", HOURS[0])
    for hour in HOURS[1:]:
        lake.run_sources(["orders"], hour)
        lake.land("orders", hour)
    return root


@pytest.fixture
def world(landed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(webhook_module, "WAITS", ())
    named = {
        name: replace(contract, channels=(Channel(OWNERS[name], logged=False),)) if name in OWNERS else contract
        for name, contract in contracts().items()
    }
    monkeypatch.setattr("dagster_lake.streams.alerts.channels.contracts", lambda: named)
    copy = shutil.copytree(landed, tmp_path / "lake")
    with ExitStack() as ending:
        hooks = {name: ending.enter_context(webhook()) for name in {*OWNERS.values(), "default"}}
        addresses = json.dumps({name: hook.address for name, hook in hooks.items()})
        ending.enter_context(patch.dict(os.environ, {**TestLake(copy).environment, "LAKE_ALERT_CHANNELS": addresses}))
        yield World(copy, hooks, ending.enter_context(dg.instance_for_test()))


def test_twelve_failures_reach_their_owners_once_though_every_channel_is_down_for_an_hour(world: World) -> None:
    for hook in world.hooks.values():
        hook.judge = lambda body: 503
    sensor, schedule = InstigatorType.SENSOR, InstigatorType.SCHEDULE
    world.ticks("close_the_hour", schedule, TickStatus.SUCCESS, start=datetime(2026, 1, 1, 0, 30, tzinfo=UTC))
    # 1 to 6: runs and checks. 7, 8: an hour, a delivery; both are in the lake.
    world.run("broken_stars")
    world.run("broken_items", {"dagster/partition": HOURS[0]})
    world.kill_a_run("killed_pageviews")
    world.run("bad_orders", {"dagster/partition": HOURS[0]})
    world.run("odd_users")
    world.ticks("events_arriving", sensor, *[TickStatus.FAILURE] * 3)  # 9
    world.ticks("publish_lake_status", schedule, TickStatus.FAILURE)  # 10
    world.beat(SCHEDULER=20)  # 11
    with patch.object(clock, "utc_now", lambda: world.now):
        poison = rows(alert("bad", http_method="POISON", _time=world.now, _lake_hour=HOURS[3]))
        tell(world.place, world.settings, {SLOW: poison}, "a stream", world.said.append)
    world.look()
    # The same is seen again and again, and one check recovers and fails anew.
    world.run("odd_users", {"passes": "yes"})
    world.run("odd_users")  # 6
    world.run("odd_users")
    saved, world.cursor = world.cursor, world.first_cursor  # the daemon died before it saved what it had told
    world.look()
    world.cursor = saved
    world.pass_time(30, step=15)
    world.beat(SCHEDULER=0)
    world.pass_time(30, step=10, daemon=False)  # 12: Dagster's daemon is dead; lake watch alone looks
    assert not any(world.told().values())
    assert len([one for one in world.notices() if one["stream"] != SLOW.stream]) == 12

    for hook in world.hooks.values():
        hook.judge = lambda body: 422 if b"POISON" in body else 200
    world.pass_time(40, step=10, daemon=False)

    told = world.told()
    assert {name: Counter(one["stream"] for one in found) for name, found in told.items()} == {
        "web": {"failed_run": 1, "missed_hour": 1},
        "stars": {"failed_run": 1},
        "sales": {"failed_run": 1, "failed_check": 1, "stopped_delivery": 1},
        "people": {"failed_check": 2},
        "default": {"dead_sensor": 2, "dead_daemon": 2},
    }
    ids = [one["id"] for found in told.values() for one in found]
    assert (len(ids), len(set(ids))) == (12, 12)
    assert all(one["details"]["what"] and one["details"]["to_do"] for found in told.values() for one in found)
    # The poisoned alert is refused for ever, and stood in nobody's way.
    assert not any(b"POISON" in post.sent for hook in world.hooks.values() for post in hook.posts)
    said = json.dumps([one for found in told.values() for one in found], ensure_ascii=False)
    assert "Novák" not in said
    assert "770101" not in said


def test_with_channels_that_are_up_each_failure_is_told_within_five_minutes(world: World) -> None:
    """Of Dagster's daemon it takes longest: three minutes of silence, and a look."""
    world.beat(SCHEDULER=-1)
    world.run("bad_orders", {"dagster/partition": "2026-01-01T02"})
    world.pass_time(1, step=1)
    assert {one["stream"] for one in world.told()["sales"]} == {"failed_check", "stopped_delivery"}
    world.pass_time(4, step=1, daemon=False)
    [told] = [one for one in world.told()["default"] if one["stream"] == "dead_daemon"]
    assert "Dagster's daemon has not been heard since" in told["details"]["what"]
    assert told["details"]["owner"] == "the platform"
