"""Running again: after nothing, after a crash anywhere, beside another process, in other slices; always the same."""

import random
import shutil
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from dagster_lake import commit
from dagster_lake.contract.model import contracts
from dagster_lake.shop.database import open_shop
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.duckdb.scan import scan_sql
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import newest_table, silver_table
from tests.depth import examples
from tests.lake import truth
from tests.lake.crashing import crash_images, watching
from tests.lake.lakes import TINY, TestLake, differences, hours, write
from tests.lake.processes import at_once, killed_after, run_all
from tests.lake.test_hand_made_input import drop_ids

TWO = hours(2)
HOURLY = [name for name, contract in contracts().items() if contract.cadence == "hourly"]
SMALL = {**TINY, "users": 40, "products": 10, "orders_per_hour": 8, "pageviews_per_hour": 300}


def a_lake(folder: Path, settings: dict[str, int] = SMALL) -> TestLake:
    return TestLake(folder / "lake", settings)


def same(found: TestLake, wanted: TestLake) -> None:
    assert differences(found.content(), wanted.content()) == ""


# --- again ------------------------------------------------------------------------------------------------------------


def test_every_asset_materialised_again_changes_nothing(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    lake.materialize(TWO[0], TWO[-1])
    tables, raw = lake.content(), lake.manifests()
    assert len(tables) == 29
    assert all(rows for name, rows in tables.items() if name.startswith("silver/"))
    lake.materialize(TWO[0], TWO[-1])
    assert differences(lake.content(), tables) == ""
    assert lake.manifests() == raw


def test_an_earlier_hour_materialised_again_leaves_the_later_ones_and_the_newest_rows(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    run_all(lake, TWO[0], TWO[-1])
    before = lake.content()
    run_all(lake, TWO[0])
    assert differences(lake.content(), before) == ""


# --- crashes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("data_set", contracts())
def test_a_crash_before_or_after_any_commit_then_a_run_again_gives_the_same(tmp_path: Path, data_set: str) -> None:
    lake = a_lake(tmp_path / "whole")
    images = crash_images(lake, tmp_path, lambda: lake.run_data_set(data_set, *TWO))
    wanted, raw = lake.content(), lake.manifests()
    assert wanted[truth.SILVER[data_set]]
    unlike = {}
    for number, (point, image) in enumerate(images):
        image.run_data_set(data_set, *TWO)
        if found := differences(image.content(), wanted) or ("raw" if image.manifests() != raw else ""):
            unlike[number, point] = found
        shutil.rmtree(image.root)
    assert unlike == {}


def test_no_commit_of_a_whole_materialisation_escapes_the_crash_tests(tmp_path: Path) -> None:
    lake = a_lake(tmp_path / "dagster")
    with watching() as whole:
        lake.materialize(TWO[0], TWO[-1])
    with watching() as crashed:
        for data_set in contracts():
            a_lake(tmp_path / data_set).run_data_set(data_set, *TWO)
    assert set(whole) == set(crashed)
    assert {point.removesuffix(":before") for point in whole if point.endswith(":before")} == {
        point.removesuffix(":after") for point in whole if point.endswith(":after")
    }
    assert len(set(whole)) > 100


def test_a_crash_while_a_second_snapshot_is_taken_changes_nothing_either(tmp_path: Path) -> None:
    lake = a_lake(tmp_path / "whole")
    drop_ids(lake, range(10), day=0)
    lake.run_data_set("users", sources=False)
    drop_ids(lake, [0, 1, 2, 3, 4, 5, 6, 7, 20], day=1)
    images = crash_images(lake, tmp_path, lambda: lake.run_data_set("users", sources=False))
    wanted = lake.content()
    assert {row["id"]: row["_missing_since"] for row in wanted["silver/users"]}[9] == "2026-01-06T060000Z"
    assert len(images) >= 5
    for point, image in images:
        image.run_data_set("users", sources=False)
        assert differences(image.content(), wanted) == "", point


def test_a_crash_while_late_rows_come_in_changes_nothing_either(tmp_path: Path) -> None:
    lake = a_lake(tmp_path / "whole")
    lake.run_data_set("orders", *TWO)
    change_orders(lake)
    images = crash_images(lake, tmp_path, lambda: lake.run_data_set("orders", *TWO, sources=False))
    wanted = lake.content()
    assert len(images) >= 5
    for point, image in images:
        image.run_data_set("orders", *TWO, sources=False)
        assert differences(image.content(), wanted) == "", point


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> TestLake:
    lake = a_lake(tmp_path_factory.mktemp("undisturbed"))
    run_all(lake, TWO[0], TWO[-1])
    return lake


@pytest.mark.parametrize("seed", examples(range(1, 10, 3), range(10)))
def test_a_process_killed_at_a_random_moment_and_run_again_gives_the_same(
    tmp_path: Path, undisturbed: TestLake, seed: int
) -> None:
    draw = random.Random(seed)
    lake = a_lake(tmp_path)
    killed = killed_after(
        lake, TWO, announcements=10 + seed * 14 + draw.randrange(14), microseconds=draw.randrange(8000)
    )
    assert killed
    run_all(lake, TWO[0], TWO[-1])
    same(lake, undisturbed)


# --- at once ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [0, 1], ids=["from nothing", "after an hour"])
def test_two_processes_that_materialise_the_same_hours_lose_and_double_nothing(
    tmp_path: Path, undisturbed: TestLake, before: int
) -> None:
    lake = a_lake(tmp_path)
    if before:
        run_all(lake, TWO[0])
    assert at_once(lake, TWO, processes=2) == [0, 0]
    same(lake, undisturbed)


def test_a_vacuum_leaves_what_a_reader_has_pinned_and_removes_what_a_crash_left_behind(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    lake.run_data_set("pageviews", *TWO)
    folder = lake.table_folder("silver/pageviews")
    pinned = delta.pin(silver_table(Lake.at(str(lake.root)), contracts()["pageviews"]).uri)
    assert pinned
    reading = scan_sql(pinned)
    rows = duckdb.sql(f"SELECT * FROM ({reading}) ORDER BY ALL").fetchall()
    lake.step("pageviews", "silver", *TWO)
    lake.step("pageviews", "silver", *TWO)
    before = lake.content()
    eight_days_ago = datetime.now(UTC) - timedelta(days=8)
    partition = next(folder.glob("_lake_hour=*"))
    write(partition / "part-of-a-crashed-writer.parquet", b"half", eight_days_ago)
    write(partition / "part-of-a-writer-at-work.parquet", b"half")
    assert [Path(path).name for path in delta.vacuum(pinned.uri)] == ["part-of-a-crashed-writer.parquet"]
    assert (partition / "part-of-a-writer-at-work.parquet").exists()
    assert duckdb.sql(f"SELECT * FROM ({reading}) ORDER BY ALL").fetchall() == rows
    assert lake.content() == before
    with pytest.raises(ValueError, match="keep at least 168 hours"):
        delta.vacuum(pinned.uri, keep_hours=24)


# --- other slices -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data_set", "count"), [("orders", 8), ("pageviews", 27), ("stars", 26), ("order_items", 6)])
def test_many_hours_in_one_run_are_as_many_runs_of_one_hour(tmp_path: Path, data_set: str, count: int) -> None:
    range_, single = a_lake(tmp_path / "range"), a_lake(tmp_path / "single")
    range_.run_data_set(data_set, hours(count)[0], hours(count)[-1])
    for hour in hours(count):
        single.run_data_set(data_set, hour)
    same(single, range_)
    assert single.manifests() == range_.manifests()
    assert len({row["_lake_hour"] for row in range_.rows(truth.SILVER[data_set])}) > 0.7 * count


def test_a_range_of_hours_through_dagster_is_a_run_for_each(tmp_path: Path) -> None:
    range_, single = a_lake(tmp_path / "range"), a_lake(tmp_path / "single")
    range_.materialize(TWO[0], TWO[-1])
    for hour in TWO:
        single.materialize(hour)
    same(single, range_)


@pytest.mark.parametrize("data_set", HOURLY)
def test_hours_may_be_processed_in_any_order(tmp_path: Path, data_set: str) -> None:
    ordered, shuffled = a_lake(tmp_path / "ordered"), a_lake(tmp_path / "shuffled")
    span = hours(5)
    for lake in (ordered, shuffled):
        lake.run_sources([data_set], span[0], span[-1])
    if data_set == "orders":  # a row that is written again in a later hour
        ordered.land(data_set, span[0])
        shuffled.land(data_set, span[0])
        change_orders(ordered)
        change_orders(shuffled)
    ordered.run_data_set(data_set, span[0], span[-1], sources=False)
    order = random.Random(7)
    for step in ("raw", "bronze", "silver", "newest"):
        if step == "newest" and not contracts()[data_set].changing:
            continue
        for hour in span[::-1] if step == "newest" else order.sample(span, len(span)):
            if step == "raw":
                shuffled.land(data_set, hour)
            else:
                shuffled.step(data_set, step, hour)
    same(shuffled, ordered)


# --- late and updated rows --------------------------------------------------------------------------------------------

ORDERS = pa.schema(
    [
        ("order_id", pa.int64()),
        ("user_id", pa.int64()),
        ("order_date", pa.timestamp("us", "UTC")),
        ("order_value", pa.decimal128(12, 2)),
        ("updated_at", pa.timestamp("us", "UTC")),
    ]
)


def change_orders(lake: TestLake) -> None:
    """A late commit into the first hour, an order updated in the second, and one at the very end of an hour."""
    first = datetime(2026, 1, 1, tzinfo=UTC)
    moments = [first + timedelta(minutes=20), first + timedelta(minutes=80), first + timedelta(hours=1)]
    ids = [900, 0, 901]
    rows = [
        {"order_id": id, "user_id": 3, "order_date": first, "order_value": Decimal("7.05"), "updated_at": moment}
        for id, moment in zip(ids, moments, strict=True)
    ]
    with lake.here():
        shop = open_shop(lake.resource.settings, lake.resource.lake)
        assert shop is not None
        shop.upsert({"orders": pa.Table.from_pylist(rows, ORDERS).to_batches()})


def test_late_commits_and_updates_reach_silver_exactly(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    lake.run_data_set("orders", *TWO)
    history = {(row["order_id"], row["updated_at"]) for row in lake.rows("silver/orders_changes")}
    change_orders(lake)
    lake.run_data_set("orders", *TWO, sources=False)

    start, end = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 2, tzinfo=UTC)
    source = lake.resource.sources.database.read("orders", ORDERS, "updated_at", start, end).read_all().to_pylist()
    newest = [{name: row[name] for name in ORDERS.names} for row in lake.rows("silver/orders")]
    assert sorted(newest, key=str) == sorted(source, key=str)
    changes = {(row["order_id"], row["updated_at"]): row for row in lake.rows("silver/orders_changes")}
    assert {*changes} == history | {(row["order_id"], row["updated_at"]) for row in source}
    assert len([key for key in changes if key[0] == 0]) == 2
    hour_of = {key[0]: row["_lake_hour"] for key, row in changes.items() if key[0] >= 900}
    assert hour_of == {900: TWO[0], 901: TWO[0]}


def test_an_older_version_merged_after_a_newer_one_does_not_win(tmp_path: Path) -> None:
    lake = a_lake(tmp_path)
    lake.run_data_set("orders", *TWO)
    change_orders(lake)
    lake.run_data_set("orders", *TWO, sources=False)
    wanted = lake.rows("silver/orders")
    for hour in reversed(TWO):
        lake.step("orders", "newest", hour)
    assert lake.rows("silver/orders") == wanted
    spec = newest_table(Lake.at(str(lake.root)), contracts()["orders"])
    version = delta.pin(spec.uri)
    lake.step("orders", "newest", *TWO)
    again = delta.pin(spec.uri)
    assert version
    assert again
    assert version.version == again.version  # nothing to do commits nothing


@pytest.mark.parametrize("layer", ["bronze", "silver"])
def test_a_run_that_another_one_overtakes_does_not_bring_old_rows_back(tmp_path: Path, layer: str) -> None:
    lake, two = TestLake(tmp_path / "lake"), hours(2)
    lake.run_data_set("orders", *two)
    written = {"bronze": "bronze.orders", "silver": "silver.orders_changes"}[layer]

    def overtake(point: str) -> None:
        if point == f"{written}:before":
            commit.observe(None)
            change_orders(lake)
            lake.run_data_set("orders", *two, sources=False)

    commit.observe(overtake)
    try:
        lake.step("orders", layer, *two)
    finally:
        commit.observe(None)
    overtaken = lake.content()
    lake.run_data_set("orders", *two, sources=False)
    assert differences(overtaken, lake.content()) == ""
    assert len(overtaken["silver/orders_changes"]) > 0
