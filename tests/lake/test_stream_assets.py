"""The streams through Dagster: hours of events, from the hub to plots, alerts and the comparison with their twins."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest
from dagster._core.test_utils import environ

from dagster_lake import clock
from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.manifest import manifest
from dagster_lake.definitions import defs
from dagster_lake.defs.streams.alert_checks import WORST
from dagster_lake.defs.streams.stream_analytics import (
    CHECK,
    computed_there,
    stream_analytics_assets,
    stream_analytics_checks,
)
from dagster_lake.lake_hour import HOUR, HourRange
from dagster_lake.lake_resource import LakeResource
from dagster_lake.landing.land import land_hours
from dagster_lake.operations.failures.of_data import sinks_in_trouble
from dagster_lake.streams.alerts.check_names import NO_ALERTS
from dagster_lake.streams.declarations import stream_declarations
from dagster_lake.streams.sinks.sink import DELIVERED
from tests.lake.lakes import TestLake, content_of
from tests.lake.webhooks import SECRET, Webhook, webhook

BEFORE, HOUR_KEY, AFTER = "2026-01-05T11", "2026-01-05T12", "2026-01-05T13"
END = datetime(2026, 1, 5, 13, tzinfo=UTC)
SETTINGS = {"users": 60, "vip_users": 10, "products": 10, "orders_per_hour": 1, "pageviews_per_hour": 1500}
STREAMS = sorted(
    key.path[1] for key in defs.resolve_asset_graph().materializable_asset_keys if key.path[0] == "streams"
)


class World:
    """A lake whose near-real-time job was run while the hour was open, with a webhook; and its runs since."""

    def __init__(self, lake: TestLake, hook: Webhook) -> None:
        self.lake, self.hook = lake, hook
        self.instance = dg.DagsterInstance.ephemeral()

    def run(self, at: datetime, *hours: str, only: str | dg.AssetKey | None = None) -> dg.ExecuteInProcessResult:
        """The near-real-time job for some hours, at an instant; or ``only`` one of its streams."""
        tags = {"dagster/asset_partition_range_start": hours[0], "dagster/asset_partition_range_end": hours[-1]}
        address = {"LAKE_ALERT_WEBHOOK": self.hook.address}
        with environ({**self.lake.environment, **address}), patch.object(clock, "utc_now", lambda: at):
            job = defs.resolve_job_def("near_real_time")
            if only:
                job = job.get_subset(
                    asset_selection={dg.AssetKey(["streams", only]) if isinstance(only, str) else only}
                )
            return job.execute_in_process(instance=self.instance, tags=tags)

    def rows(self, stream: str) -> list[dict[str, Any]]:
        return content_of(self.lake.table_folder(f"streams/{stream}"))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    lake = TestLake(tmp_path_factory.mktemp("streams") / "lake", SETTINGS)
    lake.run_sources(["pageviews", "stars"], BEFORE, AFTER)
    for name in ("users", "vip_users"):
        lake.run_data_set(name)
    with webhook() as hook:
        yield World(lake, hook)


@pytest.fixture(scope="module")
def first_run(world: World) -> dg.ExecuteInProcessResult:
    return world.run(END - timedelta(minutes=5), BEFORE, HOUR_KEY)


def metadata(result: dg.ExecuteInProcessResult, stream: str) -> dict[str, Any]:
    [*_, event] = [
        e for e in result.get_asset_materialization_events() if e.asset_key == dg.AssetKey(["streams", stream])
    ]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def check(
    result: dg.ExecuteInProcessResult, stream: str, name: str, hour: str | None = None
) -> dg.AssetCheckEvaluation:
    [found] = [
        evaluation
        for evaluation in result.get_asset_check_evaluations()
        if (evaluation.asset_key, evaluation.check_name) == (dg.AssetKey(["streams", stream]), name)
        and evaluation.partition == hour
    ]
    return found


def test_one_run_brings_every_stream_up_to_date_with_a_plot(world: World, first_run: dg.ExecuteInProcessResult) -> None:
    assert first_run.success
    made = {event.asset_key.to_user_string() for event in first_run.get_asset_materialization_events()}
    assert {f"streams/{stream}" for stream in STREAMS} <= made
    assert not any(name.startswith(("sources/", "gold/")) for name in made)
    for stream in STREAMS:
        if stream != "alert_notices":
            assert "UTC" in metadata(first_run, stream)["windows"] or not world.rows(stream), stream
    assert metadata(first_run, "pageviews_by_http_method_5m")["plot"].startswith("![pageviews in each window until ")


def test_alerts_are_a_warning_that_shows_the_worst_and_no_customer(
    world: World, first_run: dg.ExecuteInProcessResult
) -> None:
    alerts = [row for row in world.rows("high_latency_alerts") if row["_lake_hour"] == HOUR_KEY]
    assert len(alerts) > WORST
    found = check(first_run, "high_latency_alerts", NO_ALERTS, HOUR_KEY)
    assert (found.passed, found.severity, found.blocking) == (False, dg.AssetCheckSeverity.WARN, False)
    assert found.metadata["alerts"].value == len(alerts)
    shown = str(found.metadata["worst"].value).splitlines()
    assert shown[0] == "| _time | latency | http_method | uri |"
    assert len(shown) == 2 + WORST
    worst = sorted((row["latency"] for row in alerts), reverse=True)[:WORST]
    assert [int(line.split("|")[2]) for line in shown[2:]] == worst
    assert check(first_run, "latency_anomalies", NO_ALERTS, HOUR_KEY).severity == dg.AssetCheckSeverity.WARN


def test_young_alerts_are_sent_once_and_old_ones_noted(world: World, first_run: dg.ExecuteInProcessResult) -> None:
    noted = world.rows("alert_notices")
    alerts = {f"high_latency_alerts/{row['event_id']}" for row in world.rows("high_latency_alerts")}
    assert {row["alert_id"] for row in noted if row["stream"] == "high_latency_alerts"} == alerts
    young = END - timedelta(minutes=65)
    assert {row["state"] for row in noted if row["occurred_at"] > young} == {"due"}
    assert {row["state"] for row in noted if row["occurred_at"] <= young} == {"old"}
    due = sorted(row["alert_id"] for row in noted if row["state"] == "due")
    assert world.hook.alerts() == due
    assert due
    assert check(first_run, "alert_notices", "webhook_takes_them").passed
    assert metadata(first_run, "alert_notices")["sent"] == len(due)


def test_running_again_tells_nothing_twice(world: World, first_run: dg.ExecuteInProcessResult) -> None:
    before = world.rows("alert_notices")
    result = world.run(END - timedelta(minutes=4), BEFORE, HOUR_KEY, only="alert_notices")
    assert metadata(result, "alert_notices")["sent"] == 0
    assert world.rows("alert_notices") == before
    assert len(world.hook.posts) == len(world.hook.taken())


def test_a_webhook_that_is_down_fails_no_run_and_is_said_without_its_address(
    world: World, first_run: dg.ExecuteInProcessResult
) -> None:
    taken = set(world.hook.alerts())
    world.hook.answers = [404]
    result = world.run(END + timedelta(minutes=50), AFTER)
    assert result.success
    found = check(result, "alert_notices", "webhook_takes_them")
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.description == "the webhook answered 404; is LAKE_ALERT_WEBHOOK right?"
    waiting = found.metadata["waiting"].value
    assert waiting
    logged = [entry.user_message for entry in world.instance.all_logs(result.run_id)]
    assert any(f"{waiting} alerts wait" in message for message in logged)
    everything = [str(entry) for run in world.instance.get_runs() for entry in world.instance.all_logs(run.run_id)]
    assert not any(SECRET in entry for entry in everything)
    world.run(END + timedelta(minutes=53), AFTER, only="alert_notices")
    assert len(set(world.hook.alerts()) - taken) == waiting


# --- beside Stream Analytics ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def closed(world: World) -> World:
    """The hours closed: events of the hour's last minute have had the next hour to arrive in."""
    later = END + 2 * HOUR
    with world.lake.here(), patch.object(clock, "utc_now", lambda: later):
        for name in ("pageviews", "stars"):
            hours = HourRange.of(BEFORE, AFTER)
            land_hours(contracts()[name], world.lake.resource.lake, hours, world.lake.resource.sources)
    return world


