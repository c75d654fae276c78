"""What a person sees in Dagster's UI, in a real browser."""

from collections.abc import Iterator

import pytest

from tests.ui.browser import find_browser, shown_text
from tests.ui.webserver import build_lake, webserver

pytestmark = pytest.mark.skipif(find_browser() is None, reason="Chromium is missing (apt-get install chromium)")


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("ui")
    environment = build_lake(folder, "--hours", "2")
    with webserver(folder, environment) as address:
        yield address


def test_the_graph_shows_every_layer(ui: str) -> None:
    layers = ["sources", "raw", "bronze", "silver", "quarantine", "gold", "reports"]
    text = shown_text(f"{ui}/asset-groups", *layers)
    assert [layer for layer in layers if layer not in text] == []


def test_a_gold_table_shows_its_description_columns_row_count_and_checks(ui: str) -> None:
    text = shown_text(f"{ui}/assets/gold/engagements", "Row count", "total_orders_value")
    assert "One row per customer" in text
    assert "Row count 200" in text
    assert "total_orders_value" in text
    assert "Latest check results" in text


def test_a_silver_table_shows_its_masking_and_owner(ui: str) -> None:
    text = shown_text(f"{ui}/assets/silver/pageviews", "client_ip", "masking")
    assert "masking: hmac" in text
    assert "shop" in text


def test_the_report_is_linked(ui: str) -> None:
    text = shown_text(f"{ui}/assets/reports/engagement", "engagement.html")
    assert "reports/engagement.html" in text


def test_the_hourly_schedule_and_the_sensors_are_listed(ui: str) -> None:
    text = shown_text(f"{ui}/automation", "close_the_hour", "dropped_files", "failure_notice")
    assert {name for name in ("close_the_hour", "dropped_files", "failure_notice") if name in text} == {
        "close_the_hour",
        "dropped_files",
        "failure_notice",
    }
