"""The Databricks bundle is whole for every target, and the ways to break it are noticed.

The ``databricks`` command itself does not run here: its schema does, through ``databricks-bundles``.
"""

import json
import re
import shutil
import tomllib
import typing
from pathlib import Path

import duckdb
import pytest
import yaml

from dagster_lake.contract.model import contracts
from dagster_lake.databricks.compute import NEEDED_THERE
from dagster_lake.settings.lake import DBT_PROJECT, PROJECT_ROOT
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import quarantine_table
from tests.azure.bundle import read_bundle, targets

DASHBOARD = PROJECT_ROOT / "bundle" / "dashboards" / "lake.lvdash.json"
QUALITY = PROJECT_ROOT / "bundle" / "pipelines" / "quality.sql"
PARTS = ("databricks.yml", "pyproject.toml", "bundle", "scripts")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for part in PARTS:
        source = PROJECT_ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / part)
    return tmp_path


@pytest.mark.parametrize("target", ["dev", "branch", "test", "prod"])
def test_nothing_is_wrong_with_the_bundle_of(target: str) -> None:
    assert target in targets(PROJECT_ROOT)
    assert read_bundle(PROJECT_ROOT, target).problems == []


def test_the_bundle_has_all_that_a_workspace_needs() -> None:
    resources = read_bundle(PROJECT_ROOT, "prod").resources
    assert {kind: sorted(items) for kind, items in resources.items()} == {
        "jobs": ["lake_ingest", "lake_optimize", "lake_quality", "lake_step", "lake_vacuum"],
        "pipelines": ["lake_quality"],
        "schemas": ["quality"],
        "dashboards": ["lake"],
        "cluster_policies": ["lake"],
        "instance_pools": ["lake"],
        "sql_warehouses": ["lake"],
    }


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("bundle/resources/step.yml", "timeout_seconds:", "timeout_second:", "timeout_second"),
        ("bundle/resources/step.yml", "entry_point: lake-step", "entry_point: lake-steps", "no entry point lake-steps"),
        ("pyproject.toml", "databricks.upkeep:main", "databricks.upkeep:start", "upkeep:start is not there"),
        ("bundle/resources/step.yml", "package_name: dagster_lake", "package_name: dagster_pond", "no package"),
        ("bundle/resources/step.yml", "cluster_policies.lake.id", "cluster_policies.pond.id", "is not known"),
        ("bundle/resources/step.yml", "${var.runtime}", "${var.runtimes}", "${var.runtimes} is not known"),
        ("bundle/resources/step.yml", "data_security_mode: SINGLE_USER", "data_security_mode: NONE", "policy refuses"),
        ("bundle/resources/step.yml", "SPOT_WITH_FALLBACK_AZURE", "SPOT_AZURE", "policy refuses"),
        (
            "bundle/resources/step.yml",
            "job_cluster_key: lake\n          max",
            "job_cluster_key: x\n          max",
            "no job",
        ),
        ("bundle/resources/step.yml", "job.parameters.dagster_pipes_context", "job.parameters.context", "parameters"),
        ("bundle/resources/step.yml", "max_concurrent_runs: 10", 'max_concurrent_runs: "10"', "is not 10"),
        ("bundle/resources/step.yml", "CAN_MANAGE_RUN, group", "CAN_MANAGE, group", "permits too much"),
        ("bundle/resources/step.yml", 'group_name: "${var.engineers}"', "group_name: users", "whom it should not"),
        ("bundle/resources/ingest.yml", "dist/databricks/*.whl", "dist/*.whl", "not what an artifact makes"),
        (
            "bundle/resources/ingest.yml",
            "environment_key: lake\n          max",
            "environment_key: x\n          max",
            "no env",
        ),
        ("bundle/resources/ingest.yml", "budget_policy_id: ", "description: ", "no budget_policy_id"),
        ("bundle/resources/dashboard.yml", "lake.lvdash.json", "pond.lvdash.json", "does not exist"),
        ("bundle/resources/quality.yml", "../pipelines/quality.sql", "quality.sql", "does not exist"),
        ("bundle/resources/quality.yml", "[USE_SCHEMA, SELECT]", "[ALL_PRIVILEGES]", "grants too much"),
        ("bundle/resources/upkeep.yml", "on_failure: [", "on_success: [", "tells nobody"),
        ("bundle/resources/upkeep.yml", "timezone_id: UTC", "timezone: UTC", "timezone"),
        ("bundle/resources/compute.yml", '{"type": "forbidden"},', '{"type": "forbidden"}', "definition"),
        ("databricks.yml", "bundle/resources/*.yml", "bundle/resource/*.yml", "matches nothing"),
        ("databricks.yml", "scripts/databricks-wheel", "scripts/databrick-wheel", "does not exist"),
        ("databricks.yml", "max_workers: 8", "maximum_workers: 8", "is not declared"),
        ("databricks.yml", "  analysts:\n", "  viewers:\n", "is not known"),
        ("databricks.yml", "tags: {environment: prod}", "tags: {environment: dev}", "environment is not prod"),
        ("databricks.yml", "tags: {environment: prod}", "trigger_pause_status: PAUSED", "settings of development"),
        ("databricks.yml", "bundle:\n", "# password: hunter2hunter2\nbundle:\n", "looks like a secret"),
    ],
)
def test_a_mistake_is_noticed(copy: Path, file: str, old: str, new: str, says: str) -> None:
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new))
    assert any(says in problem for problem in read_bundle(copy, "prod").problems)


