"""What goes wrong between Dagster and Databricks ends in success after a retry, or in one clear error."""

import logging
import os
import signal
import threading
import time
from base64 import b64encode
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest

from dagster_lake.contract.model import load_contracts
from dagster_lake.databricks import engine as databricks
from dagster_lake.databricks.engine import DatabricksEngine, RemoteStepError
from dagster_lake.databricks.workspace import WorkspaceError
from dagster_lake.engines.landed import LandedFile, LandedPartition
from dagster_lake.engines.step import Check, Step
from tests.azure.fake_databricks import Fault
from tests.azure.workspaces import KEY, SILVER, VOLUME, remote
from tests.lake.lakes import NOW

GET, SUBMIT, FILES = "/jobs/runs/get", "/jobs/runs/submit", "/fs/"


@pytest.mark.parametrize(
    "faults",
    [
        pytest.param(
            [Fault("POST", SUBMIT, 500), Fault("POST", SUBMIT, after=True), Fault("POST", SUBMIT, 503)],
            id="while it is submitted, the answer lost once",
        ),
        pytest.param(
            [Fault("GET", GET, 429, headers={"Retry-After": "1"}), Fault("GET", GET), Fault("GET", GET, 500)],
            id="while it is polled",
        ),
        pytest.param(
            [Fault("PUT", FILES, 500), Fault("GET", FILES), Fault("GET", FILES, 500), Fault("DELETE", FILES, 500)],
            id="while files travel",
        ),
    ],
)
def test_what_passes_by_itself_is_waited_for_and_starts_no_second_run(tmp_path: Path, faults: list[Fault]) -> None:
    with remote(tmp_path) as here:
        here.fake.faults = list(faults)
        assert here.engine.run(SILVER).version == 7
        assert here.fake.faults == []
        assert len(here.fake.runs) == 1
        assert not [name for name in here.fake.files() if "/steps/" in name]


def test_a_cluster_that_cannot_start_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with remote(tmp_path) as here:
        here.fake.fates = ["launch_failure", "launch_failure"]
        result = here.engine.run(SILVER)
        assert len(here.fake.runs) == 3
        assert result.extra["databricks_run_id"] == str(max(here.fake.runs))
        assert "CLOUD_PROVIDER_LAUNCH_FAILURE" in caplog.text


def test_a_cluster_that_never_starts_fails_after_the_attempts_that_are_set(tmp_path: Path) -> None:
    with remote(tmp_path, attempts=3) as here:
        here.fake.fates = ["launch_failure"] * 10
        with pytest.raises(RemoteStepError, match=r"3 attempts.*CLOUD_PROVIDER_LAUNCH_FAILURE.*_COMPUTE"):
            here.engine.run(SILVER)
        assert len(here.fake.runs) == 3


def test_what_will_be_the_same_next_time_is_not_tried_again(tmp_path: Path) -> None:
    with remote(tmp_path) as here:
        here.fake.fates = ["denied"]
        with pytest.raises(RemoteStepError, match=r"UNAUTHORIZED_ERROR.*may not create clusters.*runs/1000"):
            here.engine.run(SILVER)
        assert len(here.fake.runs) == 1


def test_a_step_whose_process_vanished_is_run_again(tmp_path: Path) -> None:
    with remote(tmp_path) as here:
        here.acts("kill")
        assert here.engine.run(SILVER).version == 7
        assert here.ended()[0] == "FAILED"
        assert len(here.fake.runs) == 2


def test_a_step_that_fails_says_why_and_where_and_is_not_run_again(tmp_path: Path) -> None:
    with remote(tmp_path) as here:
        here.acts("raise the column x is missing; add it")
        with pytest.raises(RemoteStepError) as caught:
            here.engine.run(SILVER)
        assert str(caught.value) == (
            "silver of orders failed on Databricks: ValueError: the column x is missing; add it "
            "(https://fake.azuredatabricks.net/jobs/runs/1000)"
        )
        assert caught.value.error_type == "ValueError"
        assert len(here.fake.runs) == 1


def test_a_process_that_cannot_even_begin_shows_its_last_line(tmp_path: Path) -> None:
    with remote(tmp_path) as here:
        here.fake.task_environment["FAKE_ENGINE"] = "/there/is/no/such/file.py"
        here.fake.task_environment["FAKE_VOLUMES"] = str(tmp_path / "elsewhere")
        with pytest.raises(RemoteStepError, match=r"could not run on Databricks: FAILED.*Error: .*runs/1000"):
            here.engine.run(SILVER)


def test_a_run_that_hangs_is_cancelled_when_its_time_is_up(tmp_path: Path) -> None:
    with remote(tmp_path, timeout_minutes=0.5 / 60) as here:
        here.fake.fates = ["hang"]
        started = time.monotonic()
        with pytest.raises(RemoteStepError, match=r"longer than .* minutes.*LAKE_DATABRICKS_TIMEOUT_MINUTES"):
            here.engine.run(SILVER)
        assert time.monotonic() - started < 20
        assert here.ended() == ["CANCELED"]