def write_as_stream_analytics_would(world: World, stream: str, change: dict[str, Any] | None = None) -> None:
    """Files of line-separated JSON, by the hour of each result; every line is delivered twice."""
    lines: dict[Path, list[str]] = {}
    for number, row in enumerate(world.rows(stream)):
        time: datetime = row["_time"]
        values = {name: value for name, value in row.items() if name != "_lake_hour"}
        values |= change if change and number == 0 else {}
        folder = world.lake.root / "stream_analytics" / stream / f"{time:year=%Y/month=%m/day=%d/hour=%H}"
        line = json.dumps(values, default=lambda value: f"{value:%Y-%m-%dT%H:%M:%S.%f}0Z")
        lines.setdefault(folder, []).extend([line, line])
    for folder, own in lines.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "0_d41d8cd9_1.json").write_text("\n".join(own) + "\n")


def beside() -> dg.Definitions:
    """What the graph holds more of where Stream Analytics computes the streams, too."""
    with environ({"LAKE_STREAM_ANALYTICS": "true"}):
        streams = computed_there(stream_declarations(manifest()).values())
    return dg.Definitions(
        assets=stream_analytics_assets(streams),
        asset_checks=stream_analytics_checks(streams),
        resources={"lake": LakeResource()},
        executor=dg.in_process_executor,
    )


