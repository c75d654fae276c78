"""Gold through dbt: the same numbers as a naive computation, whatever the order of hours, retries and crashes."""

import subprocess
import sys
import threading
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from dagster_lake import commit
from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner import manifest as dbt_manifest
from dagster_lake.dbt_runner import run as dbt
from dagster_lake.dbt_runner.manifest import DbtRunError
from dagster_lake.dbt_runner.sources import events_macro, files_of, sources_yaml
from dagster_lake.lake_hour import HourRange
from dagster_lake.settings.lake import DBT_PROJECT, Settings
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.delta.write import overwrite, pin, replace_partitions
from dagster_lake.storage.duckdb.scan import scan_sql
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import accepted_table, silver_table
from tests.lake.silver_world import FIRST, World, filled, hour, random_world, write_hours

HOURS = 6
CHAIN = ("engagement_hourly", "engagement_daily", "engagements")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path / "lake"))


def nodes(*models: str) -> list[str]:
    """The unique ids of these models and of the tests that are checks of them."""
    found = dbt_manifest.manifest()["nodes"]
    ids = {f"model.dagster_lake.{model}" for model in models}
    tests = [
        id for id, node in found.items() if node["resource_type"] == "test" and {*node["depends_on"]["nodes"]} & ids
    ]
    return [*sorted(ids), *tests]


def run(lake: Lake, *hours: int, models: Sequence[str] = CHAIN, full_refresh: bool = False) -> list[dbt.NodeResult]:
    """Builds the models, with their tests, for the range between these hours; without hours, for all."""
    of = HourRange.of(hour(hours[0]), hour(hours[-1])) if hours else None
    return list(dbt.build(nodes(*models), of, lake, Settings(), full_refresh=full_refresh))


def rows(lake: Lake, table: str) -> list[dict[str, Any]]:
    pinned = pin(lake.table("gold", table))
    assert pinned is not None
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        return con.sql(f"SELECT * FROM ({scan_sql(pinned)}) ORDER BY ALL").to_arrow_table().to_pylist()


def versions(lake: Lake) -> dict[str, int]:
    return {table: pinned.version for table in CHAIN if (pinned := pin(lake.table("gold", table)))}


@pytest.mark.parametrize(("seed", "order"), [(1, [0, 1, 2, 3, 4, 5]), (2, [5, 2, 0, 4, 1, 3]), (3, [3, 5, 4, 0, 1, 2])])
def test_hours_in_any_order_give_what_a_naive_computation_gives(lake: Lake, seed: int, order: list[int]) -> None:
    world = random_world(seed)
    world.write(lake)
    for number in order:
        run(lake, number)
    assert rows(lake, "engagements") == world.engagements()


@pytest.mark.parametrize("seed", range(4, 8))
def test_a_range_run_equals_a_run_without_hours_and_the_naive_computation(lake: Lake, seed: int) -> None:
    world = random_world(seed)
    world.write(lake)
    run(lake, 0, HOURS - 1)
    ranged = {table: rows(lake, table) for table in CHAIN}
    assert ranged["engagements"] == world.engagements()
    run(lake)
    assert {table: rows(lake, table) for table in CHAIN} == ranged
    run(lake, 2, full_refresh=True)
    assert {table: rows(lake, table) for table in CHAIN} == ranged


def test_silver_that_grows_hour_by_hour_stays_right_after_every_hour(lake: Lake) -> None:
    whole = random_world(11)
    for number in range(HOURS):
        world = so_far(whole, number)
        world.write(lake)
        run(lake, number)
        assert rows(lake, "engagements") == world.engagements()


def rate_minus_nine(lake: Lake) -> None:
    """A rating that silver would have refused."""
    spec = silver_table(lake, contracts()["stars"])
    row = {"event_id": "a", "user_id": 1, "stars": -9, "_lake_hour": hour(0)}
    replace_partitions(spec, [hour(0)], filled([row], spec.schema).to_reader, {})


