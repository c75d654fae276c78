"""From the settings to a submission and its cost, the documents that travel, and the wheel: nothing is run here."""

import json
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from databricks.sdk.service.jobs import JobEnvironment, SubmitTask
from packaging.requirements import Requirement

from dagster_lake.contract.model import contracts
from dagster_lake.databricks import wheel as databricks_wheel
from dagster_lake.databricks.compute import NEEDED_THERE, cost, submission
from dagster_lake.databricks.engine import DatabricksEngine
from dagster_lake.databricks.remote.document import DocumentError, Work, read, read_result, written, written_result
from dagster_lake.databricks.wheel import remote_wheel
from dagster_lake.databricks.workspace import WorkspaceError
from dagster_lake.engines.landed import LandedFile, LandedPartition
from dagster_lake.engines.step import Check, Counts, Step, StepResult
from dagster_lake.settings.databricks import DatabricksSettings
from dagster_lake.settings.lake import PROJECT_ROOT, Settings
from dagster_lake.storage.paths import Lake

WHEEL = "/Volumes/main/lake/dagster/wheels/dagster_lake-1-py3-none-any.whl"
PRICES = {
    "currency": "EUR",
    "serverless": 0.4,
    "job_cluster": 0.3,
    "serverless_dbu_per_hour": 6,
    "nodes": {"Standard_D4ds_v5": {"dbu_per_hour": 1, "per_hour": 0.25}},
}


def submitted(**settings: Any) -> dict[str, Any]:
    return submission(DatabricksSettings(**settings), "bronze of orders", WHEEL, ["--x", "y"])


@pytest.mark.parametrize("settings", [{}, {"compute": "job_cluster"}, {"compute": "job_cluster", "pool": "p1"}])
def test_the_sdk_knows_every_field_that_is_submitted(settings: dict[str, Any]) -> None:
    payload = submitted(**settings)
    for task in payload["tasks"]:
        assert SubmitTask.from_dict(task).as_dict() == task
    for environment in payload.get("environments", []):
        assert JobEnvironment.from_dict(environment).as_dict() == environment


def test_serverless_steps_install_the_wheel_and_pins_and_nothing_else() -> None:
    payload = submitted(environment_version="5", budget_policy="b-1")
    [environment] = payload["environments"]
    assert environment["spec"]["environment_version"] == "5"
    *pins, wheel = environment["spec"]["dependencies"]
    assert wheel == WHEEL
    assert sorted(Requirement(pin).name for pin in pins) == sorted(NEEDED_THERE)
    assert all(str(Requirement(pin).specifier).startswith("==") for pin in pins)
    assert payload["tasks"][0]["environment_key"] == environment["environment_key"]
    assert payload["budget_policy_id"] == "b-1"


def test_what_a_step_needs_there_is_what_the_project_says_it_needs_there() -> None:
    extras = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert sorted(Requirement(line).name for line in extras["remote"]) == sorted(NEEDED_THERE)


def test_a_job_cluster_scales_and_uses_spot_machines_but_never_for_the_driver() -> None:
    cluster = submitted(compute="job_cluster", min_workers=2, max_workers=9, policy="pol")["tasks"][0]["new_cluster"]
    assert cluster["autoscale"] == {"min_workers": 2, "max_workers": 9}
    assert cluster["azure_attributes"] == {"availability": "SPOT_WITH_FALLBACK_AZURE", "first_on_demand": 1}
    assert cluster["policy_id"] == "pol"
    on_demand = submitted(compute="job_cluster", spot=False)["tasks"][0]["new_cluster"]
    assert on_demand["azure_attributes"]["availability"] == "ON_DEMAND_AZURE"


def test_a_pool_takes_the_place_of_machines_and_the_driver_may_have_its_own() -> None:
    cluster = submitted(compute="job_cluster", pool="p1")["tasks"][0]["new_cluster"]
    assert (cluster["instance_pool_id"], cluster["driver_instance_pool_id"]) == ("p1", "p1")
    assert not {"node_type_id", "azure_attributes"} & set(cluster)
    other = submitted(compute="job_cluster", pool="p1", driver_pool="p2")["tasks"][0]["new_cluster"]
    assert other["driver_instance_pool_id"] == "p2"


