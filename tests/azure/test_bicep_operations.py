"""The parts of infra/bicep that are programs of their own, run: alerts on real metrics, the pipeline's calls to
Dagster, the script that starts the streams, the workspace file."""

import json
import logging
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.test_utils import environ

from dagster_lake.defs.operations.run_metrics import run_metrics
from dagster_lake.lake_hour import HOUR, hour_key
from dagster_lake.lake_resource import LakeResource
from dagster_lake.operations.telemetry.json_logs import document
from dagster_lake.operations.telemetry.news import Cursor
from dagster_lake.settings.lake import PROJECT_ROOT
from tests.azure.bicep_apps import ELSEWHERE
from tests.azure.bicep_deployment import Deployment
from tests.azure.bicep_lakes import BICEP, deployed
from tests.azure.kql import rows

QUERIES = BICEP / "queries"


@pytest.fixture(scope="module")
def prod() -> Deployment:
    return deployed("prod", "everything")


# ---- alerts ----------------------------------------------------------------------------------------------------------


QUARANTINE = dg.AssetKey(["quarantine", "pageviews"])
LONG_AGO = Cursor(datetime(2026, 1, 1, tzinfo=UTC))
TABLE = {"seconds": 2.5, "dagster/partition_row_count": 40, "databricks_dbu": 0.5, "databricks_cost": 0.1}


@dg.asset(key=QUARANTINE, check_specs=[dg.AssetCheckSpec("little_quarantined", asset=QUARANTINE)])
def much_quarantined():
    check = dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description="a third")
    yield dg.MaterializeResult(check_results=[check])


@dg.asset(key="gold", check_specs=[dg.AssetCheckSpec("fresh", asset="gold")])
def good():
    yield dg.MaterializeResult(metadata=TABLE, check_results=[dg.AssetCheckResult(passed=True)])


@dg.asset
def bad() -> None:
    raise ValueError("no RUN_SUCCESS here")


class Dagster:
    """Runs jobs, and has the sensor print what it makes of them."""

    def __init__(self, instance: dg.DagsterInstance, capfd: pytest.CaptureFixture[str]) -> None:
        self.instance = instance
        self.capfd = capfd

    def run(self, job: str, *assets: dg.AssetsDefinition, hour: str = "2026-01-05T12") -> str:
        """The id of a run of a job of that name for that hour."""
        defs = dg.Definitions(assets=assets, jobs=[dg.define_asset_job(job)], executor=dg.in_process_executor)
        tags = {"dagster/partition": hour}
        definition = defs.resolve_job_def(job)
        return definition.execute_in_process(instance=self.instance, tags=tags, raise_on_error=False).run_id

    def answer(self, query: str) -> list[dict[str, Any]]:
        """What the query makes of the lines of all runs, which are there twice, as after a daemon that was killed."""
        self.capfd.readouterr()
        with (
            environ({"LAKE_METRICS": "true"}),
            dg.build_sensor_context(self.instance, LONG_AGO.write(), resources={"lake": LakeResource()}) as context,
        ):
            run_metrics.evaluate_tick(context)
        lines = self.capfd.readouterr().out.splitlines()
        return rows((QUERIES / f"{query}.kql").read_text(), ["a line of something else", *lines, *lines])


@pytest.fixture
def dagster(capfd: pytest.CaptureFixture[str]) -> Iterator[Dagster]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Dagster(instance, capfd)


def test_a_failed_run_is_found_once_by_its_job_and_its_id(dagster: Dagster) -> None:
    run = dagster.run("hourly", bad)
    assert dagster.answer("failed_runs") == [{"Job": "hourly", "Run": run, "Failed": 1}]
    assert dagster.answer("closed_hours") == [{"Closed": 0}]
    assert dagster.answer("slow_runs") == []


def test_a_run_that_was_killed_and_could_say_nothing_is_found_as_failed(dagster: Dagster) -> None:
    run = dagster.instance.create_run_for_job(dg.GraphDefinition(name="hourly").to_job())
    dagster.instance.report_run_failed(run, "its worker is gone")
    assert dagster.answer("failed_runs") == [{"Job": "hourly", "Run": run.run_id, "Failed": 1}]


def test_a_run_that_dagster_runs_again_by_itself_alarms_nobody_until_it_gives_up(dagster: Dagster) -> None:
    for again in ("true", "false"):
        run = dagster.instance.create_run_for_job(
            dg.GraphDefinition(name="hourly").to_job(), tags={"dagster/will_retry": again}
        )
        dagster.instance.report_run_failed(run, "its worker is gone")
    assert [row["Run"] for row in dagster.answer("failed_runs")] == [run.run_id]


def test_only_a_run_of_the_job_hourly_closes_an_hour(dagster: Dagster) -> None:
    dagster.run("hourly", good)
    dagster.run("snapshots", good)
    assert dagster.answer("closed_hours") == [{"Closed": 1}]
    assert dagster.answer("failed_runs") == []