def so_far(whole: World, number: int) -> World:
    """The world as silver knew it when hour ``number`` had closed."""
    hourly = ("pageviews", "stars", "orders_changes", "order_items_changes")
    kept = {name: [row for row in getattr(whole, name) if row["_lake_hour"] <= hour(number)] for name in hourly}
    return World(users=whole.users, vip_users=whole.vip_users, products=whole.products, deleted=whole.deleted, **kept)


def test_running_an_hour_again_changes_nothing_downstream(lake: Lake) -> None:
    random_world(1).write(lake)
    run(lake, 0, HOURS - 1)
    before, stood = {table: rows(lake, table) for table in CHAIN}, versions(lake)
    run(lake, 3)
    assert {table: rows(lake, table) for table in CHAIN} == before
    assert versions(lake) == {**stood, "engagement_hourly": stood["engagement_hourly"] + 1}


def test_an_order_that_moves_to_another_customer_and_hour_leaves_no_trace(lake: Lake) -> None:
    world = World()
    world.user(1)
    world.user(2)
    world.order(hour(0), 10, 1, "100.00", [3])
    world.write(lake)
    run(lake, 0)
    world.order(hour(5), 10, 2, "70.00")
    world.write(lake)
    run(lake, 5)
    assert [(row["id"], row["orders"], row["total_items"]) for row in rows(lake, "engagements")] == [
        (1, 0, 0),
        (2, 1, 3),
    ]
    assert {row["_lake_hour"] for row in rows(lake, "engagement_hourly")} == {hour(5)}
    assert {row["_lake_day"] for row in rows(lake, "engagement_daily")} == {hour(5)[:10]}


def test_a_customer_who_vanishes_from_a_landed_hour_loses_what_it_counted(lake: Lake) -> None:
    world = World()
    world.user(1)
    world.view(hour(0), 1)
    world.write(lake)
    run(lake, 0)
    write_hours(lake, "pageviews", [])
    run(lake, 0)
    assert [row["pageviews"] for row in rows(lake, "engagements")] == [0]


def test_a_customer_who_moves_or_becomes_vip_is_merged_without_any_event(lake: Lake) -> None:
    world = World()
    world.user(1)
    world.user(2)
    world.write(lake)
    run(lake, 0)
    world.users[0]["city"] = None
    world.user(3)
    world.vip_users = [{"id": 2}]
    world.write(lake)
    run(lake, 1)
    assert rows(lake, "engagements") == world.engagements()


def test_a_customer_whom_silver_knows_no_more_is_in_no_total(lake: Lake) -> None:
    world = random_world(1)
    world.write(lake)
    run(lake, 0, HOURS - 1)
    world.users.pop(1)
    world.write(lake)
    run(lake, 0)
    assert rows(lake, "engagements") == world.engagements()


@pytest.mark.parametrize("models", [CHAIN[:1], CHAIN[:2], ("engagement_hourly", "engagements")])
def test_a_chain_that_ran_in_part_is_caught_up_by_the_next_run_of_any_hour(lake: Lake, models: tuple[str, ...]) -> None:
    world = random_world(1)
    world.write(lake)
    run(lake, 0, 2)
    list(dbt.build([f"model.dagster_lake.{m}" for m in models], HourRange.of(hour(3), hour(5)), lake, Settings()))
    run(lake, 0)
    assert rows(lake, "engagements") == world.engagements()


class Killed(BaseException):
    """Stands for the process dying."""


def test_a_run_killed_before_or_after_any_commit_and_run_again_gives_the_same_tables(lake: Lake) -> None:
    world = random_world(1)
    world.write(lake)
    run(lake, 0, 2)
    for point in [f"gold.{table}:{moment}" for table in CHAIN for moment in ("before", "after")]:

        def die(at: str, point: str = point) -> None:
            if at == point:
                raise Killed

        world.view(hour(3), 1)
        write_hours(lake, "pageviews", world.pageviews)
        commit.observe(die)
        try:
            with pytest.raises(DbtRunError, match="Killed"):
                run(lake, 3)
        finally:
            commit.observe(None)
    run(lake, 3, 5)
    assert rows(lake, "engagements") == world.engagements()


def test_an_empty_lake_gives_empty_typed_tables(lake: Lake) -> None:
    run(lake, models=(*CHAIN, "daily_sales", "product_performance", "users_history"))
    for table in (*CHAIN, "daily_sales", "product_performance", "users_history"):
        assert rows(lake, table) == []


