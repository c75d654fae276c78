"""The engagement report, rendered from small real Delta tables."""

import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from dagster_lake.reports.charts import bar_chart
from dagster_lake.reports.engagement import render_engagement
from dagster_lake.reports.engagement_data import Group, read_engagement
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta.write import DeltaWriteError
from dagster_lake.storage.paths import Lake


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake.at(str(tmp_path / "lake"))
    _write(
        lake,
        "gold/engagements",
        {
            "id": [1, 2, 3, 4],
            "city": ["Brno", "Brno", "<script>alert(1)</script>", None],
            "pageviews": [10, 0, 2, 4],
            "orders": [2, 0, 1, 1],
            "total_orders_value": [Decimal("100.50"), Decimal("0.00"), Decimal("50.00"), Decimal("300.00")],
            "avg_stars": [4.0, None, 2.0, None],
            "is_vip": [True, False, False, False],
        },
    )
    _write(
        lake,
        "gold/daily_sales",
        {
            "day": [date(2026, 1, 2), date(2026, 1, 1)],
            "orders": [3, 1],
            "revenue": [Decimal("400.00"), Decimal("50.50")],
        },
    )
    _write(
        lake,
        "silver/pageviews",
        {"latency": [100, 300, 200], "_lake_hour": ["2026-01-01T00", "2026-01-01T00", "2026-01-01T01"]},
        partition_by="_lake_hour",
    )
    return lake


def test_the_report_adds_up_engagement_by_vip_and_city(lake: Lake) -> None:
    data = read_engagement(lake, Settings())
    assert (data.totals.users, data.totals.pageviews, data.totals.orders) == (4, 16, 4)
    assert data.totals.value == Decimal("450.50")
    assert data.average_stars == 3.0
    assert data.by_vip == [Group("VIP", 1, 10, 2, Decimal("100.50")), Group("others", 3, 2, 2 / 3, Decimal("116.67"))]
    assert [(g.name, g.users, g.value) for g in data.by_city] == [
        ("unknown", 1, Decimal("300.00")),
        ("Brno", 2, Decimal("100.50")),
        ("<script>alert(1)</script>", 1, Decimal("50.00")),
    ]


def test_sales_come_by_day_and_latency_by_hour_in_order(lake: Lake) -> None:
    data = read_engagement(lake, Settings())
    assert [(d.day, d.orders) for d in data.sales] == [(date(2026, 1, 1), 1), (date(2026, 1, 2), 3)]
    assert [(h.hour, h.p50, h.pageviews) for h in data.latency] == [
        ("2026-01-01T00", 200.0, 2),
        ("2026-01-01T01", 200.0, 1),
    ]


def test_the_page_stands_alone_and_escapes_what_comes_from_the_lake(lake: Lake) -> None:
    page = render_engagement(read_engagement(lake, Settings()))
    assert page.count("<svg") == 3
    assert "<script" not in page
    assert "450" in page
    namespaces = {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}
    links = set(re.findall(r"""(?:href|src)=["']([^"'#][^"']*)""", page))
    assert links - namespaces == set()


def test_the_same_tables_give_the_same_page(lake: Lake) -> None:
    assert render_engagement(read_engagement(lake, Settings())) == render_engagement(read_engagement(lake, Settings()))


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DeltaWriteError, match=r"gold\.engagements does not exist yet; materialise it first"):
        read_engagement(Lake.at(str(tmp_path / "empty")), Settings())


def _write(lake: Lake, name: str, columns: dict[str, list[object]], partition_by: str | None = None) -> None:
    layer, table = name.split("/")
    uri = lake.table(layer, table)
    uri.parent.mkdir(parents=True, exist_ok=True)
    write_deltalake(str(uri), pa.table(columns), partition_by=partition_by)


def test_a_label_with_dollar_signs_is_shown_as_it_is() -> None:
    chart = bar_chart(["A$\\frac{$B", "$5 to $10"], [1.0, 2.0], "users")
    assert "A$\\frac{$B" in chart
    assert "$5 to $10" in chart
