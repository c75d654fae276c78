"""Every dbt model on DuckDB and on Spark from the same silver: the same tables, tests and errors, run by run."""

import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from dagster_lake import commit
from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner import run as dbt
from dagster_lake.dbt_runner.manifest import DbtRunError
from dagster_lake.lake_hour import HourRange
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.delta.write import overwrite, pin, replace_partitions
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import silver_table
from tests.engines.report import note
from tests.engines.tables import differences
from tests.lake.lakes import TINY, TestLake, hours
from tests.lake.silver_world import World, filled, hour, random_world
from tests.lake.test_gold import CHAIN, accepted, nodes, rate_minus_nine, rows, snapshots, so_far

DIRT = "heavy"  # with the default dirt, test_demo.py builds every model
MODELS = (*CHAIN, "daily_sales", "product_performance", "users_history")
DATA_SETS = ("users", "vip_users", "products", "orders", "order_items", "pageviews", "stars")
FLOATS = 1e-12
"""Relative: a mean of doubles may differ in its last digits."""


def build(lake: Lake, engine: str, ids: Sequence[str], *numbers: int) -> dict[str, dbt.NodeResult]:
    """Runs dbt for the range between these hours of the world; without hours, for all."""
    of = HourRange.of(hour(numbers[0]), hour(numbers[-1])) if numbers else None
    settings = Settings(engine=engine, threads=2)  # type: ignore[arg-type]
    return {result.name: result for result in dbt.build(ids, of, lake, settings)}


def models(*names: str) -> list[str]:
    return [f"model.dagster_lake.{name}" for name in names]


def all_differences(found: Lake, wanted: Lake, tables: Sequence[str]) -> dict[str, list[str]]:
    told = {}
    for table in tables:
        places = [Path(str(lake.table("gold", table))) for lake in (found, wanted)]
        if unlike := differences(*places, float_tolerance=FLOATS):
            told[table] = unlike
    return told


@dataclass
class Pair:
    """Two lakes of the same silver, gold computed by DuckDB in one and by Spark in the other."""

    duckdb: Lake
    spark: Lake
    reported: dict[str, dict[str, dbt.NodeResult]]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    root = tmp_path_factory.mktemp("dbt")
    made = TestLake(root / "duckdb", {**TINY, "dirt": DIRT})
    for data_set in DATA_SETS:
        made.run_data_set(data_set, *hours(3))
    shutil.copytree(root / "duckdb", root / "spark")
    lakes = {engine: Lake.at(str(root / engine)) for engine in ("duckdb", "spark")}
    reported = {engine: build(lake, engine, nodes(*MODELS)) for engine, lake in lakes.items()}
    return Pair(**lakes, reported=reported)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_is_the_same_table_on_both_engines(model: str, built: Pair, record_property) -> None:
    assert all_differences(built.spark, built.duckdb, [model]) == {}
    count = len(rows(built.spark, model))
    assert count > 2 or model == "daily_sales"
    note(
        record_property,
        kind="model",
        name=model,
        table=f"gold/{model}",
        engine="spark",
        case=f"{DIRT} dirt",
        rows=count,
    )


def test_models_and_tests_report_the_same_on_both_engines(built: Pair) -> None:
    told = {
        engine: {
            name: (result.status, result.failures, result.written and result.written.pinned.rows())
            for name, result in results.items()
        }
        for engine, results in built.reported.items()
    }
    assert told["spark"] == told["duckdb"]
    assert len(told["spark"]) >= len(MODELS)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path / "lake"))


class Killed(BaseException):
    """Stands for the process dying."""


@pytest.fixture
def die_at() -> Iterator:
    """Makes the process die at one commit, once."""

    def arm(point: str) -> None:
        def die(at: str) -> None:
            if at == point:
                raise Killed

        commit.observe(die)

    yield arm
    commit.observe(None)


