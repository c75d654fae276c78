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
from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.final_hours import final_runs
from dagster_lake.definitions import defs
from dagster_lake.defs.streams.alert_notices import HELD, KEY
from dagster_lake.live.final import FinalRows
from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.settled import settled_notes
from tests.lake.crashing import dying_at
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


WINDOWS = ["streams/latency_anomalies", "streams/pageviews_by_http_method_5m"]


def test_rows_of_windows_that_have_ended_become_final_when_time_has_passed_without_an_event(
    silent: TestLake, tmp_path: Path
) -> None:
    shutil.copytree(silent.root, tmp_path / "lake")
    lake = TestLake(tmp_path / "lake")
    before = {table: lake.rows(table) for table in WINDOWS}
    assert all(not row["_is_final"] for rows in before.values() for row in rows if row["_time"] >= LAST)
    anomalies(lake, LAST + timedelta(seconds=40))
    assert {table: lake.rows(table) for table in WINDOWS} == before, "events may still be a minute late"
    anomalies(lake, LAST + timedelta(seconds=70))
    for table in WINDOWS:
        after = lake.rows(table)
        assert [{**row, "_is_final": None} for row in after] == [{**row, "_is_final": None} for row in before[table]]
        assert {row["_time"] for row in after if not row["_is_final"]} == {
            row["_time"] for row in after if row["_time"] > LAST
        }


@pytest.mark.parametrize("point", ["live.settled:before", "live.settled:after"])
def test_killed_while_it_notes_that_time_has_moved_the_next_one_makes_the_same_rows_final(
    silent: TestLake, tmp_path: Path, point: str
) -> None:
    lakes = []
    for name in ("killed", "whole"):
        shutil.copytree(silent.root, tmp_path / name)
        lakes.append(TestLake(tmp_path / name))
    settled = dict.fromkeys(("pageviews", "stars"), LAST + timedelta(seconds=60))
    with dying_at(point), environ(lakes[0].environment):
        resource = lakes[0].resource
        FinalRows(resource.lake, resource.settings).make(LAST + timedelta(seconds=70), settled)
    for lake in lakes:
        anomalies(lake, LAST + timedelta(seconds=70))
    for table in WINDOWS:
        assert lakes[0].rows(table) == lakes[1].rows(table)
        assert all(row["_is_final"] for row in lakes[0].rows(table) if row["_time"] <= LAST)


def test_an_event_that_comes_late_changes_no_row_that_time_has_made_final(silent: TestLake, tmp_path: Path) -> None:
    shutil.copytree(silent.root, tmp_path / "lake")
    lake = TestLake(tmp_path / "lake")
    anomalies(lake, LAST + timedelta(seconds=70))
    final = {table: [row for row in lake.rows(table) if row["_is_final"]] for table in WINDOWS}
    hub = lake.resource.sources.event_hub
    assert isinstance(hub, EmbeddedEventHub)
    with patch.object(clock, "utc_now", lambda: LAST + timedelta(seconds=80)):
        hub.send("pageviews", [pa.record_batch({"partition_key": ["k"], "body": [next(views(MINUTES - 1)).encode()]})])
        late = json.loads(next(views(MINUTES - 2))) | {"event_id": "late"}
        hub.send("pageviews", [pa.record_batch({"partition_key": ["k"], "body": [json.dumps(late).encode()]})])
    anomalies(lake, LAST + timedelta(seconds=100))
    assert "late" in {row["event_id"] for row in lake.rows("silver/pageviews")}
    for table in WINDOWS:
        now = lake.rows(table)
        assert all(row in now for row in final[table])


def test_what_is_settled_says_nothing_of_an_older_silver(silent: TestLake, tmp_path: Path) -> None:
    shutil.copytree(silent.root, tmp_path / "lake")
    lake = TestLake(tmp_path / "lake")
    anomalies(lake, LAST + timedelta(seconds=70))
    noted = settled_notes(lake.resource.lake)["pageviews"]
    assert noted.until > LAST + timedelta(seconds=50)
    for version, known in ((noted.version, noted.until), (noted.version - 1, LAST - timedelta(seconds=20))):
        silver = {"pageviews": pin(lake.root / "silver/pageviews", version)}
        runs = final_runs(lake.resource.lake, contracts(), silver, {0: ["2026-01-05T12"]})
        assert runs["0"]["pageviews"][-1][2] == known.timestamp() * 1_000_000


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
