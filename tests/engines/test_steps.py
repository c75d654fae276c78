"""Every contract's steps on every engine, from the same raw: the same tables, the same counts, the same checks."""

import shutil
from dataclasses import dataclass, replace

import pytest
from deltalake import DeltaTable

from dagster_lake.contract.model import contracts
from dagster_lake.defs.contracts.pending import pending_snapshots
from dagster_lake.engines.step import Check, Step, StepResult
from dagster_lake.storage.tables import has_newest, silver_name
from tests.engines.report import note
from tests.engines.tables import differences
from tests.lake.lakes import TINY, TestLake, hours

HOURS = hours(3)
DIRT = "heavy"
"""The worst there is: with the default dirt, test_demo.py builds a whole lake."""
RAW = ("users", "vip_users", "products", "orders", "order_items", "pageviews", "stars")
ENGINES = ("spark",)
"""The engines that are held against the embedded one."""


@dataclass
class Built:
    """One lake, and what its steps and checks reported."""

    lake: TestLake
    results: dict[tuple[str, str], StepResult]
    checks: dict[str, dict[str, dict[str, int]]]


def build(lake: TestLake, *, engine: str | None = None) -> Built:
    """Runs every step and check of every contract over the lake's raw: stars hour by hour, the others at once."""
    results: dict[tuple[str, str], StepResult] = {}
    checks = {}
    with lake.here():
        resource = lake.resource
        for name, contract in contracts().items():
            for layer in ("bronze", "silver", *(["newest"] if has_newest(contract) else [])):
                if contract.cadence == "snapshot":
                    runs = [tuple(pending_snapshots(resource.lake, contract, layer))]
                else:
                    runs = [(HOURS[0],), tuple(HOURS[1:])] if name == "stars" else [tuple(HOURS)]
                for partitions in runs:
                    results[name, layer] = resource.engine.run(Step(name, layer, partitions))  # type: ignore[arg-type]
        for name, contract in contracts().items():
            names = ("keys_unique", "rules_hold", *(f"{p.name}_exists" for p in contract.properties if p.references))
            asked = None if contract.cadence == "snapshot" else tuple(HOURS)
            checks[name] = resource.engine.check(Check(name, asked, names))
    return Built(lake, results, checks)


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The lake as the embedded engine builds it."""
    lake = TestLake(tmp_path_factory.mktemp("duckdb"), {**TINY, "dirt": DIRT})
    lake.run_sources(RAW, *HOURS)
    for name in RAW:
        lake.land(name, *HOURS)
    return build(lake)


@pytest.fixture(scope="module", params=ENGINES)
def other(request: pytest.FixtureRequest, embedded: Built, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The lake as another engine builds it from a copy of the same raw."""
    lake = TestLake(tmp_path_factory.mktemp(request.param), {**embedded.lake.settings, "engine": request.param})
    for zone in ("", "sensitive"):
        shutil.copytree(embedded.lake.root / zone / "raw", lake.root / zone / "raw")
    spark = lake.resource.engine.spark  # type: ignore[attr-defined]
    for row in spark.sql("SHOW TABLES").collect():  # what other tests have left in the session that all share
        if row.isTemporary:
            spark.catalog.dropTempView(row.tableName)
    return build(lake)


def tables() -> list[tuple[str, str]]:
    """(contract, table) of everything that contracts give rise to."""
    found = []
    for name, contract in contracts().items():
        names = [f"bronze/{name}", f"silver/{silver_name(contract)}", f"quarantine/{name}"]
        names += [f"silver/{name}"] if has_newest(contract) else []
        found += [(name, table) for table in names]
    return found


@pytest.mark.parametrize(("contract", "table"), tables())
def test_every_engine_gives_the_same_table(
    contract: str, table: str, embedded: Built, other: Built, record_property
) -> None:
    wanted = embedded.lake.table_folder(table)

    told = differences(other.lake.table_folder(table), wanted)

    assert not told, "\n".join(told)
    note(
        record_property,
        kind="contract",
        name=contract,
        table=table,
        engine=other.lake.settings["engine"],
        case=f"{DIRT} dirt",
        rows=DeltaTable(str(wanted)).to_pyarrow_table().num_rows,
    )


@pytest.mark.parametrize(("contract", "layer"), [(name, layer) for name in RAW for layer in ("bronze", "silver")])
def test_every_engine_counts_the_same_rows_and_reasons(
    contract: str, layer: str, embedded: Built, other: Built
) -> None:
    found, wanted = other.results[contract, layer], embedded.results[contract, layer]

    assert replace(found, version=0, table_bytes=0) == replace(wanted, version=0, table_bytes=0)


def test_a_step_leaves_no_view_behind(other: Built) -> None:
    engine = other.lake.resource.engine

    left = [row.tableName for row in engine.spark.sql("SHOW TABLES").collect() if row.isTemporary]  # type: ignore[attr-defined]

    assert left == [], "dbt would take them for tables, and one holds the masking key"


def test_every_engine_finds_the_same_rows_that_break_a_check(embedded: Built, other: Built) -> None:
    assert other.checks == embedded.checks


@pytest.mark.parametrize("engine", ["duckdb", *ENGINES])
def test_what_was_never_delivered_is_an_empty_table_on_every_engine(
    engine: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lake = TestLake(tmp_path_factory.mktemp("never"), {**TINY, "engine": engine})
    with lake.here():
        for _ in range(2):  # and again, when the tables are there
            for layer in ("bronze", "silver", "newest"):
                result = lake.resource.engine.run(Step("vip_users", layer, ()))  # type: ignore[arg-type]
                assert (result.table_rows, result.counts) == (0, {})
        assert lake.resource.engine.check(Check("vip_users", None, ("keys_unique", "rules_hold"))) == {
            "keys_unique": {},
            "rules_hold": {},
        }
    for table in ("bronze/vip_users", "quarantine/vip_users", "silver/vip_users_snapshots", "silver/vip_users"):
        assert lake.rows(table) == []