def test_columns_keep_types_descriptions_and_required_keys(lake: Lake) -> None:
    random_world(1).write(lake)
    run(lake, 0)
    pinned = pin(lake.table("gold", "engagements"))
    assert pinned is not None
    assert pinned.schema.field("total_orders_value").type == pa.decimal128(18, 2)
    assert not pinned.schema.field("id").nullable
    assert pinned.schema.field("id").metadata[b"comment"] == b"The customer's number."
    assert (pinned.table.metadata().description or "").startswith("One row per customer")


def test_sales_and_products_count_once_and_keep_orphans(lake: Lake) -> None:
    world = World(products=[{"id": 1, "name": "Lamp", "category": "Home", "price": Decimal("2.50")}])
    world.order(hour(0), 10, 1, "10.00", [1, 3])
    world.order(hour(1), 11, 2, "5.00")
    world.item(hour(1), 11, 1, 2, product_id=77)
    world.order(hour(1), 12, 2, "8.00", [9])
    world.deleted = {12}
    world.write(lake)
    run(lake, models=("daily_sales", "product_performance"))
    [day] = rows(lake, "daily_sales")
    assert (day["orders"], day["buyers"], day["items"], day["revenue"]) == (2, 2, 6, Decimal("15.00"))
    products = rows(lake, "product_performance")
    found = {row["product_id"]: (row["name"], row["orders"], row["quantity"]) for row in products}
    assert found == {1: ("Lamp", 1, 4), 77: ("unknown", 1, 2)}


def test_sales_by_day_and_by_product_differ_by_orphaned_items_and_by_what_orders_say_they_are_worth(lake: Lake) -> None:
    world = World(products=[{"id": 1, "name": "Lamp", "category": "Home", "price": Decimal("2.50")}])
    world.order(hour(0), 10, 1, "10.00", [1, 3])  # worth what its items are
    world.order(hour(0), 11, 1, "7.00")  # no items
    world.order(hour(0), 12, 1, "1.00", [2])  # less than its items
    world.item(hour(1), 13, 1, 4)  # no order
    world.order(hour(1), 14, 2, "8.00", [3])
    world.write(lake)
    orders = [{**row, "_deleted_at": FIRST if row["order_id"] == 14 else None} for row in world.orders]
    write_hours(lake, "orders", orders)  # the order is deleted, its item is not yet
    run(lake, models=("daily_sales", "product_performance"))
    [day], [lamp] = rows(lake, "daily_sales"), rows(lake, "product_performance")
    assert (day["items"], day["revenue"], day["value_without_items"]) == (6, Decimal("18.00"), Decimal("3.00"))
    assert (lamp["quantity"], lamp["revenue"]) == (13, Decimal("32.50"))
    assert (lamp["orphaned_quantity"], lamp["orphaned_revenue"]) == (7, Decimal("17.50"))
    assert lamp["quantity"] - lamp["orphaned_quantity"] == day["items"]
    assert lamp["revenue"] - lamp["orphaned_revenue"] == day["revenue"] - day["value_without_items"]


def snapshots(lake: Lake, *contents: tuple[str, list[dict[str, Any]]]) -> None:
    spec = silver_table(lake, contracts()["users"])
    for key, users in contents:
        data = filled([{"_snapshot": key, **user} for user in users], spec.schema)
        replace_partitions(spec, [key], data.to_reader, {})


def accepted(lake: Lake, *told: tuple[int | None, str]) -> None:
    """Notes snapshots as taken (no key), and the keys that they keep in quarantine."""
    spec = accepted_table(lake, contracts()["users"])
    rows = pa.Table.from_pylist([{"id": id, "_snapshot": key} for id, key in told], spec.schema)
    replace_partitions(spec, sorted({key for _, key in told}), rows.to_reader, {})


