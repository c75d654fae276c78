"""What a person sees in Dagster's UI, in a real browser."""

import re
from collections.abc import Iterator

import pytest

from tests.ui.browser import find_browser, shown_text
from tests.ui.webserver import build_lake, webserver

pytestmark = pytest.mark.skipif(find_browser() is None, reason="Chromium is missing (apt-get install chromium)")


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("ui")
    environment = build_lake(folder, "--day", "2026-01-01", "--hours", "2")
    with webserver(folder, environment) as address:
        yield address


def test_the_graph_shows_every_layer(ui: str) -> None:
    layers = ["sources", "raw", "bronze", "silver", "quarantine", "streams", "gold", "reports"]
    text = shown_text(f"{ui}/asset-groups", *layers)
    assert [layer for layer in layers if layer not in text] == []


def test_a_gold_table_shows_its_description_columns_row_count_and_checks(ui: str) -> None:
    text = shown_text(f"{ui}/assets/gold/engagements", "Row count", "total_orders_value")
    assert "One row per customer" in text
    assert "Row count 200" in text
    assert "total_orders_value" in text
    assert "Latest check results" in text


def test_a_stream_shows_its_windows_in_place(ui: str) -> None:
    text = shown_text(f"{ui}/assets/streams/pageviews_by_http_method_5m", "latency of GET, ms, until")
    for name in ("p50", "p95", "p99", "pageviews"):
        assert re.search(rf"{name} [\d,]+ to [\d,]+ +[▁▂▃▄▅▆▇█]", text), name


def test_alerts_show_as_a_warning_with_the_worst_of_them(ui: str) -> None:
    text = shown_text(f"{ui}/assets/streams/high_latency_alerts?view=checks&checkDetail=no_alerts", "Latest execution")
    assert re.search(r"Latest execution [1-9]\d* alerts Evaluation result Failed", text)


def test_a_silver_table_shows_its_masking_and_owner(ui: str) -> None:
    text = shown_text(f"{ui}/assets/silver/pageviews", "client_ip", "masking")
    assert "masking: hmac" in text
    assert "shop" in text


def test_the_report_is_linked(ui: str) -> None:
    text = shown_text(f"{ui}/assets/reports/engagement", "engagement.html")
    assert "reports/engagement.html" in text


def test_the_hourly_schedule_and_the_sensors_are_listed(ui: str) -> None:
    names = {
        *("close_the_hour", "publish_lake_status"),
        *("dropped_files", "failures_told", "events_arriving", "silver_carries_on", "run_metrics", "run_lineage"),
    }
    text = shown_text(f"{ui}/automation", *names)
    assert {name for name in names if name in text} == names
