"""``lake load``: a table's history comes into the lake in one go, and an interrupted load is simply run again."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pytest
from click.testing import Result
from typer.testing import CliRunner

from dagster_lake.cli import app
from dagster_lake.contract.model import contracts
from dagster_lake.defs.schedules import missed_hours, unfinished_hours
from dagster_lake.landing import history
from dagster_lake.landing.land import partitions
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.unfinished import begin, unfinished
from tests.depth import examples
from tests.lake.crashing import dying_at, dying_at_number, watching
from tests.lake.lakes import TestLake, differences, hours
from tests.lake.reconciled_shop import LATER, MINUTE, SMALL, Shop
from tests.lake.shop_by_hand import ShopByHand

from .postgres import postgres_server, postgres_url  # noqa: F401  # fixtures

OLDEST = datetime(2024, 2, 29, 23, tzinfo=UTC)
MOMENTS = [
    OLDEST,  # the very end of hour 22
    OLDEST + MINUTE,
    OLDEST + 61 * MINUTE,
    OLDEST + timedelta(days=300, minutes=5),
    OLDEST + timedelta(days=300, minutes=6),
    LATER - timedelta(hours=7),
    LATER - MINUTE,  # of the open hour
]
OLD = ["2024-02-29T22", "2024-02-29T23", "2024-03-01T00", "2024-12-25T23", "2026-01-01T05"]


def a_shop(folder: Path, url: str | None = None) -> Shop:
    """Orders over two years, none of which has landed."""
    url = url or f"sqlite:///{folder / 'theirs.db'}"
    folder.mkdir(exist_ok=True)
    shop = Shop(TestLake(folder / "lake", {**SMALL, "database_url": url}), ShopByHand(url).create())
    for number, moment in enumerate(MOMENTS):
        shop.source.order(number, moment)
    return shop


def load(shop: Shop, *arguments: str, fails: bool = False) -> Result:
    with shop.here(), patch.dict(os.environ, {"COLUMNS": "200"}):
        result = CliRunner().invoke(app, ["load", *arguments], catch_exceptions=False)
    assert result.exit_code == (1 if fails else 0), result.output
    return result


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_history_is_loaded_from_its_first_row_to_the_latest_ones(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    shop = a_shop(tmp_path, None if kind == "sqlite" else request.getfixturevalue("postgres_url"))
    result = load(shop, "orders", "--no-gold")
    assert "orders: 6 rows of 5 hours, 2024-02-29T22 to 2026-01-01T05" in result.output
    assert Lake.at(str(shop.lake.root)).first_hour() == OLD[0]
    found = {row["order_id"]: row["_lake_hour"] for row in shop.lake.rows("silver/orders")}
    assert found == dict(enumerate([*OLD[:4], OLD[3], OLD[4]]))
    assert {row["updated_at"] for row in shop.lake.rows("silver/orders_changes")} == {*MOMENTS[:6]}


def test_only_hours_with_rows_and_the_newest_ones_have_manifests_and_none_counts_as_missed(tmp_path: Path) -> None:
    shop = a_shop(tmp_path)
    load(shop, "orders", "--no-gold")
    with shop.here():
        landed = partitions(shop.lake.resource.lake, contracts()["orders"])
        assert set(landed) == {*OLD, *hours(history.FULL_HOURS, "2025-12-30T10")}
        assert missed_hours(shop.lake.resource, datetime(2026, 1, 1, 11, tzinfo=UTC)) == []


def test_a_load_again_changes_nothing(tmp_path: Path) -> None:
    shop = a_shop(tmp_path)
    load(shop, "orders", "--no-gold")
    tables, raw = shop.lake.content(), shop.lake.manifests()
    with watching() as points:
        load(shop, "orders", "--no-gold")
    assert points == []
    assert differences(shop.lake.content(), tables) == ""
    assert shop.lake.manifests() == raw


def test_a_load_gives_what_landing_each_hour_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "READ_ROWS", 2)  # several reads
    loaded, landed = a_shop(tmp_path / "loaded"), a_shop(tmp_path / "landed")
    landed.lake.run_data_set("orders", OLD[4], sources=False)
    for hour in OLD[:4]:
        landed.lake.run_data_set("orders", hour, sources=False)
    loaded.lake.run_data_set("orders", OLD[3], sources=False)  # an hour that has landed is left as it is
    load(loaded, "orders", "--no-gold")
    ignored = ("_ingested_at", "_source_file")
    found, wanted = (
        {
            name: [{k: v for k, v in row.items() if k not in ignored} for row in rows]
            for name, rows in shop.lake.content().items()
        }
        for shop in (loaded, landed)
    )
    assert differences(found, wanted) == ""


def test_a_load_that_died_anywhere_is_finished_by_the_next_one(tmp_path: Path) -> None:
    whole = a_shop(tmp_path / "whole")
    with watching() as points:
        load(whole, "orders", "--no-gold")
    wanted = whole.lake.content()
    empties = 2 * history.FULL_HOURS  # one like the other
    deaths = [*range(0, len(points) - empties, 3), len(points) - 1]
    for number in deaths[:: max(1, len(deaths) // examples(5, 12))]:
        shop = a_shop(tmp_path / str(number))
        with shop.here(), dying_at_number(number):
            CliRunner().invoke(app, ["load", "orders", "--no-gold"])
        load(shop, "orders", "--no-gold")
        assert differences(shop.lake.content(), wanted) == "", points[number]


def test_of_a_load_that_died_the_hourly_schedule_takes_up_the_recent_hours_unless_it_is_run_again(
    tmp_path: Path,
) -> None:
    shop = a_shop(tmp_path)
    closed = datetime(2026, 1, 1, 11, tzinfo=UTC)
    for point in ("bronze.orders:before", "silver.orders_changes:before", "silver.orders:before"):
        with shop.here(), dying_at(point):
            CliRunner().invoke(app, ["load", "orders", "--no-gold"])
        with shop.here():
            assert unfinished_hours(shop.lake.resource, closed) == [OLD[4]], point
    load(shop, "orders", "--no-gold")
    assert len(shop.lake.rows("silver/orders")) == 6
    with shop.here():
        assert unfinished_hours(shop.lake.resource, closed) == []
        begin(shop.lake.resource.lake, "orders", [OLD[4]])
    load(shop, "orders", "--no-gold")
    assert unfinished(shop.lake.resource.lake) == {}, "what another landing noted is made as well"


def test_older_rows_are_left_out_by_a_date(tmp_path: Path) -> None:
    shop = a_shop(tmp_path)
    load(shop, "orders", "--from", "2024-12-01", "--no-gold")
    assert Lake.at(str(shop.lake.root)).first_hour() == "2024-12-25T23"
    assert {row["order_id"] for row in shop.lake.rows("silver/orders")} == {3, 4, 5}


def test_gold_counts_the_loaded_orders(tmp_path: Path) -> None:
    shop = a_shop(tmp_path)
    for name in ("users", "vip_users", "products"):
        shop.lake.run_data_set(name)
    for name in ("pageviews", "stars"):
        shop.lake.run_data_set(name, "2026-01-01T05")
    load(shop, "order_items", "--no-gold")
    load(shop, "orders")
    assert sum(row["orders"] for row in shop.lake.rows("gold/daily_sales")) == 6
    by_hour = {row["_lake_hour"]: row["orders"] for row in shop.lake.rows("gold/engagement_hourly") if row["orders"]}
    assert by_hour == {OLD[0]: 1, OLD[1]: 1, OLD[2]: 1, OLD[3]: 2, OLD[4]: 1}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("pageviews",), "event hub, which keeps events for days only"),
        (("users",), "comes as files, each a whole snapshot"),
        (("nothing",), "there is no data set 'nothing'; load one of: "),
        (("orders", "--from", "last year"), "write it as 2024-01-01"),
    ],
)
def test_what_cannot_be_loaded_is_refused_with_the_remedy(
    tmp_path: Path, arguments: tuple[str, ...], says: str
) -> None:
    assert says in load(a_shop(tmp_path), *arguments, fails=True).output


def test_a_remote_lake_needs_the_setting_first(tmp_path: Path) -> None:
    from dagster_lake.cli.load.run import _begin_with
    from dagster_lake.cli.shared.errors import CommandError
    from dagster_lake.settings.lake import Settings

    remote = Settings(_env_file=None, root="abfss://lake@shop.dfs.core.windows.net/a")  # type: ignore[call-arg]
    with pytest.raises(CommandError, match="set LAKE_FIRST_HOUR=2024-02-29T22 here and wherever Dagster runs"):
        _begin_with(Lake.at(str(tmp_path)), remote, OLD[0])