def test_a_run_that_somebody_cancels_is_not_started_again(tmp_path: Path) -> None:
    with remote(tmp_path) as here:
        here.fake.fates = ["cancelled"]
        with pytest.raises(RemoteStepError, match=r"was cancelled on Databricks.*someone@example.com"):
            here.engine.run(SILVER)
        assert len(here.fake.runs) == 1


def test_a_workspace_that_stays_away_fails_the_step_and_the_run_is_cancelled_if_it_can_be(tmp_path: Path) -> None:
    with remote(tmp_path, attempts=3) as here:
        here.fake.fates = ["hang"]
        here.fake.faults = [Fault("GET", GET, 500)] * 3
        with pytest.raises(WorkspaceError, match=r"failed 3 times to look at a run.*LAKE_DATABRICKS_ATTEMPTS"):
            here.engine.run(SILVER)
        assert here.ended() == ["CANCELED"]


def test_an_identity_without_permission_is_told_so_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with remote(tmp_path) as here:
        monkeypatch.setenv("DATABRICKS_TOKEN", "another")
        with pytest.raises(WorkspaceError, match=r"does not let us make a folder.*docs/databricks.md"):
            here.engine.run(SILVER)
        assert {request.method for request in here.fake.requests} == {"PUT", "GET"}  # the folder, and its removal
        assert len(here.fake.requests) == 2


def test_a_volume_that_does_not_exist_is_named_with_its_setting(tmp_path: Path) -> None:
    with (
        remote(tmp_path, volume="/Volumes/main/lake/other") as here,
        pytest.raises(WorkspaceError, match=r"'main.lake.other' does not exist.*LAKE_DATABRICKS_VOLUME"),
    ):
        here.engine.run(SILVER)


def test_no_workspace_at_all_is_told_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with remote(tmp_path) as here:
        for name in here.fake.environment:
            monkeypatch.delenv(name)
        monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("DATABRICKS_AUTH_TYPE", "pat")
        with pytest.raises(WorkspaceError, match="DATABRICKS_HOST"):
            here.engine.run(SILVER)


def test_terminating_the_dagster_run_cancels_the_databricks_run(tmp_path: Path) -> None:
    with remote(tmp_path) as here:
        here.fake.fates = ["hang"]
        engine = here.engine

        @dg.asset
        def waits() -> None:
            engine.run(SILVER)

        def interrupt_once_it_runs() -> None:
            while not any(GET in request.path for request in here.fake.requests):
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt_once_it_runs)
        thread.start()
        with pytest.raises((dg.DagsterExecutionInterruptedError, KeyboardInterrupt)):
            dg.materialize([waits], instance=dg.DagsterInstance.ephemeral())
        thread.join()
        assert here.ended() == ["CANCELED"]


