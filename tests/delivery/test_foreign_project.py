"""A stranger's project has the wheel alone, contracts and models of its own, and meets nothing of the shop."""

import json
import os
import shutil
import sqlite3
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import dagster as dg
import pytest
from typer.testing import CliRunner

from dagster_lake.cli.main import app
from dagster_lake.component import LakeComponent, LakeComponentError
from dagster_lake.contract.model import ContractError, load_contracts
from dagster_lake.dbt_runner.manifest import manifest
from dagster_lake.dbt_runner.project import DbtProjectError
from dagster_lake.settings.project import ProjectSettings
from tests.azure.wheels import built, checkout_at, installed_at, ran

PROJECT = Path(__file__).parents[1] / "support" / "foreign_project"
SHOP = {"users", "vip_users", "products", "orders", "order_items", "pageviews", "stars"}
MADE = {
    *("raw/meters", "bronze/meters", "silver/meters", "silver/meters_snapshots", "quarantine/meters"),
    *("raw/readings", "bronze/readings", "silver/readings", "silver/readings_changes", "quarantine/readings"),
    *("gold/use_by_street", "gold/lake_status", "reconciliation/readings"),
}
HOUR = "2026-01-05T00"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(checkout_at(tmp_path_factory.mktemp("wheel") / "checkout"))


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed_at(tmp_path_factory.mktemp("installed") / "venv", wheel)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The stranger's folder, with a delivery of meters and a database of readings."""
    folder = shutil.copytree(PROJECT, tmp_path / "water")
    landing = folder / ".lake" / "landing" / "meters"
    landing.mkdir(parents=True)
    meters = [(1, "Long"), (2, "Short"), ("two", "Short")]
    landing.joinpath("meters.jsonl").write_text(
        "".join(json.dumps({"meter_id": id, "street": street, "tenant": "Ann"}) + "\n" for id, street in meters)
    )
    with sqlite3.connect(folder / "readings.db") as con:
        con.execute(
            "CREATE TABLE readings (reading_id INTEGER PRIMARY KEY, meter_id INTEGER NOT NULL, "
            "cubic_metres TEXT NOT NULL, changed_at TEXT NOT NULL)"
        )
        rows = [(1, 1, "1.5", "00:10"), (2, 2, "2.25", "00:20"), (3, 2, "-1", "00:30"), (4, 1, "9", "01:10")]
        con.executemany(
            "INSERT INTO readings VALUES (?, ?, ?, ?)", [(*row[:3], f"2026-01-05 {row[3]}:00") for row in rows]
        )
    return folder


def own(folder: Path) -> dict[str, str]:
    return {
        "LAKE_CONTRACTS": "contracts",
        "LAKE_DBT_PROJECT": "dbt",
        "LAKE_OWNER": "team:water",
        "LAKE_FIRST_HOUR": HOUR,
        "LAKE_DATABASE_URL": f"sqlite:///{folder / 'readings.db'}",
        "DAGSTER_HOME": str(folder),
        "DAGSTER_DISABLE_TELEMETRY": "1",
    }


def test_a_project_of_its_own_builds_silver_and_gold_by_settings_alone(programs: Path, project: Path) -> None:
    settings = own(project)
    project.joinpath("dagster.yaml").touch()
    ran([programs / "lake", "dbt", "deps"], project, **settings)
    dagster = [programs / "python", "-m", "dagster", "asset", "materialize", "-m", "dagster_lake.definitions"]
    ran([*dagster, "--select", "*", "--partition", HOUR], project, **settings)
    query = [programs / "lake", "query", "--format", "csv"]
    gold = ran([*query, "SELECT street, readings, litres FROM gold.use_by_street ORDER BY street"], project, **settings)
    assert gold.split() == ["street,readings,litres", "Long,1,1500", "Short,1,2250"]
    refused = ran(
        [*query, "SELECT meter_id, _reasons[1] AS why FROM quarantine.meters"],
        project,
        **settings,
    )
    assert refused.split() == ["meter_id,why", "two,meter_id:type"]
    masked = ran([*query, "SELECT count(*) AS n FROM silver.meters WHERE tenant = 'Ann'"], project, **settings)
    assert masked.split() == ["n", "0"]


def test_a_project_of_its_own_meets_no_asset_check_job_or_table_of_the_shop(programs: Path, project: Path) -> None:
    settings = own(project)
    ran([programs / "lake", "dbt", "deps"], project, **settings)
    says = (
        "import json\n"
        "from dagster_lake.definitions import defs\n"
        "graph = defs.resolve_asset_graph()\n"
        "print(json.dumps({'assets': [key.to_user_string() for key in graph.get_all_asset_keys()],"
        " 'owners': sorted({owner for spec in defs.resolve_all_asset_specs() for owner in spec.owners}),"
        " 'checks': [f'{key.asset_key.to_user_string()} {key.name}' for key in graph.asset_check_keys]}))"
    )
    found = json.loads(ran([programs / "python", "-c", says], project, **settings).splitlines()[-1])
    assert set(found["assets"]) == MADE
    assert found["owners"] == ["team:water"]
    assert not [check for check in found["checks"] if SHOP & {*check.replace("/", " ").split()}]


DG = "from dagster_dg_cli.cli import main; main()"


