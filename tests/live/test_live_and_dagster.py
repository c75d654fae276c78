"""``lake stream`` and Dagster's runs make the same tables, whoever comes first; and how a process ends."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest
from dagster._core.test_utils import environ

from dagster_lake import clock
from dagster_lake.cli.stream import run as stream_run
from dagster_lake.definitions import defs
from dagster_lake.defs.streams.live_report import report_finished
from dagster_lake.lake_hour import parse_hour
from dagster_lake.live import plan
from dagster_lake.live.finished import finished_hours
from tests.lake.lakes import TestLake, differences
from tests.lake.webhooks import SECRET, Webhook, webhook
from tests.live.processes import Clock, Stream, until

BEFORE, HOUR_KEY, OPEN = "2026-01-05T11", "2026-01-05T12", "2026-01-05T13"
END = datetime(2026, 1, 5, 13, tzinfo=UTC)
SETTINGS = {"users": 60, "vip_users": 10, "products": 10, "orders_per_hour": 1, "pageviews_per_hour": 600}
LANDED = ("_ingested_at", "_source_file")
"""Columns that say when and in which file of raw a row landed."""


def a_lake(folder: Path) -> TestLake:
    """A lake whose hub holds two hours of events."""
    lake = TestLake(folder / "lake", SETTINGS)
    lake.run_sources(["pageviews", "stars"], BEFORE, HOUR_KEY)
    for name in ("users", "vip_users"):
        lake.run_data_set(name)
    return lake


def by_dagster(lake: TestLake) -> None:
    """The near-real-time job for both hours, which have ended, and the one that is open then."""
    tags = {"dagster/asset_partition_range_start": BEFORE, "dagster/asset_partition_range_end": OPEN}
    with environ(lake.environment), patch.object(clock, "utc_now", lambda: END + timedelta(minutes=5)):
        job = defs.resolve_job_def("near_real_time")
        assert job.execute_in_process(instance=dg.DagsterInstance.ephemeral(), tags=tags).success


def by_stream(lake: TestLake, *instants: datetime, **settings: str) -> str:
    """``lake stream`` while the clock goes from instant to instant; what it said."""
    now = Clock(instants[0])
    with Stream({**lake.environment, **settings}, now, lake.root.parent / "said.txt") as stream:
        stream.passes("streams.vip_pageviews:after")
        for instant in instants:
            now.set(instant)
        until(lambda: set(finished_hours(lake.resource.lake).values()) == {parse_hour(HOUR_KEY)}, stream)
        assert stream.stop() == 0, stream.said
        return stream.said


def without(content: dict[str, Any]) -> dict[str, Any]:
    """The tables without what tells by whom and when they were made; and without the logs of alerts."""
    return {
        table: sorted(({name: value for name, value in row.items() if name not in LANDED} for row in rows), key=repr)
        for table, rows in content.items()
        if not table.startswith("streams/alert_")
    }


@dataclass
class Streamed:
    """A lake that ``lake stream`` has made, what it said, and what it posted."""

    lake: TestLake
    said: str
    hook: Webhook


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory) -> Streamed:
    lake = a_lake(tmp_path_factory.mktemp("streamed"))
    instants = (END - timedelta(minutes=30), END + timedelta(seconds=1), END + timedelta(minutes=5))
    with webhook() as hook:
        hook.answers = [503, 503, 503]  # down at first
        said = by_stream(lake, *instants, LAKE_ALERT_WEBHOOK=hook.address)
    return Streamed(lake, said, hook)


@pytest.fixture(scope="module")
def materialised(tmp_path_factory: pytest.TempPathFactory) -> TestLake:
    lake = a_lake(tmp_path_factory.mktemp("materialised"))
    by_dagster(lake)
    return lake


def test_both_make_the_same_tables(streamed: Streamed, materialised: TestLake) -> None:
    found = without(streamed.lake.content())
    assert differences(found, without(materialised.content())) == ""
    assert all(found[f"streams/{name}"] for name in ("high_latency_alerts_enriched", "vip_pageviews", "sessions"))


def test_a_dagster_run_afterwards_changes_nothing(streamed: Streamed) -> None:
    lake = streamed.lake
    before, raw = lake.content(), lake.manifests()
    by_dagster(lake)
    assert differences(lake.content(), before) == ""
    assert lake.manifests() == raw


def test_lake_stream_afterwards_changes_nothing(materialised: TestLake) -> None:
    before = materialised.content()
    by_stream(materialised, END + timedelta(minutes=5))
    after = materialised.content()
    assert differences(after, before) == ""


def test_it_says_which_alerts_there_are_and_what_it_did_in_the_end(streamed: Streamed) -> None:
    said, alerts = streamed.said, len(streamed.lake.rows("streams/high_latency_alerts"))
    assert alerts
    assert len([line for line in said.splitlines() if line.startswith("alert: high_latency_alerts")]) <= alerts
    assert "events landed" in said.splitlines()[-1]
    assert "Traceback" not in said


def test_young_alerts_are_posted_once_though_the_webhook_was_down_at_first(streamed: Streamed) -> None:
    due = [row["alert_id"] for row in streamed.lake.rows("streams/alert_notices") if row["state"] == "due"]
    assert due
    assert streamed.hook.alerts() == sorted(due)
    assert SECRET not in streamed.said


def test_alerts_that_only_tables_give_are_posted_before_one_look_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = a_lake(tmp_path)
    planned = plan.plan
    # As on Spark, where nothing is judged before the tables.
    monkeypatch.setattr(plan, "plan", lambda *given: replace(planned(*given), early={}))
    monkeypatch.setattr(clock, "utc_now", lambda: END + timedelta(seconds=30))
    with webhook() as hook, environ({**lake.environment, "LAKE_ALERT_WEBHOOK": hook.address}):
        stream_run.run(stream_run.ONCE, 1.0, [], report=False)
    due = [row["alert_id"] for row in lake.rows("streams/alert_notices") if row["state"] == "due"]
    assert due
    assert hook.alerts() == sorted(due)


def test_finished_hours_are_reported_to_dagster_upstream_first() -> None:
    with dg.instance_for_test() as instance:
        report_finished({"pageviews": [BEFORE, HOUR_KEY], "stars": [BEFORE, HOUR_KEY]})
        keys = [dg.AssetKey(key) for key in (["raw", "stars"], ["silver", "stars"], ["streams", "sessions"])]
        events = [instance.get_latest_materialization_event(key) for key in keys]
        partitions = [instance.get_materialized_partitions(key) for key in keys]
    assert partitions == [{BEFORE, HOUR_KEY}] * 3
    times = [event.timestamp for event in events if event]
    assert len(times) == 3
    assert times == sorted(times)