def test_prod_without_a_service_principal_to_run_as_is_noticed(copy: Path) -> None:
    main = yaml.safe_load((copy / "databricks.yml").read_text())
    del main["targets"]["prod"]["run_as"]
    (copy / "databricks.yml").write_text(yaml.safe_dump(main))
    assert read_bundle(copy, "prod").problems == ["targets.prod.run_as is not a service principal"]


def test_a_branch_s_jobs_have_the_branch_s_name_and_so_has_their_folder() -> None:
    branch = yaml.safe_load((PROJECT_ROOT / "databricks.yml").read_text())["targets"]["branch"]
    assert "${var.branch}" in branch["presets"]["name_prefix"]
    assert "${workspace.current_user.short_name}" in branch["presets"]["name_prefix"]  # or the CLI refuses it
    assert branch["workspace"]["root_path"].endswith("/${var.branch}")


def test_schedules_run_in_prod_and_nowhere_else() -> None:
    main = yaml.safe_load((PROJECT_ROOT / "databricks.yml").read_text())["targets"]
    paused = {name: target["presets"].get("trigger_pause_status") for name, target in main.items()}
    assert paused == {"dev": "PAUSED", "branch": "PAUSED", "test": "PAUSED", "prod": None}
    jobs = read_bundle(PROJECT_ROOT, "prod").resources["jobs"]
    scheduled = {key for key, job in jobs.items() if "schedule" in job}
    assert scheduled == {"lake_optimize", "lake_vacuum", "lake_quality"}
    assert not any("pause_status" in job.get("schedule", {}) for job in jobs.values())


def test_the_clusters_of_every_target_keep_to_the_size_that_its_policy_allows() -> None:
    widest = {}
    for target in targets(PROJECT_ROOT):
        [cluster] = read_bundle(PROJECT_ROOT, target).resources["jobs"]["lake_step"]["job_clusters"]
        widest[target] = cluster["new_cluster"]["autoscale"]["max_workers"]
    assert widest == {"dev": 2, "branch": 2, "test": 4, "prod": 8}


def test_a_job_of_the_bundle_installs_what_a_submitted_step_installs() -> None:
    extras = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert sorted(re.split(r"[<>=]", requirement)[0] for requirement in extras["remote"]) == sorted(NEEDED_THERE)


# ---- what the dashboard and the pipeline read ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def gold() -> duckdb.DuckDBPyConnection:
    """Gold's tables as dbt declares them, without rows, and what the pipeline makes."""
    con = duckdb.connect()
    con.execute("CREATE SCHEMA quality")
    con.execute("CREATE TABLE quality.refused_rows (data_set text, partition text, reason text, rows bigint)")
    for file in (DBT_PROJECT / "models" / "gold").glob("*.yml"):
        for model in yaml.safe_load(file.read_text()).get("models", []):
            columns = ", ".join(f"{column['name']} {_duckdb_type(column['data_type'])}" for column in model["columns"])
            con.execute(f"CREATE TABLE {model['name']} ({columns})")
    return con


def _duckdb_type(declared: str) -> str:
    return "text" if "{{" in declared else declared


def test_every_query_of_the_dashboard_runs_on_gold_and_every_widget_shows_what_its_query_gives(
    gold: duckdb.DuckDBPyConnection,
) -> None:
    dashboard = json.loads(DASHBOARD.read_text())
    for dataset in dashboard["datasets"]:
        gold.execute(f'CREATE VIEW "_{dataset["name"]}" AS {"".join(dataset["queryLines"])}')
    names: list[str] = []
    for page in dashboard["pages"]:
        for item in page["layout"]:
            widget = item["widget"]
            names.append(widget["name"])
            [query] = widget["queries"]
            fields = {field["name"]: field["expression"].replace("`", '"') for field in query["query"]["fields"]}
            gold.execute(f'SELECT {", ".join(fields.values())} FROM "_{query["query"]["datasetName"]}" GROUP BY ALL')
            shown = {value for key, value in _leaves(widget["spec"]["encodings"]) if key == "fieldName"}
            assert shown == fields.keys(), widget["name"]
    assert len(names) == len(set(names)) > 10


def test_the_widgets_of_a_page_do_not_lie_on_each_other() -> None:
    for page in json.loads(DASHBOARD.read_text())["pages"]:
        taken: set[tuple[int, int]] = set()
        for position in (item["position"] for item in page["layout"]):
            cells = {
                (x, y)
                for x in range(position["x"], position["x"] + position["width"])
                for y in range(position["y"], position["y"] + position["height"])
            }
            assert not cells & taken
            assert max(x for x, _ in cells) < 6
            taken |= cells


def _leaves(value: typing.Any, key: str = "") -> typing.Iterator[tuple[str, typing.Any]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, key)
    else:
        yield key, value


def test_the_quality_pipeline_counts_the_refused_rows_of_every_contract() -> None:
    lake = Lake(Path("lake"))  # type: ignore[arg-type]  # only names and schemas are used
    read = re.findall(r"SELECT '(\w+)' AS data_set, (\w+) AS partition, _reasons FROM (\S+)", QUALITY.read_text())
    expected = []
    for name, contract in sorted(contracts().items()):
        table = quarantine_table(lake, contract)
        place = f"sensitive.quarantine_{name}" if contract.sensitive else f"quarantine.{name}"
        assert "_reasons" in table.schema.names
        expected.append((name, table.partition_by, place))
    assert read == expected
