"""The daily reconciliation lands what never landed, and tells what it cannot mend."""

from datetime import timedelta
from pathlib import Path

import dagster as dg
import pytest

from tests.lake.lakes import TestLake
from tests.lake.reconciled_shop import FIRST, LATER, MINUTE, SMALL, THREE, Shop, a_shop, metadata, told
from tests.lake.shop_by_hand import ShopByHand, stamp

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


# --- rows that never landed -------------------------------------------------------------------------------------------


def test_a_row_committed_days_late_is_landed_and_told(shop: Shop) -> None:
    shop.source.order(77, FIRST + 5 * MINUTE, value="7.05")
    shop.now = LATER + timedelta(days=3)
    result = shop.reconcile()
    assert 77 in {row["order_id"] for row in shop.lake.rows("silver/orders")}
    check = told(result, "all_rows_landed")
    assert (check.passed, check.metadata["rows"].value, check.metadata["hours"].value) == (False, 1, THREE[0])
    made = {(e.asset_key.path[0], e.partition) for e in result.get_asset_materialization_events() if e.partition}
    assert made == {(layer, THREE[0]) for layer in ("raw", "bronze", "silver")}
    assert told(shop.reconcile(), "all_rows_landed").passed


def test_a_late_row_counts_though_another_left_its_hour(small: Shop) -> None:
    small.source.order(77, FIRST + 5 * MINUTE)
    small.source.run(f"UPDATE orders SET updated_at = '{stamp(FIRST + 130 * MINUTE)}' WHERE order_id = 0")
    small.reconcile()
    found = {row["order_id"]: row["updated_at"] for row in small.lake.rows("silver/orders")}
    assert 77 in found
    assert found[0] == FIRST + 130 * MINUTE


def test_an_hour_that_was_never_landed_is_landed(small: Shop) -> None:
    small.source.order(77, FIRST + 5 * 60 * MINUTE + MINUTE)
    small.reconcile()
    assert 77 in {row["order_id"] for row in small.lake.rows("silver/orders")}


def test_rows_before_the_first_landed_hour_and_of_the_newest_hours_are_left_to_others(small: Shop) -> None:
    small.source.order(77, FIRST - MINUTE)
    small.source.order(78, LATER - 60 * MINUTE)
    result = small.reconcile()
    assert told(result, "all_rows_landed").passed
    assert metadata(result)["rows_before_the_first_landed_hour"] == 1
    assert not {77, 78} & {row["order_id"] for row in small.lake.rows("silver/orders")}


def test_nothing_happens_before_anything_has_landed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'theirs.db'}"
    shop = Shop(TestLake(tmp_path / "lake", {**SMALL, "database_url": url}), ShopByHand(url).create())
    assert all(check.passed for check in shop.reconcile().get_asset_check_evaluations())


def test_a_time_of_writing_that_steps_back_is_told_with_the_keys(shop: Shop) -> None:
    shop.source.run(f"UPDATE orders SET updated_at = '{stamp(FIRST + 2 * MINUTE)}', order_value = 9 WHERE order_id = 8")
    check = told(shop.reconcile(), "time_of_writing_never_steps_back")
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (check.metadata["rows"].value, check.metadata["keys"].value) == (1, "8")