def test_engines_take_turns_on_one_lake_and_a_run_killed_before_its_note_is_caught_up(
    lake: Lake, tmp_path: Path, die_at
) -> None:
    whole = random_world(11)
    alone = Lake.at(str(tmp_path / "alone"))
    replaced = []
    # After hour 3 the day changes.
    for engine, numbers in (("duckdb", (0,)), ("spark", (1,)), ("duckdb", (2,)), ("spark", (3, 4))):
        world = so_far(whole, numbers[-1])
        for each in (lake, alone):
            world.write(each)
        if numbers == (1,):
            die_at("gold.engagement_daily.noted:before")
            with pytest.raises(DbtRunError, match="Killed"):
                build(lake, engine, models(*CHAIN), *numbers)
            commit.observe(None)
        results = build(lake, engine, models(*CHAIN), *numbers)
        build(alone, "duckdb", models(*CHAIN), *numbers)
        written = results["engagement_daily"].written
        replaced.append(written and written.partitions)
        assert rows(lake, "engagements") == world.engagements()
    assert all_differences(lake, alone, CHAIN) == {}
    # Each engine knows what the other read, so only the days of the hours are computed again; after the kill, all days.
    assert replaced == [None, None, (hour(0)[:10],), (hour(3)[:10], hour(4)[:10])]


def test_an_hour_run_again_on_spark_leaves_the_tables_after_it_alone(lake: Lake) -> None:
    world = random_world(1)
    world.write(lake)
    build(lake, "duckdb", models(*CHAIN), 0, 5)
    stood = {table: pin(lake.table("gold", table)).version for table in CHAIN}  # type: ignore[union-attr]
    results = build(lake, "spark", models(*CHAIN), 3)
    assert results["engagement_daily"].written.partitions == ()  # type: ignore[union-attr]
    after = {table: pin(lake.table("gold", table)).version for table in CHAIN}  # type: ignore[union-attr]
    assert after["engagement_hourly"] > stood["engagement_hourly"]
    assert after["engagement_daily"] == stood["engagement_daily"]
    assert after["engagements"] == stood["engagements"]
    assert rows(lake, "engagements") == world.engagements()


def test_a_customer_whom_silver_knows_no_more_is_in_no_total(lake: Lake) -> None:
    world = random_world(1)
    world.write(lake)
    build(lake, "duckdb", models(*CHAIN), 0, 5)
    world.users.pop(1)
    world.write(lake)
    build(lake, "spark", models("engagements"), 3)
    assert rows(lake, "engagements") == world.engagements()


def test_what_another_run_wrote_meanwhile_is_read_before_the_last_word_is_said(lake: Lake) -> None:
    world = World()
    world.user(1)
    world.view(hour(0), 1)
    world.write(lake)
    chain = models("engagement_hourly", "engagement_daily")
    build(lake, "duckdb", chain, 0)
    heard: list[str] = []

    def another_run(at: str) -> None:
        heard.append(at)
        if at in ("gold.engagement_hourly:before", "gold.engagement_hourly.noted:after") and heard.count(at) == 1:
            commit.observe(None)
            world.view(hour(0), 1)
            world.write(lake)
            build_elsewhere(lake, len(world.pageviews))
            commit.observe(another_run)

    commit.observe(another_run)
    try:
        build(lake, "spark", chain, 0)
    finally:
        commit.observe(None)
    # Computed again after the write that came before ours; what was written after ours is not computed again, but read.
    assert heard.count("gold.engagement_hourly:before") == 2
    for table in ("engagement_hourly", "engagement_daily"):
        assert [row["pageviews"] for row in rows(lake, table)] == [3]


def build_elsewhere(lake: Lake, pageviews: int) -> None:
    """What Spark in another process would write: dbt runs once at a time in one."""
    there = pin(lake.table("gold", "engagement_hourly"))
    assert there is not None
    row = {"_lake_hour": hour(0), "user_id": 1, "pageviews": pageviews}
    spec = TableSpec(there.uri, there.schema, "_lake_hour")
    made = replace_partitions(spec, [hour(0)], filled([row], spec.schema).to_reader, {})
    told = {"at": made.version, "run": "another", "comparable": True, "replaced": [hour(0)]}
    made.table.alter.set_table_properties({"lake.written": json.dumps(told)}, raise_if_not_exists=False)


