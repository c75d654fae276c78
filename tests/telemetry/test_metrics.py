"""Metrics of runs: what they say is what Dagster knows, of runs that were killed as well, and none is left out."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import environ

from dagster_lake.defs.operations.run_metrics import run_metrics
from dagster_lake.lake_resource import LakeResource
from dagster_lake.operations.telemetry import news
from dagster_lake.operations.telemetry.metrics import documents
from dagster_lake.operations.telemetry.news import Cursor, runs_since
from dagster_lake.operations.telemetry.runs import FINISHED
from dagster_lake.settings.lake import PROJECT_ROOT
from dagster_lake.storage.delta.write import pin
from tests.telemetry.histories import HOURS, History


def by_id(past: History, run: str) -> dict[str, dict[str, Any]]:
    """The metrics of a run, by what they are of: ``run``, or the asset or check."""
    found = list(documents(past.read(run)))
    assert {one["run_id"] for one in found} == {run}
    return {one["id"].removeprefix(f"{run} ") if one["metric"] != "run" else "run": one for one in found}


def test_a_run_has_its_status_its_times_and_its_hours(past: History) -> None:
    run = by_id(past, past.good)["run"]
    assert (run["status"], run["job"], run["partition"]) == ("success", "hourly", f"{HOURS[0]}...{HOURS[1]}")
    assert run["duration_ms"] > 0
    assert run["queue_ms"] >= 0
    assert run["assets"] == 6
    [record] = past.instance.get_run_records(dg.RunsFilter(run_ids=[past.good]))
    assert record.end_time is not None
    end_of_hours = datetime(2026, 1, 1, 2, tzinfo=UTC).timestamp()
    assert run["lag_ms"] == pytest.approx((record.end_time - end_of_hours) * 1000, abs=2)


def test_a_table_s_rows_bytes_and_version_are_those_of_the_table(past: History) -> None:
    silver = by_id(past, past.good)["silver/pageviews"]
    table = pin(past.lake.resource.lake.table("silver", "pageviews"))
    assert table is not None
    assert (silver["rows_out"], silver["bytes"], silver["delta_version"]) == (
        table.rows(),
        table.bytes(),
        table.version,
    )
    assert silver["rows_in"] == silver["rows_out"] + silver["duplicates"] + silver["quarantined"]
    assert (silver["status"], silver["engine"], silver["step"]) == ("made", "duckdb", "silver__pageviews")
    assert silver["duration_ms"] > 0


def test_how_old_the_newest_event_was_is_counted_from_the_event_itself(past: History) -> None:
    silver = by_id(past, past.good)["silver/pageviews"]
    newest = max(row["event_time"] for row in past.lake.rows("silver/pageviews"))
    age = datetime.fromisoformat(silver["timestamp"]) - newest
    assert silver["newest_event_age_ms"] == pytest.approx(age / timedelta(milliseconds=1), abs=2)


def test_a_failed_run_tells_of_the_check_of_the_step_and_of_nothing_that_never_began(past: History) -> None:
    found = by_id(past, past.failed)
    assert set(found) == {"run", "bronze/stars", "bronze/stars row_balance", "silver/stars"}
    assert (found["run"]["status"], found["run"]["failed_checks"]) == ("failure", 1)
    assert "partition" not in found["run"]
    assert found["silver/stars"]["status"] == "failed"
    assert found["silver/stars"]["error"] == "ValueError: the sky is overcast"
    check = found["bronze/stars row_balance"]
    assert (check["asset"], check["check"], check["severity"]) == ("bronze/stars", "row_balance", "warn")
    assert check["description"] == "one is missing"


def test_a_killed_run_is_a_failure_of_the_step_that_it_was_at(past: History) -> None:
    found = by_id(past, past.killed)
    assert (found["run"]["status"], found["run"]["error"]) == ("failure", "its worker is gone")
    assert found["silver/users"]["status"] == "failed"
    assert found["silver/users"]["duration_ms"] > 0


def test_the_same_run_gives_the_same_lines_each_time(past: History) -> None:
    assert list(documents(past.read(past.failed))) == list(documents(past.read(past.failed)))


def test_what_databricks_charged_is_a_number_or_not_there(past: History) -> None:
    run = past.read(past.good)
    silver = next(asset for asset in run.assets if asset.name == "silver/pageviews")
    paid = {"databricks_dbu": 0.25, "databricks_cost": 0.1, "databricks_currency": "USD"}
    silver.metadata.update(paid)
    [line] = [one for one in documents(run) if one["id"].endswith(" silver/pageviews")]
    assert (line["dbus"], line["cost"], line["currency"]) == (0.25, 0.1, "USD")
    silver.metadata["databricks_dbu"] = "unknown until system.billing.usage lists run 7"
    [line] = [one for one in documents(run) if one["id"].endswith(" silver/pageviews")]
    assert "dbus" not in line


def test_the_fields_are_those_that_the_docs_name(past: History) -> None:
    page = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    told = {
        metric: {*re.findall(r"`(\w+)`", fields)}
        for metric, fields in re.findall(r"^\| `(run|asset|check)` \| (.*) \|$", page, re.MULTILINE)
    }
    common = {"timestamp", "level", "logger", "event", "metric", "id", "run_id", "job", "partition"}
    on_databricks = {
        "databricks_run_id": "7",
        "databricks_dbu": 1,
        "databricks_cost": 1,
        "databricks_currency": "USD",
    }
    printed: dict[str, set[str]] = {}
    for run in (past.read(run) for run in (past.good, past.failed, past.killed)):
        for asset in run.assets:
            asset.metadata |= on_databricks
        for line in documents(run):
            printed.setdefault(line["metric"], set()).update(line)
    assert {metric: fields - common for metric, fields in printed.items()} == told


# ---- the sensor ------------------------------------------------------------------------------------------------------

LONG_AGO = Cursor(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def lake(past: History) -> Iterator[LakeResource]:
    with environ({**past.lake.environment, "LAKE_METRICS": "true", "LAKE_ALERT_WEBHOOK": "https://hook.example/8472"}):
        yield LakeResource()


def look(past: History, lake: LakeResource, cursor: str | None) -> str:
    """The cursor after one look of the sensor."""
    with dg.build_sensor_context(past.instance, cursor, resources={"lake": lake}) as context:
        data = run_metrics.evaluate_tick(context)
    assert data.cursor
    return data.cursor


def test_the_sensor_prints_each_run_once_killed_ones_too(
    past: History, lake: LakeResource, capfd: pytest.CaptureFixture[str]
) -> None:
    cursor = look(past, lake, LONG_AGO.write())
    printed = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    runs = [line["run_id"] for line in printed if line["metric"] == "run"]
    assert sorted(runs) == sorted([past.good, past.failed, past.killed])
    assert {line["logger"] for line in printed} == {"dagster_lake.metrics"}
    look(past, lake, cursor)
    assert capfd.readouterr().out == ""


def test_a_sensor_that_died_before_its_cursor_was_kept_prints_the_very_same_again(
    past: History, lake: LakeResource, capfd: pytest.CaptureFixture[str]
) -> None:
    look(past, lake, LONG_AGO.write())
    first = capfd.readouterr().out
    look(past, lake, LONG_AGO.write())
    assert capfd.readouterr().out == first


def test_the_first_look_tells_of_nothing_that_was_before(
    past: History, lake: LakeResource, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "OVERLAP", timedelta(0))
    look(past, lake, None)
    assert capfd.readouterr().out == ""


def test_switched_off_nothing_is_printed_and_nothing_saved_up(
    past: History, lake: LakeResource, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "OVERLAP", timedelta(0))
    with environ({"LAKE_METRICS": "false"}):
        cursor = look(past, LakeResource(), LONG_AGO.write())
    look(past, lake, cursor)
    assert capfd.readouterr().out == ""


def test_no_secret_is_printed_though_an_error_names_it(
    past: History, lake: LakeResource, capfd: pytest.CaptureFixture[str]
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(dg.GraphDefinition(name="posting").to_job())
        instance.report_run_failed(run, "nobody at https://hook.example/8472")
        with dg.build_sensor_context(instance, LONG_AGO.write(), resources={"lake": lake}) as context:
            run_metrics.evaluate_tick(context)
    assert "nobody at ***" in capfd.readouterr().out


def test_a_cursor_of_something_else_is_refused_with_what_to_do() -> None:
    with pytest.raises(ValueError, match="Reset cursor"):
        Cursor.read('{"since": "yesterday"}')


def test_more_runs_than_fit_one_look_are_told_of_in_the_next_ones(past: History) -> None:
    cursor, told = LONG_AGO, []
    for _ in range(4):
        records, cursor = runs_since(past.instance, Cursor.read(cursor.write()) or LONG_AGO, FINISHED, 1)
        told += [record.dagster_run.run_id for record in records]
    assert told == [past.killed, past.failed, past.good]


def test_a_change_that_is_committed_late_with_an_earlier_time_is_told_of_all_the_same(past: History) -> None:
    records = past.instance.get_run_records(order_by="update_timestamp", ascending=True)
    newest = records[-1].update_timestamp.astimezone(UTC)
    told = {f"{past.good} SUCCESS": newest}
    found, _ = runs_since(past.instance, Cursor(newest, told), FINISHED, 20)
    wanted = [r.dagster_run.run_id for r in records[:-1] if r.update_timestamp.astimezone(UTC) > newest - news.OVERLAP]
    assert [record.dagster_run.run_id for record in found] == wanted
    assert wanted