def compared(world: World, stream: str) -> dg.AssetCheckEvaluation:
    key = dg.AssetKey(["streams", stream])
    with world.lake.here(), patch.object(clock, "utc_now", lambda: END + 2 * HOUR):
        every = beside().resolve_implicit_global_asset_job_def()
        job = every.get_subset(asset_selection=set(), asset_check_selection={dg.AssetCheckKey(key, CHECK)})
        result = job.execute_in_process(instance=world.instance)
    return check(result, stream, CHECK)


def test_outputs_that_are_expected_and_missing_are_a_finding(closed: World, first_run: object) -> None:
    found = compared(closed, "sessions")
    assert not found.passed
    assert found.description == "stream_analytics/sessions is missing in the lake: does the job run, and write there?"


def test_equal_outputs_agree_hour_by_hour_and_what_was_delivered_twice_counts_once(
    closed: World, first_run: object
) -> None:
    for stream in ("pageviews_by_http_method_5m", "high_latency_alerts"):
        write_as_stream_analytics_would(closed, stream)
        found = compared(closed, stream)
        assert found.passed, found.metadata
        assert found.description == "2 hours agree"
        hours = str(found.metadata["hours"].value).splitlines()[2:]
        assert [line.split("|")[1].strip() for line in hours] == [BEFORE, HOUR_KEY]
        cells = [cell.strip() for cell in hours[1].split("|")]
        assert int(cells[2]) == int(cells[3]) == int(cells[7]) > 0


def test_a_window_that_differs_is_shown_with_both_values(closed: World, first_run: object) -> None:
    stream = "pageviews_by_http_method_5m"
    write_as_stream_analytics_would(closed, stream, change={"pageviews": 7777})
    found = compared(closed, stream)
    assert (found.passed, found.severity, found.blocking) == (False, dg.AssetCheckSeverity.ERROR, False)
    assert "1 of 2 hours differ" in str(found.description)
    assert "7777 there" in str(found.metadata["differences"].value)