def test_how_long_a_run_took_is_what_dagster_says_of_it(dagster: Dagster) -> None:
    run = dagster.run("hourly", good)
    record = dagster.instance.get_run_record_by_id(run)
    assert record is not None
    assert record.start_time is not None
    assert record.end_time is not None
    [row] = dagster.answer("slow_runs")
    assert row["Run"] == run
    assert row["Minutes"] == pytest.approx((record.end_time - record.start_time) / 60, abs=0.001)


def test_a_data_set_of_which_much_is_quarantined_is_found_by_its_name(dagster: Dagster) -> None:
    dagster.run("hourly", much_quarantined, good)
    found = {"Check": "little_quarantined", "Asset": "quarantine/pageviews", "Times": 1}
    assert dagster.answer("dead_letters") == [found]
    [row] = dagster.answer("failed_checks")
    assert {name: row[name] for name in found} == found
    assert row["Severity"] == "warn"


def test_the_workbook_s_figures_are_those_of_the_runs(dagster: Dagster) -> None:
    dagster.run("hourly", good)
    dagster.run("hourly", good)
    dagster.run("snapshots", bad)
    runs = {(row["Job"], row["Status"], row["Runs"]) for row in dagster.answer("lake_runs")}
    assert runs == {("hourly", "success", 2), ("snapshots", "failure", 1)}
    durations = {"Asset": "gold", "Runs": 2, "P50": 2.5, "P95": 2.5, "Slowest": 2.5}
    assert dagster.answer("durations") == [durations]
    assert sum(row["Rows"] for row in dagster.answer("rows")) == 80
    cost = dagster.answer("databricks_cost")
    assert (sum(row["DBUs"] for row in cost), sum(row["Cost"] for row in cost)) == (1.0, 0.2)


def test_how_late_an_hour_was_done_is_counted_from_its_end(dagster: Dagster) -> None:
    ended = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    dagster.run("hourly", good, hour=hour_key(ended - HOUR))
    [row] = dagster.answer("lag")
    assert row["Lag"] == pytest.approx((datetime.now(UTC) - ended) / timedelta(minutes=1), abs=1)


def test_errors_of_runs_and_of_dagster_s_own_programs_are_found_with_their_exceptions() -> None:
    from dagster._utils.log import get_structlog_json_formatter

    failed = logging.LogRecord("dagster_lake", logging.ERROR, "", 0, "it failed", None, None)
    failed.exc_info = (ValueError, ValueError("because"), None)
    daemon = logging.LogRecord("dagster.daemon", logging.ERROR, "", 0, "no instance", None, None)
    lines = [json.dumps(document(failed)), get_structlog_json_formatter().format(daemon)]
    found = rows((QUERIES / "errors.kql").read_text(), lines)
    assert {(row["Said"], row["Exception"]) for row in found} == {
        ("it failed", "ValueError: because\n"),
        ("no instance", ""),
    }


def test_the_checks_and_the_job_that_the_alerts_name_are_the_lake_s() -> None:
    from dagster_lake.definitions import defs

    text = (QUERIES / "dead_letters.kql").read_text()
    [named] = re.findall(r"Check in \(([^)]*)\)", text)
    there = {key.name for key in defs.resolve_asset_graph().asset_check_keys}
    assert set(re.findall(r"'(\w+)'", named)) <= there
    assert defs.resolve_job_def("hourly")


def test_every_alert_measures_a_column_that_its_query_has(prod: Deployment) -> None:
    rules = prod.of("Microsoft.Insights/scheduledQueryRules")
    assert len(rules) == 4
    for rule in rules:
        [criterion] = rule.properties["criteria"]["allOf"]
        assert re.search(rf"\b{criterion['metricMeasureColumn']} = ", criterion["query"]), rule.name
        assert (QUERIES / f"{_query(criterion['query'])}.kql").read_text() == criterion["query"]


def _query(text: str) -> str:
    return next(file.stem for file in QUERIES.glob("*.kql") if file.read_text() == text)


def test_the_workbook_asks_what_the_files_ask(prod: Deployment) -> None:
    [workbook] = prod.of("Microsoft.Insights/workbooks")
    items = json.loads(workbook.properties["serializedData"])["items"]
    asked = [item["content"]["query"] for item in items if "query" in item["content"]]
    assert [_query(text) for text in asked] == [
        *("lake_runs", "lag", "failed_checks", "rows", "durations", "errors", "databricks_cost", "sensitive_reads")
    ]


# ---- Data Factory ----------------------------------------------------------------------------------------------------


def test_the_pipeline_s_calls_are_ones_that_dagster_understands(prod: Deployment) -> None:
    from dagster_graphql.schema import create_schema
    from graphql import parse, validate

    schema = create_schema().graphql_schema
    [pipeline] = prod.of("Microsoft.DataFactory/factories/pipelines")
    calls = list(_calls(pipeline.properties["activities"]))
    assert [call["name"] for call in calls] == ["Launch", "Ask"]
    variables = []
    for call in calls:
        text = call["typeProperties"]["body"]["value"]
        parts = re.fullmatch(r"@concat\('(.*)', variables\('(\w+)'\), '(.*)'\)", text)
        assert parts, text
        body = json.loads(f"{parts[1]}2026-01-05T12{parts[3]}")
        assert list(body["variables"].values()) == ["2026-01-05T12"]
        assert validate(schema, parse(body["query"])) == []
        variables.append(parts[2])
    assert variables == ["hour", "run"]
    assert set(variables) < set(pipeline.properties["variables"])


