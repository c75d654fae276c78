"""Existing Databricks jobs as assets: over the real SDK and a fake workspace on a socket."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_lake.databricks.jobs import JobRunError, JobsWorkspace
from dagster_lake.databricks.workspace import WorkspaceError
from dagster_lake.defs.databricks_jobs.assets import databricks_job_assets, databricks_job_sensors
from dagster_lake.defs.databricks_jobs.file import Job, JobsFileError, jobs_of
from dagster_lake.lake_resource import LakeResource
from dagster_lake.settings.databricks import DatabricksSettings
from dagster_lake.settings.lake import PROJECT_ROOT
from tests.azure.fake_databricks import Fault
from tests.azure.fake_databricks_jobs import FakeJobs

CHURN = Job(name="churn-scores", assets=[{"key": "databricks/churn_scores"}], deps=["gold/engagements"])  # type: ignore[arg-type, list-item]
HOURLY = Job(
    id=8,
    assets=[{"key": "databricks/hourly_scores"}],  # type: ignore[arg-type, list-item]
    parameters={"hour": "{lake_hour}", "threshold": "0.5"},
    partitioned="hourly",
)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeJobs]:
    with FakeJobs(tmp_path / "fake") as fake:
        fake.jobs = {7: "churn-scores", 8: "hourly-scores"}
        for name, value in fake.environment.items():
            monkeypatch.setenv(name, value)
        for name, value in {"POLL_SECONDS": "0.01", "BACKOFF_SECONDS": "0.01", "ATTEMPTS": "3"}.items():
            monkeypatch.setenv(f"LAKE_DATABRICKS_{name}", value)
        monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "lake"))
        yield fake


def materialised(job: Job, partition: str | None = None, **tags: str) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        databricks_job_assets([job]), resources={"lake": LakeResource()}, partition_key=partition, tags=tags or None
    )


def metadata_of(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    [event] = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_materialising_the_asset_runs_the_job_of_that_name_and_says_where_and_how_long(fake: FakeJobs) -> None:
    result = materialised(CHURN)
    [run] = fake.runs.values()
    assert run.payload["job_id"] == 7
    metadata = metadata_of(result)
    assert metadata["state"] == "SUCCESS"
    assert metadata["databricks_run_id"] == str(run.run_id)
    assert metadata["databricks_url"].endswith(f"/runs/{run.run_id}")
    assert metadata["databricks_seconds"] >= 0


def test_an_hour_travels_as_a_job_parameter(fake: FakeJobs) -> None:
    materialised(HOURLY, "2026-01-05T12")
    [run] = fake.runs.values()
    assert run.payload["job_parameters"] == {"hour": "2026-01-05T12", "threshold": "0.5"}


def test_a_range_of_hours_runs_the_job_once_an_hour_in_order(fake: FakeJobs) -> None:
    hours = {
        "dagster/asset_partition_range_start": "2026-01-05T12",
        "dagster/asset_partition_range_end": "2026-01-05T14",
    }
    materialised(HOURLY, **hours)
    asked = [run.payload["job_parameters"]["hour"] for run in fake.runs.values()]
    assert asked == ["2026-01-05T12", "2026-01-05T13", "2026-01-05T14"]


def test_a_lost_answer_to_the_start_does_not_start_the_job_twice(fake: FakeJobs) -> None:
    fake.faults = [Fault("POST", "/jobs/run-now", after=True), Fault("GET", "/jobs/runs/get", status=503)]
    assert metadata_of(materialised(CHURN))["state"] == "SUCCESS"
    assert len(fake.runs) == 1


def test_a_failed_run_is_one_clear_error(fake: FakeJobs) -> None:
    fake.fates = ["failed"]
    with pytest.raises(
        JobRunError, match=r"job churn-scores did not succeed: FAILED .* no rows.*jobs/runs/1000"
    ) as error:
        materialised(CHURN)
    assert "materialise the asset again" in str(error.value)


def test_a_job_that_takes_too_long_is_cancelled(fake: FakeJobs) -> None:
    fake.fates = ["hang"]
    with pytest.raises(JobRunError, match=r"longer than 0\.001 minutes and was cancelled.*timeout_minutes"):
        materialised(CHURN.model_copy(update={"timeout_minutes": 0.001}))
    assert [run.result for run in fake.runs.values()] == ["CANCELED"]


def test_whatever_ends_the_waiting_cancels_the_run(fake: FakeJobs) -> None:
    fake.fates = ["hang"]
    said = threading.Event()

    def interrupted(line: str) -> None:
        if "is running" in line:
            said.set()
            raise KeyboardInterrupt  # as Dagster's termination does, in the middle of the wait

    workspace = JobsWorkspace(DatabricksSettings())
    with pytest.raises(KeyboardInterrupt):
        workspace.run_to_end("job", 7, {}, "a-token", 5, interrupted)
    assert said.is_set()
    assert [run.result for run in fake.runs.values()] == ["CANCELED"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "churn-score"}, "no job named 'churn-score'.*CAN_MANAGE_RUN"),
        ({"name": "twins"}, "2 jobs are named 'twins'.*by id: 20, 21"),
        ({"name": None, "id": 404}, "no job 404"),
    ],
)
def test_a_job_that_cannot_be_told_is_a_clear_error(fake: FakeJobs, change: dict[str, Any], says: str) -> None:
    fake.jobs |= {20: "twins", 21: "twins"}
    with pytest.raises(WorkspaceError, match=says):
        materialised(CHURN.model_copy(update=change))


def test_a_missing_permission_is_named(fake: FakeJobs) -> None:
    fake.fates = ["denied"]
    with pytest.raises(WorkspaceError, match=r"does not let us run a job: .*Manage Run"):
        materialised(CHURN)


# ---- observed -------------------------------------------------------------------------------------------------------

NOW = datetime.now(UTC).timestamp()
WATCHED = CHURN.model_copy(update={"mode": "observe"})


def tick(jobs: list[Job], cursor: str | None = None) -> tuple[list[Any], str]:
    [sensor] = databricks_job_sensors(jobs)
    with dg.build_sensor_context(cursor=cursor, resources={"lake": LakeResource()}) as context:
        result = sensor(context)
    if isinstance(result, dg.SkipReason):
        return [], context.cursor or ""
    assert isinstance(result, dg.SensorResult)
    return list(result.asset_events), result.cursor or ""


def runs_told(events: list[Any]) -> list[str]:
    return [event.metadata["databricks_run_id"].value for event in events]


def test_runs_started_elsewhere_are_told_once_each_in_the_order_they_ended(fake: FakeJobs) -> None:
    later = fake.ran_elsewhere(7, ended=NOW - 100)
    earlier = fake.ran_elsewhere(7, ended=NOW - 300)
    fake.ran_elsewhere(8, ended=NOW - 200)  # of a job that nobody asked about
    events, cursor = tick([WATCHED])
    assert runs_told(events) == [str(earlier), str(later)]
    assert all(isinstance(event, dg.AssetMaterialization) for event in events)
    again, cursor = tick([WATCHED], cursor)
    assert again == []
    newest = fake.ran_elsewhere(7, ended=NOW - 1)
    events, _ = tick([WATCHED], cursor)
    assert runs_told(events) == [str(newest)]


def test_a_run_that_shows_up_late_in_the_list_is_not_missed(fake: FakeJobs) -> None:
    fake.ran_elsewhere(7, ended=NOW - 10)
    _, cursor = tick([WATCHED])
    late = fake.ran_elsewhere(7, ended=NOW - 60)
    assert runs_told(tick([WATCHED], cursor)[0]) == [str(late)]


def test_a_failed_run_elsewhere_is_an_observation_and_no_materialisation(fake: FakeJobs) -> None:
    fake.ran_elsewhere(7, ended=NOW - 10, result="FAILED")
    [event] = tick([WATCHED])[0]
    assert isinstance(event, dg.AssetObservation)
    assert event.metadata["state"].value == "FAILED"


def test_an_observed_run_belongs_to_the_hour_that_its_parameter_names_and_is_left_out_when_it_names_none(
    fake: FakeJobs,
) -> None:
    fake.ran_elsewhere(8, ended=NOW - 20, hour="2026-01-05T12")
    fake.ran_elsewhere(8, ended=NOW - 10, hour="yesterday")
    events, _ = tick([HOURLY.model_copy(update={"mode": "observe"})])
    assert [event.partition for event in events] == ["2026-01-05T12"]


def test_many_runs_are_read_page_by_page(fake: FakeJobs) -> None:
    started = [fake.ran_elsewhere(7, ended=NOW - 100 + number) for number in range(7)]
    assert runs_told(tick([WATCHED])[0]) == [str(run) for run in started]


def test_an_observed_asset_cannot_be_materialised_by_us_and_one_that_runs_needs_no_sensor() -> None:
    [spec] = databricks_job_assets([WATCHED])
    assert isinstance(spec, dg.AssetSpec)
    assert spec.key == dg.AssetKey(["databricks", "churn_scores"])
    assert databricks_job_sensors([CHURN]) == []


# ---- the file -------------------------------------------------------------------------------------------------------


def test_without_the_file_there_are_no_assets(tmp_path: Path) -> None:
    assert jobs_of(tmp_path / "databricks_jobs.yaml") == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("jobs:\n- {name: a, assets: [{key: x/y}], dep: [z]}", r"jobs\[0\]\.dep: .*not permitted; remove it"),
        ("jobs:\n- {name: a}", r"jobs\[0\]\.assets: Field required; add it"),
        ("jobs:\n- {name: a, assets: []}", r"jobs\[0\]\.assets: .*name at least one"),
        ("jobs:\n- {name: a, assets: [{key: x y}]}", r"jobs\[0\]\.assets\[0\]\.key: .*slashes between"),
        ("jobs:\n- {assets: [{key: x}]}", r"jobs\[0\]: give the job's name or its id"),
        ("jobs:\n- {name: a, id: 1, assets: [{key: x}]}", r"jobs\[0\]: give the job's name or its id"),
        ("jobs:\n- {name: a, assets: [{key: x}], partitioned: hourly}", r"jobs\[0\]: partitioned: hourly and a param"),
        ("jobs:\n- {name: a, assets: [{key: x}], mode: watch}", r"jobs\[0\]\.mode: .*'run' or 'observe'"),
        ("jobs:\n- {name: a, assets: [{key: x}]}\n- {name: b, assets: [{key: x}]}", "x is there twice"),
        ("job: []", "job: .*not permitted|jobs: Field required"),
        ("jobs: [", "not valid YAML"),
    ],
)
def test_a_mistake_in_the_file_names_file_field_and_remedy(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "databricks_jobs.yaml"
    file.write_text(text)
    with pytest.raises(JobsFileError, match=f"databricks_jobs.yaml: (?s:.*){says}"):
        jobs_of(file)


def test_the_example_in_the_docs_is_one_that_works(tmp_path: Path) -> None:
    docs = (PROJECT_ROOT / "docs" / "databricks-bundle.md").read_text()
    [example] = [block for block in docs.split("```yaml\n") if block.startswith("# databricks_jobs.yaml")]
    file = tmp_path / "databricks_jobs.yaml"
    file.write_text(example.partition("```")[0])
    jobs = jobs_of(file)
    assert {job.mode for job in jobs} == {"run", "observe"}
    dg.Definitions(
        assets=databricks_job_assets(jobs), sensors=databricks_job_sensors(jobs), resources={"lake": LakeResource()}
    ).resolve_asset_graph()