def test_a_file_that_cannot_be_read_is_said_by_its_name(closed: World, first_run: object) -> None:
    stream = "high_latency_alerts"
    write_as_stream_analytics_would(closed, stream)
    broken = next((closed.lake.root / "stream_analytics" / stream).rglob("*.json"))
    broken.write_text("{")
    found = compared(closed, stream)
    assert not found.passed
    assert broken.name in str(found.description)


def test_every_stream_has_its_twin_as_an_asset_and_a_check() -> None:
    graph = beside().resolve_asset_graph()
    for stream in STREAMS:
        if stream not in ("alert_notices", "events_in_time"):
            twin = graph.get(dg.AssetKey(["stream_analytics", stream]))
            assert (twin.is_external, twin.group_name) == (True, "stream_analytics")
            assert dg.AssetCheckKey(dg.AssetKey(["streams", stream]), CHECK) in graph.asset_check_keys


def test_a_lake_without_stream_analytics_shows_nothing_of_it() -> None:
    graph = defs.resolve_asset_graph()
    assert "stream_analytics" not in {key.path[0] for key in graph.get_all_asset_keys()}
    assert CHECK not in {key.name for key in graph.asset_check_keys}


# --- sinks ------------------------------------------------------------------------------------------------------------


def test_the_sinks_hold_what_the_streams_hold_and_say_how_much(
    world: World, first_run: dg.ExecuteInProcessResult
) -> None:
    files = (world.lake.root / "drops" / "high_latency_alerts").glob("*.jsonl")
    sent = [json.loads(line)["event_id"] for file in files for line in file.read_text().splitlines()]
    assert sorted(sent) == sorted(row["event_id"] for row in world.rows("high_latency_alerts"))
    windows = [row for row in world.rows("pageviews_by_http_method_5m") if row["_is_final"]]
    with closing(sqlite3.connect(world.lake.root / "sinks" / "tables.db")) as connection:
        held = connection.execute("SELECT http_method, pageviews FROM pageviews_by_http_method_5m").fetchall()
    assert sorted(held) == sorted((row["http_method"], row["pageviews"]) for row in windows)
    table = dg.AssetKey(["sinks", "database_table", "pageviews_by_http_method_5m"])
    [*_, made] = [e for e in first_run.get_asset_materialization_events() if e.asset_key == table]
    assert made.materialization.metadata["lacking_hours"].value == 0
    assert "delta_version" in made.materialization.metadata
    checks = {c.asset_key: c.passed for c in first_run.get_asset_check_evaluations() if c.check_name == DELIVERED}
    assert checks[table]


def test_a_sink_that_is_away_fails_no_run_is_told_by_its_check_and_gets_the_rest_later(
    world: World, first_run: dg.ExecuteInProcessResult
) -> None:
    table = dg.AssetKey(["sinks", "database_table", "pageviews_by_http_method_5m"])
    with environ({"LAKE_SINK_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nowhere"}):
        result = world.run(END - timedelta(minutes=3), BEFORE, HOUR_KEY, only=table)
    assert result.success
    [found] = [c for c in result.get_asset_check_evaluations() if c.check_name == DELIVERED]
    assert (found.passed, found.severity, found.blocking) == (False, dg.AssetCheckSeverity.WARN, False)
    assert "LAKE_SINK_DATABASE_URL" in str(found.description)
    told = list(sinks_in_trouble(world.lake.resource.lake, END))
    assert [(one.kind, one.data_sets) for one in told] == [("sink_in_trouble", ("pageviews",))]
    assert not list(sinks_in_trouble(world.lake.resource.lake, END - timedelta(minutes=2)))
    again = world.run(END - timedelta(minutes=2), BEFORE, HOUR_KEY, only=table)
    assert [c.passed for c in again.get_asset_check_evaluations() if c.check_name == DELIVERED] == [True]
    assert not list(sinks_in_trouble(world.lake.resource.lake, END))