def _calls(activities: list[dict[str, Any]]) -> list[dict[str, Any]]:
    inner = [one for activity in activities for one in _calls(activity["typeProperties"].get("activities", []))]
    return [activity for activity in activities if activity["type"] == "WebActivity"] + inner


def test_the_pipeline_runs_the_lake_s_job_in_the_place_where_it_is(prod: Deployment) -> None:
    from dagster_lake.definitions import defs

    text = (QUERIES / "launch_hour.txt").read_text()
    named = dict(re.findall(r"(repositoryLocationName|repositoryName|jobName): \\\"(\w+)\\\"", text))
    assert defs.resolve_job_def(named["jobName"]).partitions_def is not None
    assert named["repositoryName"] == "__repository__"
    [server] = yaml.safe_load((PROJECT_ROOT / "deploy" / "workspace.yaml").read_text())["load_from"]
    assert server["grpc_server"]["location_name"] == named["repositoryLocationName"]


def test_each_activity_waits_for_one_that_is_there(prod: Deployment) -> None:
    [pipeline] = prod.of("Microsoft.DataFactory/factories/pipelines")
    activities = pipeline.properties["activities"]
    names = [activity["name"] for activity in activities]
    assert [[one["activity"] for one in activity.get("dependsOn", [])] for activity in activities] == [
        [],
        *[[name] for name in names[:-1]],
    ]


# ---- Dagster's files -------------------------------------------------------------------------------------------------


def test_dagster_finds_the_code_location_by_the_workspace_file(monkeypatch: pytest.MonkeyPatch) -> None:
    from dagster._core.workspace.load import location_origins_from_yaml_paths

    monkeypatch.setenv("DAGSTER_CODE_HOST", "dagster-code")
    monkeypatch.setenv("DAGSTER_CODE_PORT", "4000")
    [origin] = location_origins_from_yaml_paths([str(PROJECT_ROOT / "deploy" / "workspace.yaml")])
    assert origin.location_name == "dagster_lake"
    assert origin.get_display_metadata() == {"host": "dagster-code", "port": "4000"}


@pytest.mark.parametrize("file", ["deploy/workspace.yaml", "deploy/azure/dagster.yaml"])
def test_a_variable_said_to_be_read_by_a_file_is_read_by_it(file: str) -> None:
    text = (PROJECT_ROOT / file).read_text()
    for name, reader in ELSEWHERE.items():
        if reader == file:
            assert f"env: {name}" in text


# ---- starting the streams --------------------------------------------------------------------------------------------

_FAKE_AZ = """#!/bin/bash
echo "$@" >> calls
case "$*" in
  *"--method get"*) cat state ;;
  *) ;;
esac
"""


def started(folder: Path, state: str) -> list[str]:
    """What the script asks of Azure's command line when the job is in a state."""
    (folder / "az").write_text(_FAKE_AZ)
    (folder / "az").chmod(0o755)
    (folder / "state").write_text(state)
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "AZURE_CLIENT_ID": "client",
        "STREAMING_JOB": "/subscriptions/s/resourceGroups/g/providers/Microsoft.StreamAnalytics/streamingjobs/j",
    }
    script = (BICEP / "stream_analytics" / "start.sh").read_text()
    subprocess.run(["/bin/bash", "-c", script], cwd=folder, env=environment, check=True, capture_output=True)
    return (folder / "calls").read_text().splitlines()


@pytest.mark.parametrize(("state", "mode"), [("Created", "JobStartTime"), ("Failed", "LastOutputEventTime")])
def test_a_job_that_was_never_started_or_failed_is_started(tmp_path: Path, state: str, mode: str) -> None:
    login, looked, start = started(tmp_path, state)
    assert login == "login --identity --client-id client --output none"
    assert "/streamingjobs/j?api-version=2020-03-01" in looked
    assert "--method post" in start
    assert "/streamingjobs/j/start?api-version=2020-03-01" in start
    assert json.loads(start[start.index("{") :]) == {"outputStartMode": mode}


@pytest.mark.parametrize("state", ["Running", "Stopped", "Starting", "Degraded"])
def test_a_job_that_runs_or_that_somebody_stopped_is_left_alone(tmp_path: Path, state: str) -> None:
    assert len(started(tmp_path, state)) == 2


def test_the_script_is_what_the_container_runs(prod: Deployment) -> None:
    [job] = prod.of("Microsoft.App/jobs")
    [container] = job.properties["template"]["containers"]
    assert container["command"] == ["/bin/bash", "-c"]
    assert container["args"] == [(BICEP / "stream_analytics" / "start.sh").read_text()]
    used = set(re.findall(r"\$\{?([A-Z_]+)", container["args"][0]))
    assert {one["name"] for one in container["env"]} == used
