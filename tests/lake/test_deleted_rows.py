"""Rows that the source deleted are marked by the daily reconciliation and leave gold; those that are back return."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest

from dagster_lake.contract.model import contracts
from dagster_lake.defs.dbt.assets import dbt_assets
from dagster_lake.lake_resource import LakeResource
from dagster_lake.landing.source_look import SourceLook
from tests.lake.crashing import crash_images, watching
from tests.lake.lakes import differences
from tests.lake.reconciled_shop import FIRST, LATER, MINUTE, THREE, Shop, a_shop, metadata, told

from .postgres import postgres_server, postgres_url  # noqa: F401  # fixtures


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'theirs.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def shop(tmp_path: Path, url: str) -> Shop:
    return a_shop(tmp_path, url)


@pytest.fixture
def small(tmp_path: Path) -> Shop:
    """The same on SQLite, for what does not depend on the database."""
    return a_shop(tmp_path, f"sqlite:///{tmp_path / 'theirs.db'}")


# --- rows that are gone -----------------------------------------------------------------------------------------------


def test_a_deleted_order_is_marked_and_one_that_is_back_is_not(shop: Shop) -> None:
    shop.source.delete(4)
    result = shop.reconcile()
    assert shop.deleted() == {4: LATER}
    assert metadata(result)["rows_deleted"] == 1
    shop.now += timedelta(days=1)
    shop.reconcile()
    assert shop.deleted() == {4: LATER}  # when it was missed first
    shop.source.order(4, FIRST + 69 * MINUTE, user=5)  # with its old time of writing, as from a backup
    assert metadata(shop.reconcile())["rows_back"] == 1
    assert shop.deleted() == {}
    assert shop.lake.rows("silver/orders_deletions") == []


def test_an_order_that_is_written_again_after_its_deletion_is_not_deleted(shop: Shop) -> None:
    shop.source.delete(4)
    shop.reconcile()
    shop.source.order(4, LATER + MINUTE)
    shop.now = LATER + timedelta(hours=2)
    shop.build("2026-01-01T12")
    assert shop.deleted() == {}
    shop.source.delete(4)
    shop.now = LATER + timedelta(days=1)
    shop.reconcile()
    assert shop.deleted() == {4: shop.now}


def test_items_are_known_by_both_columns_of_their_key(shop: Shop) -> None:
    shop.source.order(20, FIRST + 2 * MINUTE, items=3)
    shop.build(*THREE)
    shop.source.run("DELETE FROM order_items WHERE order_id = 20 AND row_id = 2")
    shop.reconcile("order_items")
    gone = [(row["order_id"], row["row_id"]) for row in shop.lake.rows("silver/order_items") if row["_deleted_at"]]
    assert gone == [(20, 2)]


def test_a_row_without_a_time_of_writing_is_there_all_the_same(shop: Shop) -> None:
    shop.source.run("UPDATE orders SET updated_at = NULL WHERE order_id = 4")
    shop.reconcile()
    assert shop.deleted() == {}


def test_a_row_written_moments_before_the_look_is_not_taken_for_deleted(shop: Shop) -> None:
    shop.source.delete(9)
    shop.now = FIRST + 9 * 17 * MINUTE + 5 * MINUTE
    shop.reconcile()
    assert shop.deleted() == {}


def test_a_row_that_lands_while_the_look_goes_on_is_not_taken_for_deleted(
    small: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    missed = SourceLook.missed

    def after_another_run_landed(look: SourceLook) -> dict[str, int]:
        if 88 not in {row["order_id"] for row in small.lake.rows("silver/orders")}:  # the keys are read already
            small.source.order(88, FIRST + 5 * MINUTE)
            small.build(*THREE)
        return missed(look)

    monkeypatch.setattr(SourceLook, "missed", after_another_run_landed)
    small.reconcile()
    assert 88 in {row["order_id"] for row in small.lake.rows("silver/orders")}
    assert small.deleted() == {}


def test_a_table_that_lost_more_than_a_fifth_of_its_keys_is_refused_unless_accepted(shop: Shop) -> None:
    for number in range(3):
        shop.source.delete(number)
    refused = shop.reconcile(ok=False)
    check = told(refused, "few_keys_gone")
    assert not check.passed
    assert "3 of 10 keys are gone" in (check.description or "")
    assert "accept_deletions: true" in (check.description or "")
    assert shop.deleted() == {}
    shop.reconcile(accept_deletions=True)
    assert set(shop.deleted()) == {0, 1, 2}
    shop.reconcile()  # those that are known to be deleted are not refused again
    assert set(shop.deleted()) == {0, 1, 2}


def test_an_emptied_table_is_refused(shop: Shop) -> None:
    shop.source.run("DELETE FROM orders")
    shop.reconcile(ok=False)
    assert shop.deleted() == {}


def test_a_contract_can_switch_the_look_at_all_keys_off(small: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(contracts(), "orders", replace(contracts()["orders"], reconcile="off"))
    small.source.delete(4)
    small.source.order(77, FIRST + 5 * MINUTE)
    with patch("dagster_lake.defs.contracts.reconciliation.contracts", contracts):
        small.reconcile()
    assert {row["order_id"] for row in small.lake.rows("silver/orders")} >= {4, 77}
    assert small.deleted() == {}


# --- again and after a crash ------------------------------------------------------------------------------------------


def test_again_nothing_changes_and_no_table_gets_a_version(small: Shop) -> None:
    small.source.delete(4)
    small.source.order(77, FIRST + 5 * MINUTE)
    small.reconcile()
    before = small.lake.content()
    with watching() as points:
        small.reconcile()
    assert points == []
    assert differences(small.lake.content(), before) == ""


def test_a_crash_at_any_commit_and_a_run_after_it_give_the_same_tables(tmp_path: Path) -> None:
    shop = a_shop(tmp_path, f"sqlite:///{tmp_path / 'theirs.db'}")
    shop.source.delete(4)
    shop.source.order(77, FIRST + 5 * MINUTE)
    images = crash_images(shop.lake, tmp_path / "images", shop.reconcile)
    wanted = shop.lake.content()
    assert {point.split(":")[0] for point, _ in images} >= {
        "raw.orders",
        "silver.orders_changes",
        "silver.orders_deletions",
    }
    for point, image in images:
        again = replace(shop, lake=image)
        again.reconcile()
        assert differences(image.content(), wanted) == "", point


# --- to gold ----------------------------------------------------------------------------------------------------------


def gold(shop: Shop, *hours: str) -> dict[str, Any]:
    """Gold of some hours, made by hand, and what it says of orders."""
    span = {"dagster/asset_partition_range_start": hours[0], "dagster/asset_partition_range_end": hours[-1]}
    by_hour, whole = ("engagement_hourly", "engagement_daily", "engagements"), ("daily_sales", "product_performance")
    with shop.here():
        for names, tags in ((by_hour, span), (whole, {})):
            selection = [dg.AssetKey(["gold", name]) for name in names]
            instance, resources = dg.DagsterInstance.ephemeral(), {"lake": LakeResource()}
            dg.materialize(dbt_assets(), selection=selection, resources=resources, instance=instance, tags=tags)
    rows = {name: shop.lake.rows(f"gold/{name}") for name in ("daily_sales", "product_performance")}
    counted = {name: shop.lake.rows(f"gold/{name}") for name in ("engagement_hourly", "engagements")}
    return {
        "daily_sales": [(row["orders"], row["items"], str(row["revenue"])) for row in rows["daily_sales"]],
        "product_performance": [row["quantity"] for row in rows["product_performance"] if row["product_id"] == 1],
        **{name: sum(row["orders"] or 0 for row in found) for name, found in counted.items()},
    }


def test_a_deleted_order_is_in_no_gold_and_comes_back_with_its_row(shop: Shop) -> None:
    for name in ("users", "vip_users", "products"):
        shop.lake.run_data_set(name)
    for name in ("pageviews", "stars"):
        shop.lake.run_data_set(name, *THREE)
    ten = {"daily_sales": [(10, 10, "50.00")], "product_performance": [10], "engagement_hourly": 10, "engagements": 10}
    nine = {"daily_sales": [(9, 9, "45.00")], "product_performance": [9], "engagement_hourly": 9, "engagements": 9}
    assert gold(shop, *THREE) == ten
    shop.source.delete(4)
    shop.reconcile("orders")
    shop.reconcile("order_items")
    # Any hour's gold: what changed in the others is made with it.
    assert gold(shop, THREE[-1]) == nine
    shop.source.order(4, FIRST + 69 * MINUTE, user=5)
    shop.reconcile("orders")
    shop.reconcile("order_items")
    assert gold(shop, THREE[-1]) == ten