def test_an_accepted_empty_snapshot_leaves_nobody_current_and_a_quarantined_row_leaves_its_customer(lake: Lake) -> None:
    days = ["2026-01-01T000000Z", "2026-01-02T000000Z"]
    snapshots(lake, (days[0], [{"id": 1, "city": "Brno"}, {"id": 2, "city": "Brno"}]), (days[1], []))

    def current(*told: tuple[int | None, str]) -> list[tuple[int, bool]]:
        accepted(lake, *told)
        run(lake, models=("users_history",))
        return [(row["id"], row["is_current"]) for row in rows(lake, "users_history")]

    taken = [(None, days[0]), (None, days[1])]
    assert current(taken[0]) == [(1, True), (2, True)]
    assert current(*taken) == [(1, False), (2, False)]
    assert current(*taken, (1, days[1]), (9, days[1])) == [(1, True), (2, False)]


def test_history_has_a_row_for_each_state_and_closes_a_customer_who_is_missing(lake: Lake) -> None:
    brno, praha = {"id": 1, "city": "Brno", "jobs": ["a"]}, {"id": 1, "city": "Praha", "jobs": ["a"]}
    other = {"id": 2, "city": None}
    snapshots(
        lake,
        ("2026-01-01T000000Z", [brno, other]),
        ("2026-01-02T000000Z", [brno, other]),
        ("2026-01-03T000000Z", [praha, other]),
        ("2026-01-04T000000Z", [other]),
        ("2026-01-05T000000Z", [praha, {**other, "jobs": ["b"]}]),
    )
    run(lake, models=("users_history",))
    found = [
        (row["id"], row["version"], row["city"], row["valid_from"].day, row["valid_to"] and row["valid_to"].day)
        for row in rows(lake, "users_history")
    ]
    assert found == [
        (1, 1, "Brno", 1, 3),
        (1, 2, "Praha", 3, 4),
        (1, 3, "Praha", 5, None),
        (2, 1, None, 1, 5),
        (2, 2, None, 5, None),
    ]
    assert [row["is_current"] for row in rows(lake, "users_history")] == [False, False, True, False, True]


def test_a_failing_model_is_named_with_its_message_and_compiled_sql(lake: Lake) -> None:
    broken = pa.table({"event_id": ["x"], "_lake_hour": [hour(0)]})
    overwrite(TableSpec(lake.table("silver", "pageviews"), broken.schema), broken.to_reader, {})
    told = r"(?s)model\.dagster_lake\.engagement_hourly: error.*user_id.*compiled SQL: .*\.sql\nskipped .*engagements"
    with pytest.raises(DbtRunError, match=told) as failed:
        run(lake, 0)
    path = Path(str(failed.value).split("compiled SQL: ")[1].splitlines()[0])
    assert "user_id" in path.read_text()


def test_a_failing_test_is_reported_and_stops_what_is_downstream(lake: Lake) -> None:
    rate_minus_nine(lake)
    with pytest.raises(DbtRunError, match=r"engagement_hourly_counts_are_not_negative.*: fail: Got 1 result"):
        run(lake, 0)
    assert pin(lake.table("gold", "engagements")) is None


def test_a_selected_node_that_dbt_does_not_know_fails(lake: Lake) -> None:
    with pytest.raises(KeyError, match="nothing"):
        list(dbt.build(["model.dagster_lake.nothing"], None, lake, Settings()))


def test_a_model_that_reads_everything_is_refused_in_a_run_of_some_hours(lake: Lake) -> None:
    with pytest.raises(ValueError, match=r"model\.dagster_lake\.daily_sales read more than some hours"):
        run(lake, 0, models=("daily_sales",))


def test_streams_and_gold_in_one_run_of_an_hour_replace_that_hour_of_each(lake: Lake) -> None:
    world = random_world(1)
    world.write(lake)
    run(lake, 0, HOURS - 1)
    before = {table: rows(lake, table) for table in CHAIN}
    results = {result.name: result for result in run(lake, 3, models=("vip_pageviews", *CHAIN))}
    assert {table: rows(lake, table) for table in CHAIN} == before
    assert set(results["engagement_hourly"].written.partitions) < {hour(n) for n in range(HOURS)}  # type: ignore
    assert results["vip_pageviews"].written.partitions == (hour(2), hour(3), hour(4))  # type: ignore[union-attr]


