"""A stream that falls silent: time moves without events, so that its windows end and their alerts are told."""

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
from dagster_lake.cli.stream import run as stream_run
from dagster_lake.definitions import defs
from dagster_lake.defs.streams.alert_notices import HELD, KEY
from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
from tests.lake.lakes import TestLake
from tests.lake.webhooks import webhook

START = datetime(2026, 1, 5, 12, tzinfo=UTC)
MINUTES = 32
"""Enough for a minute to be compared with those before it."""
LAST = START + timedelta(minutes=MINUTES)
"""When the last event arrives; nobody shows a page after it."""


def views(minute: int) -> Iterator[str]:
    for number in range(20):
        shown = START + timedelta(minutes=minute, seconds=2 + 2 * number)
        yield json.dumps(
            {
                "event_id": f"v{minute}-{number}",
                "user_id": 1,
                "http_method": "GET",
                "uri": "/",
                "client_ip": "10.0.0.1",
                "user_agent": "a browser",
                "latency": 1900 if minute == MINUTES - 1 else 100 + minute % 5,
                "event_time": shown.isoformat(),
            }
        )


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> TestLake:
    """A lake whose pages became slow in the last minute before they stopped, streamed ten seconds later."""
    lake = TestLake(tmp_path_factory.mktemp("silent") / "lake")
    hub = lake.resource.sources.event_hub
    assert isinstance(hub, EmbeddedEventHub)
    for minute in range(MINUTES):
        bodies = pa.array([view.encode() for view in views(minute)], pa.binary())
        keys = pa.array(["k"] * len(bodies), pa.string())
        with patch.object(clock, "utc_now", lambda minute=minute: START + timedelta(minutes=minute, seconds=50)):
            hub.send("pageviews", [pa.record_batch({"partition_key": keys, "body": bodies})])
            hub.send("stars", [pa.record_batch({"partition_key": keys[:0], "body": bodies[:0]})])
    assert anomalies(lake, LAST + timedelta(seconds=10)) == []
    assert lake.rows("streams/latency_anomalies")
    return lake


def anomalies(lake: TestLake, at: datetime) -> list[str]:
    """Looks once at that time; the anomalies that were posted."""
    with (
        webhook() as hook,
        patch.object(clock, "utc_now", lambda: at),
        environ({**lake.environment, "LAKE_ALERT_WEBHOOK": hook.address}),
    ):
        stream_run.run(stream_run.ONCE, 1.0, [], report=False)
    return [alert for alert in hook.alerts() if alert.startswith("latency_anomalies/")]


def test_lake_stream_tells_of_a_window_when_time_has_passed_without_an_event(silent: TestLake, tmp_path: Path) -> None:
    shutil.copytree(silent.root, tmp_path / "lake")
    lake = TestLake(tmp_path / "lake")
    assert len(anomalies(lake, LAST + timedelta(seconds=70))) == 1
    assert anomalies(lake, LAST + timedelta(minutes=5)) == []


@pytest.mark.parametrize(("seconds", "told", "held"), [(20, 0, 1), (70, 1, 0)])
def test_a_run_of_the_notices_alone_tells_of_it_too(
    silent: TestLake, tmp_path: Path, seconds: int, told: int, held: int
) -> None:
    shutil.copytree(silent.root, tmp_path / "lake")
    lake = TestLake(tmp_path / "lake")
    with (
        patch.object(clock, "utc_now", lambda: LAST + timedelta(seconds=seconds)),
        environ(lake.environment),
    ):
        job = defs.resolve_job_def("near_real_time")
        result = job.execute_in_process(
            instance=dg.DagsterInstance.ephemeral(), partition_key="2026-01-05T12", asset_selection=[KEY]
        )
    [made] = [event.materialization for event in result.get_asset_materialization_events()]
    assert made.metadata[HELD].value == held
    noted = {"streams/alert_notices": [], **lake.content()}["streams/alert_notices"]
    assert len([row for row in noted if row["stream"] == "latency_anomalies"]) == told