def test_logs_appear_in_dagster_while_the_step_still_runs(tmp_path: Path) -> None:
    with remote(tmp_path) as here:
        engine, seen = here.engine, []
        here.acts("sleep 1.5")

        class Handler(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                runs = [run.state for run in here.fake.runs.values()]
                seen.append((record.getMessage(), runs))

        @dg.asset
        def speaks(context: dg.AssetExecutionContext) -> None:
            context.log.addHandler(Handler())
            engine.run(SILVER)

        assert dg.materialize([speaks], instance=dg.DagsterInstance.ephemeral()).success
        [early] = [runs for line, runs in seen if "silver of orders: 1 partition(s)" in line]
        assert early == ["RUNNING"]
        assert any("silver.orders is at version 7" in line for line, _ in seen)


def landed(rows: int) -> list[LandedPartition]:
    file = LandedFile("/raw/orders.parquet", "2026-01-01T00", NOW, "orders/1-1", None)
    return [LandedPartition("2026-01-01T00", rows, (file,))]


def test_bronze_is_made_again_when_raw_moved_on_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([landed(3), landed(4), landed(4), landed(4)])
    monkeypatch.setattr(databricks, "landed_partitions", lambda *_: next(looks))
    with remote(tmp_path) as here:
        result = here.engine.run(replace(SILVER, layer="bronze"))
        assert result.counts["2026-01-01T00"].rows_in == 4
        assert len(here.fake.runs) == 2


def test_bronze_of_a_raw_that_never_rests_fails_rather_than_runs_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter(landed(rows) for rows in range(100))
    monkeypatch.setattr(databricks, "landed_partitions", lambda *_: next(looks))
    with remote(tmp_path) as here, pytest.raises(RemoteStepError, match="raw changed 3 times"):
        here.engine.run(replace(SILVER, layer="bronze"))


def test_the_masking_key_goes_from_the_secret_scope_to_the_step_and_nowhere_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with remote(tmp_path) as here:
        assert here.engine.run(SILVER).reasons == {"of the key": 1}
        sent = b"".join(request.path.encode() + request.body for request in here.fake.requests)
        for secret in (KEY, b64encode(KEY.encode()).decode()):
            assert secret.encode() not in sent
            assert secret not in here.fake.logs()
            assert secret not in caplog.text


def test_a_step_without_a_key_says_where_to_put_one(tmp_path: Path) -> None:
    with (
        remote(tmp_path, secret_scope=None) as here,
        pytest.raises(RemoteStepError, match="LAKE_DATABRICKS_SECRET_SCOPE") as caught,
    ):
        here.engine.run(SILVER)
    assert caught.value.error_type == "MaskingKeyError"


def test_contracts_of_somebody_s_own_travel_with_the_step_for_the_wheel_there_has_the_shop_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path(__file__).parents[1] / "support" / "foreign_project" / "contracts"
    monkeypatch.setenv("LAKE_CONTRACTS", str(own))
    with remote(tmp_path) as here:
        here.engine.contracts = load_contracts(own)
        assert here.engine.run(Step("readings", "silver", ("2026-01-05T00",))).table == "silver.readings"
        monkeypatch.delenv("LAKE_CONTRACTS")
        with pytest.raises(RemoteStepError, match="readings"):
            here.engine.run(Step("readings", "silver", ("2026-01-05T00",)))


# ---- one job cluster for the steps of a run ----


def test_steps_and_checks_of_one_run_share_one_submission(tmp_path: Path) -> None:
    with remote(tmp_path, compute="job_cluster") as here:
        assert here.engine.run(SILVER).version == 7
        here.acts("raise broken")
        with pytest.raises(RemoteStepError, match="ValueError: broken"):
            here.engine.run(SILVER)
        assert here.engine.check(Check("orders", None, ("keys_unique",))) == {"keys_unique": {}}
        assert len(here.fake.submissions()) == 1
        here.engine.close()
        [run] = here.fake.runs.values()
        assert run.process is not None
        run.process.wait(timeout=20)
        assert "3 step(s) done" in here.fake.logs()


def test_a_worker_that_died_at_work_is_replaced_and_the_step_run_again(tmp_path: Path) -> None:
    with remote(tmp_path, compute="job_cluster") as here:
        here.engine.run(SILVER)
        here.acts("kill")
        assert here.engine.run(SILVER).version == 7
        assert len(here.fake.submissions()) == 2
        here.engine.close()
        second = list(here.fake.runs.values())[-1].process
        assert second is not None
        second.wait(timeout=60)
        assert not [name for name in here.fake.files() if "/workers/" in name]


def test_a_worker_that_went_for_want_of_work_is_replaced(tmp_path: Path) -> None:
    with remote(tmp_path, compute="job_cluster", idle_minutes=1 / 60) as here:
        here.engine.run(SILVER)
        [run] = here.fake.runs.values()
        assert run.process is not None
        assert run.process.wait(timeout=30) == 0
        assert here.engine.run(SILVER).version == 7
        assert len(here.fake.submissions()) == 2


def test_a_worker_that_goes_just_as_a_step_comes_is_replaced(tmp_path: Path) -> None:
    with remote(tmp_path, compute="job_cluster") as here:
        here.fake.fates = ["leaves"]
        assert here.engine.run(SILVER).version == 7
        assert len(here.fake.submissions()) == 2
        here.engine.close()


def test_a_worker_that_cannot_be_told_to_end_fails_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with remote(tmp_path, compute="job_cluster", attempts=1) as here:
        here.engine.run(SILVER)
        here.fake.faults = [Fault("PUT", FILES, 500)]
        here.engine.close()
        assert "will when it is idle" in caplog.text


def test_another_process_of_the_same_dagster_run_finds_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with remote(tmp_path, compute="job_cluster") as here:
        engines = [here.engine, DatabricksEngine(here.engine.lake, here.engine.contracts, here.engine.settings)]

        def steps() -> None:
            for engine in engines:
                engine.run(SILVER)

        @dg.asset
        def both() -> None:
            steps()

        assert dg.materialize([both], instance=dg.DagsterInstance.ephemeral()).success
        assert len(here.fake.submissions()) == 1
        engines[0].close()


def test_the_volume_keeps_only_the_wheel(tmp_path: Path) -> None:
    with remote(tmp_path) as here:
        here.engine.run(SILVER)
        here.engine.run(Step("orders", "silver", ("2026-01-01T01",)))
        [wheel] = here.fake.files()
        assert wheel.startswith(VOLUME.removeprefix("/Volumes/") + "/wheels/dagster_lake-")
        assert len([r for r in here.fake.requests if r.method == "PUT" and ".whl" in r.path]) == 1