def test_dbt_by_hand_without_hours_writes_no_hourly_table(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from dbt.cli.main import dbtRunner

    world = random_world(1)
    world.write(lake)
    run(lake, 0, HOURS - 1)
    stood = versions(lake)
    monkeypatch.setenv("LAKE_ROOT", str(lake.root))
    flags = dbt_manifest.flags(lake.root / "target")  # type: ignore[arg-type]
    runner = dbtRunner(manifest=dbt_manifest.parsed("local", "{}"))
    result = runner.invoke(["run", "--select", "engagement_hourly", *flags])
    assert not result.success
    [told] = [r.message for r in result.result if r.node.name == "engagement_hourly"]  # type: ignore[union-attr]
    assert "models/gold/engagement_hourly.sql: nobody said which partitions" in told
    assert "--full-refresh" in told
    assert versions(lake) == stood
    assert runner.invoke(["run", "--select", "engagement_hourly", "--full-refresh", *flags]).success
    run(lake, 0)
    assert rows(lake, "engagements") == world.engagements()


def test_a_selected_node_without_a_result_fails() -> None:
    with pytest.raises(DbtRunError, match=r"did not run model\.dagster_lake\.engagements"):
        list(dbt._checked(["model.dagster_lake.engagements"], iter([])))


def test_two_threads_run_one_after_the_other(lake: Lake) -> None:
    world = random_world(1)
    world.write(lake)
    threads = [threading.Thread(target=run, args=(lake, first, first + 2)) for first in (0, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert rows(lake, "engagements") == world.engagements()


def test_two_processes_writing_the_same_tables_converge(lake: Lake) -> None:
    world = random_world(1)
    world.write(lake)
    dbt_manifest.manifest()
    code = "import sys; from tests.lake.test_gold import *; run(Lake.at(sys.argv[1]), *map(int, sys.argv[2:]))"
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(lake.root), *hours], stderr=subprocess.PIPE, text=True)
        for hours in (("0", "3"), ("2", "5"))
    ]
    for process in processes:
        _, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
    run(lake, 0)
    assert rows(lake, "engagements") == world.engagements()


def test_a_reader_s_records_that_were_vacuumed_make_it_read_everything(lake: Lake) -> None:
    world = random_world(1)
    world.write(lake)
    run(lake, 0, 2)
    list(dbt.build(["model.dagster_lake.engagement_hourly"], HourRange.of(hour(0), hour(5)), lake, Settings()))
    hourly = pin(lake.table("gold", "engagement_hourly"))
    assert hourly is not None
    hourly.table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    run(lake, 0)
    assert rows(lake, "engagements") == world.engagements()


def test_silver_written_and_read_versions_vacuumed_in_seven_days_break_no_run(lake: Lake) -> None:
    from dagster_lake.dbt_runner.duckdb_session import DbtSession
    from dagster_lake.storage.delta.write import vacuum

    world = random_world(1)
    world.write(lake)
    session = DbtSession(lake, Settings())
    world.view(hour(0), 1)
    world.write(lake)
    vacuum(lake.table("silver", "pageviews"))
    with duckdb.connect() as con:
        session.open(con)
        [(found,)] = con.execute("SELECT count(*) FROM silver.pageviews").fetchall()
    assert found == len(world.pageviews) - 1


def test_the_unit_tests_of_dbt_pass(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from dbt.cli.main import dbtRunner

    monkeypatch.setenv("LAKE_ROOT", str(lake.root))
    target = lake.root / "target"
    result = dbtRunner().invoke(["test", "--select", "test_type:unit", *dbt_manifest.flags(Path(str(target)))])
    assert result.success, result.exception or [(r.node.name, r.message) for r in result.result]  # type: ignore[union-attr]
    assert len(result.result) >= 4  # type: ignore[arg-type]


def test_dbt_s_sources_are_what_the_contracts_say() -> None:
    sources, events = files_of(DBT_PROJECT)
    written = {sources: sources_yaml(contracts()), events: events_macro(contracts())}
    assert {file: file.read_text() for file in written} == written, (
        "run `python -m dagster_lake.dbt_runner.sources` after changing a contract"
    )
