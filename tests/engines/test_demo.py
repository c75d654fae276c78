"""The demo, as a person types it, on each engine: the same lake, table by table."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.manifest import manifest
from tests.engines.report import note
from tests.engines.tables import differences
from tests.engines.test_steps import tables

SIZE = {"LAKE_USERS": "60", "LAKE_VIP_USERS": "5", "LAKE_PRODUCTS": "10", "LAKE_PAGEVIEWS_PER_HOUR": "50"}
HOURS = "2"
CASE = "demo"
MEANS = 1e-12
"""How far means of floating-point numbers may differ, relatively: engines add in different orders."""


def demo(folder: Path, engine: str) -> Path:
    """`lake demo` in a process of its own, over the raw that ``folder`` may hold already."""
    home = folder / "home"
    home.mkdir()
    (home / "dagster.yaml").touch()
    own = {"LAKE_ROOT": str(folder / "lake"), "DAGSTER_HOME": str(home), "LAKE_ENGINE": engine, "LAKE_THREADS": "2"}
    day = ["--day", "2026-01-01", "--hours", HOURS]
    command = [sys.executable, "-c", "from dagster_lake.cli import app; app()", "demo", *day]
    result = subprocess.run(
        command, cwd=folder, env=os.environ | own | SIZE, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    assert "gold/engagements" in result.stdout
    return folder / "lake"


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demo(tmp_path_factory.mktemp("duckdb"), "duckdb")


@pytest.fixture(scope="module")
def spark(embedded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the same sources and raw, which an engine never changes: so all that differs is the engine."""
    folder = tmp_path_factory.mktemp("spark")
    for part in ("lake.json", "landing", "raw", "sources", "sensitive/raw"):
        whole = embedded / part
        copy = shutil.copytree if whole.is_dir() else shutil.copy2
        (folder / "lake" / part).parent.mkdir(parents=True, exist_ok=True)
        copy(whole, folder / "lake" / part)
    return demo(folder, "spark")


def models() -> list[tuple[str, str, str]]:
    """(stream or model, its name, its table) of every dbt model."""
    nodes = [node for node in manifest()["nodes"].values() if node["resource_type"] == "model"]
    kinds = {"streams": "stream"}
    return sorted((kinds.get(n["schema"], "model"), n["name"], f"{n['schema']}/{n['name']}") for n in nodes)


@pytest.mark.parametrize(("kind", "name", "table"), [("contract", *one) for one in tables()] + models())
def test_the_demo_gives_the_same_table_on_spark(
    kind: str, name: str, table: str, embedded: Path, spark: Path, record_property
) -> None:
    wanted = folder_of(embedded, table)

    told = differences(folder_of(spark, table), wanted, float_tolerance=MEANS)

    assert not told, "\n".join(told)
    rows = DeltaTable(str(wanted)).to_pyarrow_table().num_rows
    note(record_property, kind=kind, name=name, table=table, engine="spark", case=CASE, rows=rows)


def test_no_table_is_there_on_one_engine_only(embedded: Path, spark: Path) -> None:
    found = [{str(log.parent.relative_to(lake)) for log in lake.rglob("_delta_log")} for lake in (embedded, spark)]

    assert found[0] == found[1]
    accepted = [contract for contract in contracts().values() if contract.cadence == "snapshot"]  # a table each
    assert len(found[0]) == len(tables()) + len(accepted) + len(models()) + 1  # and gold/lake_status


def folder_of(lake: Path, table: str) -> Path:
    """Where a table is, in the sensitive zone or not."""
    return next(place for place in (lake / table, lake / "sensitive" / table) if (place / "_delta_log").exists())