def test_an_empty_lake_gives_the_same_empty_tables(lake: Lake, tmp_path: Path) -> None:
    other = Lake.at(str(tmp_path / "other"))
    announced: list[str] = []
    commit.observe(announced.append)
    try:
        build(lake, "spark", models(*MODELS))
    finally:
        commit.observe(None)
    build(other, "duckdb", models(*MODELS))
    for table in MODELS:  # a crash test can die at each of them
        points = [at for at in announced if at.startswith((f"gold.{table}:", f"gold.{table}."))]
        assert points[:4] == [f"gold.{table}{at}" for at in (".create:before", ".create:after", ":before", ":after")]
    assert all_differences(lake, other, MODELS) == {}
    assert all(rows(lake, table) == [] for table in MODELS)


def test_history_knows_accepted_empty_snapshots_and_whom_quarantine_keeps(lake: Lake) -> None:
    days = ["2026-01-01T000000Z", "2026-01-02T000000Z"]
    snapshots(lake, (days[0], [{"id": 1, "city": "Brno"}, {"id": 2, "city": "Brno"}]), (days[1], []))
    accepted(lake, (None, days[0]), (None, days[1]), (1, days[1]), (9, days[1]))
    build(lake, "spark", models("users_history"))
    assert [(row["id"], row["is_current"]) for row in rows(lake, "users_history")] == [(1, True), (2, False)]


def test_a_column_that_the_table_lacks_is_added_and_a_dropped_one_stays(lake: Lake) -> None:
    world = World(products=[{"id": 1, "name": "Lamp", "category": "Home", "price": Decimal(5)}])
    world.item(hour(0), 11, 1, 2)
    world.write(lake)
    build(lake, "duckdb", models("product_performance"))
    made = pin(lake.table("gold", "product_performance"))
    assert made is not None
    shutil.rmtree(str(made.uri))
    older = pa.schema([*[c for c in made.schema if c.name != "category"], pa.field("shelf", pa.string())])
    overwrite(TableSpec(made.uri, older), filled([], older).to_reader, {})
    build(lake, "spark", models("product_performance"))
    [row] = rows(lake, "product_performance")
    assert (row["product_id"], row["category"], row["shelf"]) == (1, "Home", None)


def test_a_model_whose_columns_differ_from_its_yaml_is_refused_by_name(lake: Lake) -> None:
    spec = silver_table(lake, contracts()["users"])
    as_text = pa.schema([pa.field("jobs", pa.string()) if c.name == "jobs" else c for c in spec.schema])
    overwrite(TableSpec(spec.uri, as_text, "_snapshot"), filled([], as_text).to_reader, {})
    with pytest.raises(DbtRunError, match=r"users_history.*jobs: declared array<string>, selected string"):
        build(lake, "spark", models("users_history"))


def test_a_type_that_changed_is_refused_with_the_remedy(lake: Lake) -> None:
    schema = pa.schema([pa.field("day", pa.string()), pa.field("orders", pa.int64())])
    overwrite(TableSpec(lake.table("gold", "daily_sales"), schema), filled([{}], schema).to_reader, {})
    with pytest.raises(DbtRunError, match=r"daily_sales.day is string in the lake and date in the model.*remove"):
        build(lake, "spark", models("daily_sales"))


def test_a_failing_model_is_named_with_its_message_and_compiled_sql(lake: Lake) -> None:
    broken = pa.table({"event_id": ["x"], "_lake_hour": [hour(0)]})
    overwrite(TableSpec(lake.table("silver", "pageviews"), broken.schema), broken.to_reader, {})
    told = (
        r"(?s)model\.dagster_lake\.engagement_hourly: error.*user_id.*compiled SQL: .*\.sql\nskipped .*engagement_daily"
    )
    with pytest.raises(DbtRunError, match=told) as failed:
        build(lake, "spark", models(*CHAIN), 0)
    path = Path(str(failed.value).split("compiled SQL: ")[1].splitlines()[0])
    assert "user_id" in path.read_text()


def test_a_failing_test_is_reported_and_stops_what_is_downstream(lake: Lake) -> None:
    rate_minus_nine(lake)
    test = next(id for id in nodes("engagement_hourly") if "counts_are_not_negative" in id)
    with pytest.raises(DbtRunError, match=r"engagement_hourly_counts_are_not_negative.*: fail: Got 1 result"):
        build(lake, "spark", [*models("engagement_hourly", "engagement_daily"), test], 0)
    assert pin(lake.table("gold", "engagement_daily")) is None