def test_a_worker_is_not_cut_off_by_the_time_that_one_step_may_take() -> None:
    assert submitted(timeout_minutes=10)["timeout_seconds"] >= 600
    assert "timeout_seconds" not in submitted(compute="job_cluster", timeout_minutes=10)


def test_cost_is_estimated_by_the_price_table_with_all_workers_running() -> None:
    serverless = DatabricksSettings.model_validate({"prices": PRICES})
    assert cost(serverless, 1800, 7) == {
        "databricks_dbu": 3.0,
        "databricks_cost": 1.2,
        "databricks_currency": "EUR",
    }
    cluster = DatabricksSettings.model_validate({"prices": PRICES, "compute": "job_cluster", "max_workers": 3})
    # four machines, half an hour: 2 DBU at 0.3, and 4 x 0.25 an hour for the machines
    assert cost(cluster, 1800, 7)["databricks_cost"] == pytest.approx(2 * 0.3 + 0.5)


def test_without_a_price_table_cost_is_not_made_up() -> None:
    assert cost(DatabricksSettings(), 60, 7) == {"databricks_dbu": "unknown until system.billing.usage lists run 7"}


def test_the_price_table_is_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_DATABRICKS_PRICES", json.dumps(PRICES))
    assert Settings().databricks.prices.nodes["Standard_D4ds_v5"].per_hour == 0.25


def test_a_step_travels_as_json_and_arrives_unchanged() -> None:
    when = datetime(2026, 1, 1, 12, 30, 0, 123456, tzinfo=UTC)
    files = (
        LandedFile("abfss://c@a.dfs.core.windows.net/x", "2026-01-01T00", when, "users.jsonl", when),
        LandedFile("/raw/y.parquet", "2026-01-01T00", when, "orders/1", None),
    )
    work = Work(
        "/lake",
        Step("orders", "silver", ("2026-01-01T00", "2026-01-01T01"), accept_shrink=True),
        (LandedPartition("2026-01-01T00", 12, files),),
        "main",
        "key-1",
        "scope",
        "pii-key",
        {"meters.odcs.yaml": "name: meters"},
    )
    assert read(json.loads(json.dumps(written(work)))) == work
    for hours in (None, ("2026-01-01T00",)):
        check = Work("/lake", Check("orders", hours, ("keys_unique",)))
        assert read(json.loads(json.dumps(written(check)))) == check


def test_a_result_travels_as_json_and_arrives_unchanged() -> None:
    result = StepResult("silver.orders", 3, 10, 99, {"2026-01-01T00": Counts(5, 3, 1, 1, 0)}, {"x is empty": 1})
    assert read_result(json.loads(json.dumps(written_result(result)))) == result
    broken = {"keys_unique": {"2026-01-05T12": 2}}
    assert read_result(json.loads(json.dumps(written_result(broken)))) == broken


def test_a_document_of_another_version_is_refused() -> None:
    document = {**written(Work("/lake", Step("orders", "bronze", ("h",)))), "version": 99}
    with pytest.raises(DocumentError, match="version 99"):
        read(document)


def test_the_wheel_installs_with_nothing_else_and_names_its_entry_point(tmp_path: Path) -> None:
    wheel = remote_wheel()
    file = tmp_path / wheel.name
    file.write_bytes(wheel.content)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--target", str(tmp_path / "x")]
    subprocess.run([*command, str(file)], check=True)  # without --no-deps: it must ask for nothing
    assert (tmp_path / "x" / "bin" / "lake-step").exists()
    held = {p.name for p in (tmp_path / "x" / "dagster_lake" / "contracts").glob("*.yaml")}
    assert held == {contract.file for contract in contracts().values()}


def test_the_wheel_has_another_name_when_the_code_changes_and_the_same_when_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = tmp_path / "dagster_lake"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(databricks_wheel.dagster_lake, "__file__", str(package / "__init__.py"))
    made = [databricks_wheel.remote_wheel.__wrapped__() for _ in range(2)]
    assert made[0] == made[1]
    (package / "__init__.py").write_text("x = 1")
    assert databricks_wheel.remote_wheel.__wrapped__().name != made[0].name


def test_a_missing_volume_is_named(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="LAKE_DATABRICKS_VOLUME"):
        DatabricksEngine(Lake.at(str(tmp_path)), contracts(), Settings())


def test_a_volume_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="volume"):
        DatabricksSettings(volume="/tmp/x")
