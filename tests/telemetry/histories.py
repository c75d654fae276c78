"""A real history of Dagster's: a run of the lake that went well, one that failed, and one that was killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import yaml

from dagster_lake.defs.schedules import hourly_job
from dagster_lake.operations.telemetry.runs import RunWork, read_run
from tests.lake.lakes import TestLake, hours
from tests.lake.test_rerun import SMALL

HOURS = hours(2)
PAGEVIEWS = [
    dg.AssetKey(path)
    for path in (
        ["sources", "pageviews"],
        ["raw", "pageviews"],
        ["bronze", "pageviews"],
        ["silver", "pageviews"],
        ["quarantine", "pageviews"],
        ["streams", "pageviews_by_http_method_5m"],
    )
]


BRONZE = dg.AssetKey(["bronze", "stars"])


@dg.asset(key=BRONZE, check_specs=[dg.AssetCheckSpec("row_balance", asset=BRONZE)])
def stars() -> Iterator[dg.MaterializeResult]:
    check = dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, description="one is missing")
    yield dg.MaterializeResult(metadata={"dagster/partition_row_count": 4}, check_results=[check])


@dg.asset(key=["silver", "stars"], deps=[stars])
def no_stars() -> None:
    raise ValueError("the sky is overcast")


@dg.asset(key=["gold", "stars"], deps=[no_stars])
def never_begun() -> None: ...


@dg.asset(key=["silver", "users"])
def killed_users() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


failing = dg.Definitions(assets=[stars, no_stars, never_begun], jobs=[dg.define_asset_job("failing")])
killed = dg.Definitions(assets=[killed_users], jobs=[dg.define_asset_job("killed")])


@dataclass(frozen=True)
class History:
    """Ids of the runs, and the instance that knows them; ``lake`` is what the good one wrote."""

    instance: dg.DagsterInstance
    lake: TestLake
    good: str
    failed: str
    killed: str

    def read(self, run_id: str) -> RunWork:
        """What a run did."""
        record = self.instance.get_run_record_by_id(run_id)
        assert record is not None
        return read_run(self.instance, record)


@contextmanager
def history(folder: Path) -> Iterator[History]:
    """Builds it below ``folder``; takes some seconds."""
    from dagster_lake.definitions import defs

    lake = TestLake(folder / "lake", SMALL)
    home = folder / "home"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text(yaml.safe_dump({"telemetry": {"enabled": False}}))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        killed_run = _kill_a_run(instance, home)
        failed = failing.resolve_job_def("failing").execute_in_process(instance=instance, raise_on_error=False)
        with lake.here():
            good = defs.resolve_job_def(hourly_job.name).execute_in_process(
                instance=instance,
                asset_selection=PAGEVIEWS,
                tags={
                    "dagster/asset_partition_range_start": HOURS[0],
                    "dagster/asset_partition_range_end": HOURS[-1],
                },
            )
        yield History(instance, lake, good.run_id, failed.run_id, killed_run)


def _kill_a_run(instance: dg.DagsterInstance, home: Path) -> str:
    """A run whose process is gone, and of which Dagster's monitoring says so, as it does when it finds it missing."""
    code = (
        "import dagster as dg; from tests.telemetry.histories import killed\n"
        "with dg.DagsterInstance.get() as instance: "
        "killed.resolve_job_def('killed').execute_in_process(instance=instance)"
    )
    environment = {**os.environ, "DAGSTER_HOME": str(home)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    [run] = instance.get_runs()
    assert run.status == dg.DagsterRunStatus.STARTED
    instance.report_run_failed(run, "its worker is gone")
    return run.run_id
