"""Orders add up, and refer to users and products that exist."""

from decimal import Decimal

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from generators import order_items, orders, products
from generators.database import item_batches, table_batches
from generators.dirt import Dirt, manifest
from generators.world import World

WORLD = World(users=300, vip_users=0, products=40, orders_per_hour=500)


def table(source, start, stop, world=WORLD):
    return pa.Table.from_batches(source.batches(world, start, stop), source.SCHEMA)


@given(seed=st.integers(), start=st.integers(0, 10**8))
@settings(max_examples=30, deadline=None)
def test_an_order_is_worth_exactly_the_sum_of_its_items(seed, start):
    world = World(seed=seed)
    worth: dict[int, Decimal] = {}
    for item in table(order_items, start, start + 60, world).to_pylist():
        worth[item["order_id"]] = worth.get(item["order_id"], Decimal(0)) + item["quantity"] * item["unit_price"]
    heads = table(orders, start, start + 60, world).to_pylist()
    assert {head["order_id"]: head["order_value"] for head in heads} == worth


def test_items_are_numbered_from_one_and_follow_their_order():
    heads, items, shelf = table(orders, 0, 3_000), table(order_items, 0, 3_000), table(products, 0, 40)  # noqa: F841
    con = duckdb.connect()
    wrong = con.execute(
        """select count(*) from items left join heads using (order_id) left join shelf on shelf.id = product_id
           where heads.updated_at is distinct from items.updated_at or unit_price is distinct from shelf.price
              or quantity not between 1 and 5 or user_id not between 0 and 299 or order_date <> heads.updated_at"""
    ).fetchall()
    numbered = con.execute(
        """select count(*), min(n), max(n) from (select order_id, count(*) n from items group by order_id
           having min(row_id) = 1 and max(row_id) = count(*) and count(distinct row_id) = count(*))"""
    ).fetchall()
    assert wrong == [(0,)]
    assert numbered == [(3_000, 1, 10)]


def test_a_few_products_are_bought_far_more_often_than_the_rest():
    bought = table(order_items, 0, 5_000)["product_id"].value_counts().to_pylist()
    counts = sorted((entry["counts"] for entry in bought), reverse=True)
    assert sum(counts[:8]) > 0.5 * sum(counts)


def test_orphan_items_refer_to_missing_products_and_are_otherwise_true():
    hour = WORLD.epoch
    dirty = pa.Table.from_batches(table_batches(WORLD, "order_items", hour, Dirt(orphans=0.05)), order_items.SCHEMA)
    clean = order_items.clean_hour(WORLD, hour)
    listed = manifest(WORLD, "order_items", hour, Dirt(orphans=0.05)).to_pylist()
    orphans = {f"{item['order_id']}-{item['row_id']}" for item in dirty.to_pylist() if item["product_id"] >= 40}
    assert orphans
    assert orphans == {line["key"] for line in listed}
    assert dirty.drop_columns("product_id").equals(clean.drop_columns("product_id"))
    kept = [d == c for d, c in zip(dirty["product_id"].to_pylist(), clean["product_id"].to_pylist(), strict=True)]
    assert kept.count(False) == len(orphans)
    assert all(line["effect"] == "kept" and line["reasons"] == [] for line in listed)


def test_the_database_without_dirt_is_the_clean_truth():
    hour = WORLD.epoch
    for source in (orders, order_items):
        held = pa.Table.from_batches(table_batches(WORLD, source.NAME, hour, Dirt.none()), source.SCHEMA)
        assert held.equals(source.clean_hour(WORLD, hour))
    assert manifest(WORLD, "orders", hour, Dirt.heavy()).num_rows == 0


def test_batches_of_items_stay_within_the_size_asked():
    assert max(batch.num_rows for batch in item_batches(WORLD, 0, 2_000, Dirt(), batch_rows=500)) <= 500
