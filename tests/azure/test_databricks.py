"""A lake whose steps run on (a fake) Databricks with a real Spark is the lake that the embedded engine builds.

Starting a Spark takes longer than the steps, so there is one run for all tests here, and in it the cluster dies once,
while silver is written.
"""

import os
import shlex
import shutil
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import dagster as dg
import pytest

from dagster_lake.engines.spark.delta_jars import DeltaJars
from dagster_lake.engines.spark.session import _options
from dagster_lake.settings.lake import Settings
from tests.azure.fake_databricks import FakeDatabricks
from tests.azure.workspaces import QUICK, VOLUME
from tests.engines.tables import differences
from tests.lake.lakes import KEY, TINY, TestLake, hours

HOURS = hours(2)
RAW = ("users", "orders")
STEPS = " or ".join(
    f'key:"{key}"'
    for key in ("bronze/orders", "bronze/users", "silver/users_snapshots", "quarantine/users", "silver/users")
)
DIES_AT = "silver.users_snapshots:before+0.2"
REMOTE = {f"databricks_{name}": value for name, value in {**QUICK, "compute": "job_cluster"}.items()}


@dataclass
class Built:
    """One lake, and the Dagster run that built it."""

    lake: TestLake
    run: dg.ExecuteInProcessResult

    def metadata_keys(self) -> dict[str, set[str]]:
        """The metadata of each materialisation, by asset."""
        made = self.run.get_asset_materialization_events()
        return {
            str(event.asset_key): {key for key in event.materialization.metadata if not key.startswith("databricks_")}
            for event in made
            if event.asset_key
        }

    def checks(self) -> dict[tuple[str, str, str | None], tuple[bool, str]]:
        """What each asset check came to, hour by hour."""
        return {
            (str(e.asset_key), e.check_name, e.partition): (e.passed, e.severity.value)
            for e in self.run.get_asset_check_evaluations()
        }


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Built:
    lake = TestLake(tmp_path_factory.mktemp("embedded"))
    lake.run_sources(RAW, *HOURS)
    for name in RAW:
        lake.land(name, *HOURS)
    return Built(lake, lake.materialize(*HOURS, selection=STEPS))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FakeDatabricks]:
    folder = tmp_path_factory.mktemp("workspace")
    environment = {
        "PYSPARK_SUBMIT_ARGS": _cluster(folder),
        "FAKE_DIE_AT": DIES_AT,
        "FAKE_KILLED": str(folder / "killed"),
    }
    with FakeDatabricks(folder / "fake", environment) as fake:
        fake.make_volume(VOLUME)
        fake.secrets["lake", "pii-key"] = KEY.decode()
        with patch.dict(os.environ, fake.environment):
            yield fake


@pytest.fixture(scope="module")
def remote(embedded: Built, workspace: FakeDatabricks, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """A lake with the same raw, whose steps run in the workspace."""
    root = tmp_path_factory.mktemp("remote")
    shutil.copy(embedded.lake.root / "lake.json", root)
    for zone in ("", "sensitive"):
        shutil.copytree(embedded.lake.root / zone / "raw", root / zone / "raw")
    lake = TestLake(root, {**TINY, "engine": "databricks", **REMOTE})
    return Built(lake, lake.materialize(*HOURS, selection=STEPS))


def _cluster(folder: Path) -> str:
    """The Spark that a cluster would have: Delta, and a driver of its own."""
    settings = Settings(threads=2, spark_memory="1g")
    options = {**_options(settings, str(folder)), **DeltaJars(settings).options(), "spark.master": "local[2]"}
    return shlex.join([*(f"--conf={name}={value}" for name, value in options.items()), "pyspark-shell"])


def test_the_tables_are_those_of_the_embedded_engine(embedded: Built, remote: Built) -> None:
    assert embedded.lake.content()
    found, wanted = remote.lake.content(), embedded.lake.content()
    assert found.keys() == wanted.keys()
    for table in wanted:
        assert differences(remote.lake.root / table, embedded.lake.root / table) == []


def test_the_materialisations_carry_the_same_metadata(embedded: Built, remote: Built) -> None:
    assert embedded.metadata_keys()
    assert remote.metadata_keys() == embedded.metadata_keys()


def test_the_checks_come_to_the_same(embedded: Built, remote: Built) -> None:
    assert {name for _, name, _ in embedded.checks()} >= {"row_balance", "keys_unique", "rules_hold"}
    assert remote.checks() == embedded.checks()


def test_each_step_says_where_it_ran_and_for_how_long(remote: Built) -> None:
    for step in steps(remote):
        metadata = step.materialization.metadata
        assert isinstance(metadata["databricks_url"], dg.UrlMetadataValue)
        assert metadata["databricks_compute"].value == "job_cluster"
        assert float(str(metadata["databricks_seconds"].value)) > 0
        assert "databricks_dbu" in metadata


def test_steps_and_checks_shared_a_cluster_and_a_second_one_when_the_first_died_in_mid_write(
    remote: Built, workspace: FakeDatabricks
) -> None:
    first, second = workspace.runs.values()
    assert first.result == "FAILED"
    assert "new_cluster" in second.payload["tasks"][0]
    ran = {str(step.asset_key): step.materialization.metadata["databricks_run_id"].value for step in steps(remote)}
    assert set(ran.values()) == {str(first.run_id), str(second.run_id)}
    assert [run for key, run in ran.items() if "silver" in key] == [str(second.run_id)] * 2


def test_the_cluster_ends_with_the_dagster_run(remote: Built, workspace: FakeDatabricks) -> None:
    _, second = workspace.runs.values()
    assert second.process is not None
    assert second.process.wait(timeout=60) == 0


def test_the_masking_key_is_in_no_request_and_no_log(remote: Built, workspace: FakeDatabricks) -> None:
    sent = b"".join(request.path.encode() + request.body for request in workspace.requests)
    for secret in (KEY.decode(), b64encode(KEY).decode()):
        assert secret.encode() not in sent
        assert secret not in workspace.logs()


def steps(built: Built) -> list[dg.DagsterEvent]:
    """The materialisations that say where their step ran."""
    made = built.run.get_asset_materialization_events()
    return [event for event in made if "databricks_run_id" in event.materialization.metadata]
