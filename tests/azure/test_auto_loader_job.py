"""The raw asset with LAKE_LANDING=auto_loader: Dagster runs the job, and the manifest says what it landed."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from dagster_lake import clock
from dagster_lake.contract.model import contracts
from dagster_lake.databricks.auto_loader.load import _add_attempt
from dagster_lake.databricks.jobs import JobRunError
from dagster_lake.defs.contracts.raw import raw_asset
from dagster_lake.defs.steps import MOST_RETRIES
from dagster_lake.engines.duckdb.engine import DuckDBEngine
from dagster_lake.engines.made import tables_made
from dagster_lake.engines.step import Step
from dagster_lake.lake_hour import parse_hour
from dagster_lake.lake_resource import LakeResource
from dagster_lake.landing.land import land_snapshot, partitions
from dagster_lake.landing.result import LandingError
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.event_hub.protocol import EVENT_SCHEMA
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.unfinished import unfinished
from tests.azure.fake_databricks_jobs import FakeJobs

VIPS = contracts()["vip_users"]


STARS = contracts()["stars"]
LATE, SAME, ASKED = "2026-01-05T09", "2026-01-05T10", "2026-01-05T12"


class LandingJobs(FakeJobs):
    """The job lands what ``lake`` has in its drop folder, as it would on Databricks, or ``events``, by their hours."""

    lake: Lake
    events: Mapping[str, int] = {}

    def _run_now(self, document: dict[str, Any]) -> dict[str, Any]:
        answer = super()._run_now(document)
        if document["job_parameters"] == {"data_set": "stars"}:
            for hour, number in self.events.items():
                _add_attempt(STARS, self.lake, parse_hour(hour), f"batch{number}", star(hour, number))
            return answer
        assert document["job_parameters"] == {"data_set": "vip_users"}
        if self.lake.landing("vip_users").exists() and self.runs[answer["run_id"]].payload["fate"] == "success":
            land_snapshot(VIPS, self.lake)
        return answer


def star(hour: str, number: int) -> pa.Table:
    """An event of the hour, as Capture gives it."""
    body = f'{{"event_id": "e{number}", "user_id": {number}, "stars": 5}}'.encode()
    row = {"body": body, "enqueued_time": parse_hour(hour) + timedelta(minutes=number), "sequence_number": number}
    return pa.Table.from_pylist([{**row, "partition": hour[-2:], "partition_key": None}], EVENT_SCHEMA)


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LandingJobs]:
    with LandingJobs(tmp_path / "fake") as fake:
        fake.jobs = {7: "lake-ingest"}
        fake.lake = Lake.at(str(tmp_path / "lake"))
        for name, value in fake.environment.items():
            monkeypatch.setenv(name, value)
        for name, value in {"ENGINE": "databricks", "LANDING": "auto_loader", "ROOT": str(tmp_path / "lake")}.items():
            monkeypatch.setenv(f"LAKE_{name}", value)
        monkeypatch.setenv("LAKE_DATABRICKS_POLL_SECONDS", "0.01")
        yield fake


def drop(fake: LandingJobs) -> None:
    folder = Path(str(fake.lake.landing("vip_users")))
    folder.mkdir(parents=True)
    (folder / "vips.jsonl").write_text('{"id": 1}\n{"id": 2}\n')


def materialised(data_set: str = "vip_users") -> dict[str, Any]:
    asset = raw_asset(contracts()[data_set])
    key = None if contracts()[data_set].cadence == "snapshot" else "2026-01-05T12"
    result = dg.materialize([asset], resources={"lake": LakeResource()}, partition_key=key)
    [event] = result.get_asset_materialization_events()
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_the_job_lands_and_the_asset_tells_what_it_landed_as_after_a_copy(
    fake: LandingJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop(fake)
    found = materialised()
    assert (found["dagster/partition_row_count"], found["files"], found["partitions_changed"]) == (2, 1, 1)
    again = materialised()
    assert again["partitions_changed"] == 0
    assert len(fake.runs) == 2
    monkeypatch.setenv("LAKE_LANDING", "copy")
    assert materialised().keys() == found.keys()
    assert len(partitions(fake.lake, VIPS)) == 1


def test_a_drop_folder_that_nothing_ever_came_to_is_said_and_fails_nothing(fake: LandingJobs) -> None:
    found = materialised()
    assert found["dagster/partition_row_count"] == 0
    assert "Auto Loader has landed nothing yet of" in found["notes"]


def test_a_job_that_fails_fails_the_asset(fake: LandingJobs) -> None:
    drop(fake)
    fake.fates = ["failed"] * (MOST_RETRIES + 1)
    with pytest.raises(JobRunError, match="Auto Loader's landing of vip_users did not succeed"):
        materialised()
    assert partitions(fake.lake, VIPS) == []


def test_auto_loader_without_databricks_is_refused(fake: LandingJobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_ENGINE", "duckdb")
    with pytest.raises(LandingError, match="LAKE_LANDING=auto_loader needs LAKE_ENGINE=databricks"):
        materialised()


def test_events_that_come_late_are_noted_for_the_hourly_schedule_until_their_tables_are_made(
    fake: LandingJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "utc_now", lambda: datetime(2026, 1, 5, 13, 30, tzinfo=UTC))
    fake.events = dict.fromkeys((LATE, SAME, ASKED), 1)
    materialised("stars")
    assert unfinished(fake.lake) == {hour: ["stars"] for hour in (LATE, SAME, ASKED)}

    def made() -> None:
        for hour in unfinished(fake.lake):
            DuckDBEngine(fake.lake, contracts(), Settings()).run(Step("stars", "bronze", (hour,)))
            tables_made(fake.lake, STARS, [hour])
        assert unfinished(fake.lake) == {}

    made()
    fake.events = {LATE: 2}
    materialised("stars")
    assert unfinished(fake.lake) == {LATE: ["stars"]}
    made()
    materialised("stars")
    assert unfinished(fake.lake) == {}, "nothing came"
