"""The plots of streams: what they show, that they stay small, and that nothing of the data gets out of its place."""

import base64
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from dagster_lake.defs.show.stream_plots import TEXT_WINDOWS, WINDOWS, stream_plots
from dagster_lake.lake_hour import hour_key, hour_of
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.delta.write import Pinned, pin, replace_partitions
from dagster_lake.storage.paths import Lake

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
OWN_PERCENTILES = pa.schema(
    [
        ("http_method", pa.string()),
        ("pageviews", pa.int64()),
        *((f"p{n}_latency", pa.float64()) for n in (50, 95, 99)),
        ("_time", pa.timestamp("us", "UTC")),
        ("_lake_hour", pa.string()),
    ]
)
EVENTS = pa.schema([("latency", pa.int64()), ("_time", pa.timestamp("us", "UTC")), ("_lake_hour", pa.string())])
PAIRS = pa.schema([("_time", pa.timestamp("us", "UTC")), ("_lake_hour", pa.string())])


def written(root: Path, schema: pa.Schema, rows: list[dict[str, object]]) -> Pinned:
    spec = TableSpec(Lake.at(str(root)).table("streams", "a_stream"), schema, "_lake_hour")
    for row in rows:
        row["_lake_hour"] = hour_key(hour_of(row["_time"]))  # type: ignore[arg-type]
    hours = sorted({str(row["_lake_hour"]) for row in rows}) or ["2026-01-05T12"]
    replace_partitions(spec, hours, lambda: pa.Table.from_pylist(rows, schema).to_reader(), {})
    pinned = pin(spec.uri)
    assert pinned
    return pinned


def stream_plot(table: Pinned, hours: list[str]) -> str:
    return stream_plots(table, hours)["plot"]


def at(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def picture(markdown: str) -> ET.Element:
    found = re.fullmatch(r"!\[[^\]]*\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", markdown)
    assert found, markdown
    return ET.fromstring(base64.b64decode(found[1]))


def texts(markdown: str) -> list[str]:
    return [element.text or "" for element in picture(markdown).iter("{http://www.w3.org/2000/svg}text")]


def columns(markdown: str) -> str:
    """The path of the columns, one ``M`` each."""
    [path] = [p.attrib["d"] for p in picture(markdown) if "V" in p.attrib.get("d", "")]
    return path


def test_a_window_s_percentiles_are_those_of_the_busiest_method_and_its_pageviews_those_of_all(tmp_path: Path) -> None:
    rows = [
        {"http_method": method, "pageviews": views, "p50_latency": 50.0, "p95_latency": 90.0, "p99_latency": worst}
        | {"_time": at(minutes)}
        for method, views, worst in (("GET", 30, 800.0), ("POST", 10, 5000.0))
        for minutes in (5, 10)
    ]
    shown = texts(stream_plot(written(tmp_path, OWN_PERCENTILES, rows), ["2026-01-05T12"]))
    assert {"latency of GET, ms", "pageviews in each window", "p50", "p95", "p99", "12:05", "12:10"} <= set(shown)
    assert "800" in shown
    assert "40" in shown
    assert "5,000" not in shown


def test_events_are_counted_in_windows_that_hold_their_end_and_not_their_start(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"latency": 2100, "_time": at(minutes)} for minutes in (4.9, 5, 5.1, 10)]
    markdown = stream_plot(written(tmp_path, EVENTS, rows), ["2026-01-05T12"])
    assert {"12:05", "12:10", "results in each 5 minutes", "latency, ms"} <= set(texts(markdown))
    assert columns(markdown).count("M") == 2
    assert texts(markdown).count("2") == 1  # the highest column: two in each window


def test_windows_without_results_keep_their_place(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"_time": at(1)}, {"_time": at(59)}]
    markdown = stream_plot(written(tmp_path, PAIRS, rows), ["2026-01-05T12"])
    assert columns(markdown).count("M") == 2
    assert "12:05" in texts(markdown)
    assert "13:00" not in texts(markdown)  # of twelve places, every second is named
    assert not {"p50", "p95"} & set(texts(markdown))


def test_only_the_run_s_hours_are_shown(tmp_path: Path) -> None:
    table = written(tmp_path, PAIRS, [{"_time": at(1)}, {"_time": at(61)}])
    assert texts(stream_plot(table, ["2026-01-05T13"]))[-1] == "13:05"


def test_a_plot_of_many_days_stays_small_and_shows_the_last_windows(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"latency": n, "_time": at(5 * n)} for n in range(1, 1000)]
    table = written(tmp_path, EVENTS, rows)
    markdown = stream_plot(table, table.partitions())
    assert columns(markdown).count("M") == WINDOWS
    assert len(markdown) < 10_000


@pytest.mark.parametrize("schema", [EVENTS, OWN_PERCENTILES])
def test_no_results_are_said_in_words(tmp_path: Path, schema: pa.Schema) -> None:
    assert stream_plots(written(tmp_path, schema, []), ["2026-01-05T12"]) == {"windows": "no results"}


def test_the_text_shows_the_last_windows_with_their_least_and_greatest_number(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"latency": 100 * n, "_time": at(n * 5)} for n in (1, 2, 4)]
    text = stream_plots(written(tmp_path, EVENTS, rows), ["2026-01-05T12"])["windows"]
    assert text == "\n".join(
        [
            "```",
            "latency, ms, until 2026-01-05 12:20 UTC",
            "p50 100 to 400 ▃▅ █",
            "p95 100 to 400 ▃▅ █",
            "p99 100 to 400 ▃▅ █",
            "results 0 to 1 ██▁█",
            "```",
        ]
    )


def test_the_text_of_many_days_is_short_enough_to_be_shown_in_place(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"latency": 10**9 + n, "_time": at(5 * n)} for n in range(1, 500)]
    table = written(tmp_path, EVENTS, rows)
    text = stream_plots(table, table.partitions())["windows"]
    assert text.count("█") == 4 * TEXT_WINDOWS
    assert len(text) < 1000


def test_text_of_the_data_cannot_become_markup(tmp_path: Path) -> None:
    row = {"http_method": "<script>&", "pageviews": 1, "p50_latency": 1.0, "p95_latency": 1.0, "p99_latency": 1.0}
    markdown = stream_plot(written(tmp_path, OWN_PERCENTILES, [row | {"_time": at(5)}]), ["2026-01-05T12"])
    assert "latency of <script>&, ms" in texts(markdown)
    assert [element.tag for element in picture(markdown).iter() if element.tag.endswith("script")] == []


def test_events_that_came_early_late_or_unordered_are_plotted_over_the_last_hours(tmp_path: Path) -> None:
    numbers = ("events", "early", "late", "out_of_order")
    fields = [*((name, pa.int64()) for name in numbers), *PAIRS]
    rows: list[dict[str, object]] = [
        {"events": 100, "early": early, "late": 5, "out_of_order": 0, "_time": at(60 * hour)}
        for hour, early in enumerate((0, 7, 0))
        for _ in ("pageviews", "stars")
    ]
    table = written(tmp_path, pa.schema(fields), rows)
    plots = stream_plots(table, ["2026-01-05T11"])
    assert "early 0 to 14" in plots["windows"]
    assert {"early", "late", "unordered", "200", "14"} <= set(texts(plots["plot"]))