def without_settings(folder: Path) -> dict[str, str]:
    """What the component says itself is left out; Python finds the project's package where it lies."""
    said = {"LAKE_CONTRACTS", "LAKE_DBT_PROJECT", "LAKE_OWNER"}
    return {n: v for n, v in own(folder).items() if n not in said} | {"PYTHONPATH": str(folder)}


def test_one_defs_yaml_gives_another_dagster_project_the_lake_beside_its_own_assets(
    programs: Path, project: Path
) -> None:
    project.joinpath("dagster.yaml").touch()
    ran([programs / "lake", "dbt", "deps"], project, **own(project))
    settings = without_settings(project)
    assert "All definitions loaded" in ran([programs / "python", "-c", DG, "check", "defs"], project, **settings)
    says = (
        "import json\n"
        "from water.definitions import defs\n"
        "specs = defs().resolve_all_asset_specs()\n"
        "print(json.dumps([[spec.key.to_user_string(), *spec.owners] for spec in specs]))"
    )
    found = json.loads(ran([programs / "python", "-c", says], project, **settings).splitlines()[-1])
    assert {key for key, *_ in found} == MADE | {"leaks"}
    assert {owner for _, *owners in found for owner in owners} == {"team:water"}
    launch = [programs / "python", "-c", DG, "launch", "--assets", 'key:"raw/meters" or key:"bronze/meters"']
    ran(launch, project, **settings)
    rows = ran([programs / "lake", "query", "--format", "csv", "SELECT count(*) AS n FROM bronze.meters"], project)
    assert rows.split() == ["n", "3"]


def test_a_lake_that_dg_scaffolds_loads_and_has_a_data_set_to_go_on_from(programs: Path, project: Path) -> None:
    shutil.rmtree(project / "water" / "defs" / "lake")
    project.joinpath("water", "defs", "leaks.py").unlink()
    settings = {"PYTHONPATH": str(project), "DAGSTER_HOME": "", "LAKE_FIRST_HOUR": HOUR}
    component = "dagster_lake.component.LakeComponent"
    ran([programs / "python", "-c", DG, "scaffold", "defs", component, "mine"], project, **settings)
    assert "All definitions loaded" in ran([programs / "python", "-c", DG, "check", "defs"], project, **settings)
    assert (project / "water" / "defs" / "mine" / "contracts" / "readings.odcs.yaml").is_file()


def test_a_component_that_cannot_be_what_its_file_says_names_the_attribute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    context = cast(dg.ComponentLoadContext, SimpleNamespace(path=tmp_path))
    with pytest.raises(LakeComponentError, match=r"contracts: there is no folder .*nowhere; correct it"):
        LakeComponent(contracts="nowhere").build_defs(context)
    (tmp_path / "mine").mkdir()
    monkeypatch.setenv("LAKE_CONTRACTS", "/of/another")
    with pytest.raises(LakeComponentError, match=r"LAKE_CONTRACTS is /of/another already; remove it"):
        LakeComponent(contracts="mine").build_defs(context)


def test_what_dbt_is_told_of_silver_is_what_the_contracts_say(programs: Path, project: Path) -> None:
    written = [Path("dbt/models/sources.yml"), Path("dbt/macros/data_sets_of_events.sql")]
    before = [project.joinpath(file).read_text() for file in written]
    for file in written:
        project.joinpath(file).unlink()
    ran([programs / "python", "-m", "dagster_lake.dbt_runner.sources"], project, **own(project))
    assert [project.joinpath(file).read_text() for file in written] == before


def test_what_a_project_lacks_is_named_with_what_to_do(monkeypatch: pytest.MonkeyPatch, project: Path) -> None:
    for name, value in own(project).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LAKE_CONTRACTS", f"{project / 'contracts'}")
    monkeypatch.setenv("LAKE_DBT_PROJECT", f"{project / 'dbt'}")
    assert [*load_contracts(*ProjectSettings().contracts)] == ["meters", "readings"]
    assert "the demo builds the shop's tables, and LAKE_CONTRACTS" in said("demo")
    with pytest.raises(
        DbtProjectError, match=r"packages.yml lists are not installed; run: LAKE_DBT_PROJECT=.*dbt lake dbt deps"
    ):
        manifest()
    monkeypatch.setenv("LAKE_DBT_PROJECT", f"{project / 'contracts'}")
    with pytest.raises(DbtProjectError, match=r"no dbt_project.yml in .*; set LAKE_DBT_PROJECT to the folder"):
        manifest()
    monkeypatch.delenv("LAKE_DBT_PROJECT")
    assert manifest()["nodes"] == {}
    assert "name the folder of a dbt project" in said("dbt", "parse")
    for folder, told in ((project / "dbt", "holds no file named"), (project / "none", "cannot be read")):
        monkeypatch.setenv("LAKE_CONTRACTS", f"{project / 'contracts'}{os.pathsep}{folder}")
        with pytest.raises(ContractError, match=f"LAKE_CONTRACTS: .*{told}"):
            load_contracts(*ProjectSettings().contracts)


def said(*command: str) -> str:
    done = CliRunner().invoke(app, list(command))
    assert done.exit_code == 1
    return " ".join(done.output.split())
