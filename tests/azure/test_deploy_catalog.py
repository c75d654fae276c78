"""`lake deploy` and Unity Catalog: the deployed workspace gets the catalog of this environment, and no other."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.azure.catalog_yaml import filled_in, write_yaml
from tests.azure.deploying import Deploying, deploying
from tests.azure.fake_unity_catalog import WAREHOUSE, FakeUnityCatalog

CATALOG = ("    # catalog: catalog.yaml", "    catalog: catalog.yaml")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    with deploying(tmp_path_factory.mktemp("dev")) as made:
        made.write(CATALOG)
        (made.folder / "catalog.yaml").write_text("")
        made.refused("apply", "--yes")  # all but the catalog is there now
        return made.azure.world


@pytest.fixture
def dev(tmp_path: Path, world: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Deploying]:
    """An environment with Databricks; its catalog.yaml has what was deployed."""
    monkeypatch.setattr("dagster_lake.deploy.catalog.SCHEME", "http://")
    monkeypatch.setenv("DATABRICKS_TOKEN", "not-a-real-one")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("LAKE_DATABRICKS_WAREHOUSE_ID", WAREHOUSE)
    monkeypatch.delenv("LAKE_ENGINE", raising=False)
    with deploying(tmp_path) as made:
        made.azure.change(**world)
        made.write(CATALOG)
        write_catalog(made)
        yield made


@pytest.fixture
def unity(dev: Deploying) -> Iterator[FakeUnityCatalog]:
    """The workspace behind the address that Azure knows."""
    fake = FakeUnityCatalog()
    with fake.serve() as host:
        dev.azure.change(workspace=host.removeprefix("http://"))
        yield fake


def write_catalog(made: Deploying, **changes: str) -> None:
    outputs = json.loads(made.done("outputs", "--json"))
    deployed = {"storage_root": outputs["lakeRoot"], "access_connector_id": outputs["accessConnectorId"]}
    write_yaml(made.folder, filled_in(**{**deployed, **changes}))


def test_apply_makes_the_catalog_after_the_deployment_and_the_second_finds_nothing_to_do(
    dev: Deploying, unity: FakeUnityCatalog
) -> None:
    assert dev.run("plan", "--exit-code").exit_code == 2
    output = dev.applied()
    assert "Unity Catalog (catalog.yaml)\n+ storage credential shop_dev_lake" in output
    assert "shop_dev" in unity.catalogs
    assert json.loads(dev.state.read_text())["finished"] is True
    assert "Nothing to do: the catalog is as it should be." in dev.done("apply")
    assert dev.run("plan", "--exit-code").exit_code == 0
    assert dev.begun == 0


def test_a_catalog_of_another_lake_is_refused_before_the_workspace_is_touched(
    dev: Deploying, unity: FakeUnityCatalog
) -> None:
    write_catalog(dev, storage_root="abfss://lake@shopprod.dfs.core.windows.net")
    told = dev.refused("apply", "--yes")
    assert "catalog.yaml: storage_root is abfss://lake@shopprod.dfs.core.windows.net, and what was deployed is" in told
    assert unity.writes == []


def test_a_login_to_another_workspace_is_refused(
    dev: Deploying, unity: FakeUnityCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", "https://adb-9.9.azuredatabricks.net")
    assert "DATABRICKS_HOST is https://adb-9.9.azuredatabricks.net, and the workspace of dev is" in dev.refused("plan")
    assert unity.writes == []


def test_after_a_catalog_that_failed_the_next_run_goes_on_with_it(dev: Deploying, unity: FakeUnityCatalog) -> None:
    dev.azure.change(failures=[{"command": "resource show", "stderr": "ServiceUnavailable", "times": 1}])
    assert "-> Azure or the line was busy" in dev.refused("apply", "--yes")
    assert json.loads(dev.state.read_text())["finished"] is False
    looked = len(dev.azure.called("deployment sub what-if"))
    assert "Applied. Have the lake use it:" in dev.applied()
    assert len(dev.azure.called("deployment sub what-if")) == looked


def test_without_a_catalog_file_one_is_told_to_make_one(dev: Deploying) -> None:
    dev.write()
    assert "fill in a catalog.yaml from the outputs" in dev.applied()
