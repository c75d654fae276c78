"""dbt's target ``databricks``: models compile without a workspace, and run on a warehouse that Spark stands for."""

import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest

from dagster_lake.dbt_runner import manifest as dbt_manifest
from dagster_lake.dbt_runner import run as dbt
from dagster_lake.dbt_runner.databricks import DatabricksNotSet, signed_in, workspace
from dagster_lake.dbt_runner.spark_session import _name_tables
from dagster_lake.dbt_runner.tables import pin_lake
from dagster_lake.engines.spark.session import spark_session
from dagster_lake.lake_hour import HourRange
from dagster_lake.settings.databricks import DatabricksSettings
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake
from tests.engines.fake_warehouse import warehouse
from tests.lake.silver_world import hour, random_world
from tests.lake.test_gold import CHAIN, rows, so_far

ENVIRONMENT = {
    "DATABRICKS_HOST": "https://adb-1.azuredatabricks.net",
    "DATABRICKS_TOKEN": "a token that only tests use",
    "LAKE_CATALOG": "lake_dev",
    "LAKE_DATABRICKS_WAREHOUSE_ID": "abc123",
}
DUCKDB_ONLY = re.compile(
    r"\bvarchar\b|with time zone|\[\]|\bstrptime\b|::|//|\bhugeint\b|\bexclude\b|\blist_|\bfilter \(|\bdate_trunc\b",
    re.IGNORECASE,
)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in os.environ if n.startswith(("DATABRICKS_", "ARM_", "AZURE_", "LAKE_"))]:
        monkeypatch.delenv(name)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


def settings(**given: Any) -> Settings:
    made = {"engine": "databricks", "catalog": "lake_dev", "databricks": DatabricksSettings(warehouse_id="abc123")}
    return Settings(**{**made, **given})


@pytest.mark.usefixtures("environment")
def test_every_model_and_test_compiles_offline_in_the_spelling_of_databricks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbt.cli.main import dbtRunner

    def refuse(*_: Any) -> None:
        raise AssertionError("dbt compile opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    result = dbtRunner().invoke(["compile", *dbt_manifest.flags(tmp_path, "databricks")])
    assert result.success, result.exception
    compiled = {r.node.unique_id: r.node.compiled_code for r in result.result}  # type: ignore[union-attr]
    wanted = [node for node in dbt_manifest.manifest()["nodes"].values() if node["resource_type"] in ("model", "test")]
    assert {node["unique_id"] for node in wanted} <= compiled.keys()
    without_comments = {id: re.sub(r"--[^\n]*", "", sql) for id, sql in compiled.items()}
    assert {id: m[0] for id, sql in without_comments.items() if (m := DUCKDB_ONLY.search(sql))} == {}
    assert "`lake_dev`.`silver`.`pageviews`" in compiled["model.dagster_lake.engagement_hourly"]


@pytest.mark.usefixtures("environment")
def test_a_warehouse_builds_the_chain_hour_by_hour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake.at(str(tmp_path / "lake"))
    spark = spark_session(Settings(threads=2))
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr("databricks.sql.connect", warehouse(spark, asked))
    whole = random_world(3)
    partitions = []
    for number in (2, 3):
        world = so_far(whole, number)
        world.write(lake)
        _name_tables(Settings(), pin_lake(lake))  # as `lake catalog apply` does in Unity Catalog
        ids = [f"model.dagster_lake.{model}" for model in CHAIN]
        of = HourRange.of(hour(0 if number == 2 else number), hour(number))
        results = {r.name: r for r in dbt.build(ids, of, lake, settings(catalog="spark_catalog"))}
        assert rows(lake, "engagements") == world.engagements()
        written = results["engagement_daily"].written
        partitions.append(written and written.partitions)
    assert partitions == [None, (hour(3)[:10],)]
    assert {a["server_hostname"] for a in asked} == {"adb-1.azuredatabricks.net"}
    assert {a["http_path"] for a in asked} == {"/sql/1.0/warehouses/abc123"}
    assert {a["session_configuration"]["timezone"] for a in asked} == {"UTC"}


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"catalog": None}, "LAKE_CATALOG"),
        ({"databricks": DatabricksSettings(warehouse_id=None)}, "LAKE_DATABRICKS_WAREHOUSE_ID"),
    ],
)
def test_a_missing_setting_is_named(given: dict[str, Any], named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LAKE_DATABRICKS_WAREHOUSE_ID")
    monkeypatch.delenv("LAKE_CATALOG")
    with pytest.raises(DatabricksNotSet, match=named):
        workspace(settings(**given))


@pytest.mark.usefixtures("environment")
def test_dbt_s_variables_hold_no_secret_and_a_known_secret_is_left_to_dbt() -> None:
    assert workspace(settings()) == {
        "lake_catalog": "lake_dev",
        "lake_databricks_host": "adb-1.azuredatabricks.net",
        "lake_warehouse": "abc123",
    }
    with signed_in():
        assert "DBT_ENV_SECRET_LAKE_TOKEN" not in os.environ


@pytest.mark.usefixtures("environment")
def test_an_identity_that_dbt_does_not_know_comes_with_each_request_of_the_run_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbt.adapters.databricks.credentials import DatabricksCredentialManager

    def header() -> str:
        manager = DatabricksCredentialManager(
            host=ENVIRONMENT["DATABRICKS_HOST"], client_id="", client_secret="", token="dbt's own"
        )
        return manager.header_factory()["Authorization"]

    (tmp_path / "cfg").write_text(f"[mine]\nhost = {ENVIRONMENT['DATABRICKS_HOST']}\ntoken = of the profile\n")
    monkeypatch.delenv("DATABRICKS_TOKEN")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "cfg"))
    monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "mine")
    with signed_in():
        assert os.environ["DBT_ENV_SECRET_LAKE_TOKEN"]
        assert header() == "Bearer of the profile"
    assert "DBT_ENV_SECRET_LAKE_TOKEN" not in os.environ
    monkeypatch.delenv("DATABRICKS_CONFIG_PROFILE")
    assert header() == "Bearer dbt's own"
