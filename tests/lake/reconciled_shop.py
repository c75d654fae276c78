"""A lake that lands from a shop's own database, and is reconciled with it by hand."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg

from dagster_lake import clock
from dagster_lake.defs.contracts.reconciliation import reconciliation_assets
from dagster_lake.lake_resource import LakeResource
from tests.lake.lakes import TINY, TestLake, hours
from tests.lake.shop_by_hand import ShopByHand

FIRST = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
LATER = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
SMALL = {**TINY, "users": 20, "products": 5, "vip_users": 3, "pageviews_per_hour": 30, "orders_per_hour": 1}
THREE = hours(3)


@dataclass
class Shop:
    """A lake, and the database that it lands from. ``now`` is what the clock says."""

    __test__ = False

    lake: TestLake
    source: ShopByHand
    now: datetime = LATER

    @contextmanager
    def here(self) -> Iterator[None]:
        with self.lake.here(), patch.object(clock, "utc_now", lambda: self.now):
            yield

    def build(self, *hours: str) -> None:
        """Raw to the latest rows of both tables."""
        for name in ("orders", "order_items"):
            self.lake.run_data_set(name, *hours, sources=False)

    def reconcile(self, data_set: str = "orders", *, ok: bool = True, **config: Any) -> dg.ExecuteInProcessResult:
        """By hand, as the command line does it."""
        with self.here():
            result = dg.materialize(
                reconciliation_assets(),
                selection=[dg.AssetKey(["reconciliation", data_set])],
                resources={"lake": LakeResource()},
                instance=dg.DagsterInstance.ephemeral(),
                run_config={"ops": {f"reconciliation__{data_set}": {"config": config}}},
                raise_on_error=ok,
            )
        assert result.success == ok
        return result

    def deleted(self, table: str = "orders") -> dict[int, datetime]:
        """When the deleted orders were found to be gone."""
        rows = self.lake.rows(f"silver/{table}")
        return {row["order_id"]: row["_deleted_at"] for row in rows if row["_deleted_at"]}


def told(result: dg.ExecuteInProcessResult, name: str) -> dg.AssetCheckEvaluation:
    (found,) = [check for check in result.get_asset_check_evaluations() if check.check_name == name]
    return found


def metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    events = [e for e in result.get_asset_materialization_events() if e.asset_key.path[0] == "reconciliation"]
    return {name: value.value for name, value in events[-1].materialization.metadata.items()}


def a_shop(folder: Path, url: str) -> Shop:
    """Ten orders of one item each, landed: three in the first hour, four in the second, three in the third."""
    shop = Shop(TestLake(folder / "lake", {**SMALL, "database_url": url}), ShopByHand(url).create())
    for number in range(10):
        shop.source.order(number, FIRST + number * 17 * MINUTE + MINUTE, user=number % 5 + 1)
    shop.build(*THREE)
    return shop
