"""The streams' declarations, and that dbt's models, Stream Analytics' queries and the Bicep job say the same."""

import copy
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.manifest import manifest
from dagster_lake.defs.streams.reference_data import reference_data_assets
from dagster_lake.defs.streams.stream_analytics import stream_analytics_assets, stream_analytics_checks
from dagster_lake.deploy.bicep_inputs import retention
from dagster_lake.settings.lake import DBT_PROJECT, PROJECT_ROOT
from dagster_lake.streams.declarations import StreamDeclaration, StreamDeclarationError, stream_declarations
from dagster_lake.streams.stream_analytics.reconcile import shape_of
from tests.unit.asaql import CLAUSES, JOINS, tokens
from tests.unit.stream_twins import model_problems, query_problems, rendered

QUERIES = PROJECT_ROOT / "infra/bicep/stream_analytics"
BICEP = PROJECT_ROOT / "infra/bicep/modules/stream_analytics.bicep"
DECLARED = stream_declarations(manifest())
TEXTS = {file.stem: file.read_text() for file in QUERIES.glob("*.asaql")}
VARIABLES: dict[str, Any] = yaml.safe_load((DBT_PROJECT / "dbt_project.yml").read_text())["vars"]["dagster_lake"]

INGEST_MS = 610_000
"""How long after the first hour read begins times are exact: 5 minutes of early events, 310 s of watermark."""


def test_the_nine_streams_are_declared() -> None:
    assert sorted(DECLARED) == [
        "first_pageview_per_hour",
        "high_latency_alerts",
        "high_latency_alerts_enriched",
        "latency_anomalies",
        "low_star_pageviews",
        "pageviews_by_http_method_5m",
        "pageviews_stars_correlation",
        "sessions",
        "vip_pageviews",
    ]


@pytest.mark.parametrize("stream", DECLARED.values(), ids=DECLARED)
def test_a_stream_reads_back_as_far_as_its_windows_and_joins_need(stream: StreamDeclaration) -> None:
    hour = 3_600_000
    assert stream.look_back_hours == max(1, math.ceil((reach_ms(stream) + INGEST_MS) / hour))
    assert stream.look_back_hours == stream.least_look_back_hours


def reach_ms(stream: StreamDeclaration) -> int:
    """How far before an output hour the events may be that a result of it follows from."""
    reach = 0
    if stream.join:
        reach += stream.join.in_ms(stream.join.at_most + 1)  # counted in boundaries, it may be almost one more
    if stream.first:
        reach += within_hours(stream.first.in_ms(stream.first.size))
    if stream.window and stream.window.kind == "tumbling" and stream.window.size:
        reach += within_hours(stream.window.in_ms(stream.window.size))
    if stream.window and stream.window.timeout and stream.window.maximum:
        reach += stream.window.in_ms(2 * stream.window.maximum + stream.window.timeout)
    if stream.baseline:
        reach += stream.baseline.in_ms(stream.baseline.size)
    return reach


def within_hours(size: int) -> int:
    """How far a window that ends in an hour begins before that hour."""
    return 0 if 3_600_000 % size == 0 else size


@pytest.mark.parametrize("stream", DECLARED.values(), ids=DECLARED)
def test_the_dbt_model_says_what_is_declared(stream: StreamDeclaration) -> None:
    assert model_problems(stream, model_sql(stream.name)) == []


def model_sql(name: str) -> str:
    return rendered(manifest()["nodes"][f"model.dagster_lake.{name}"]["raw_code"], VARIABLES)


ORDER = ("late_arrival_ms", "out_of_order_ms", "event_order_policy")
"""What the macro `stream` reads; see tests/temporal."""


@pytest.mark.parametrize("variable", [name for name in VARIABLES if name not in ORDER])
def test_no_model_has_a_number_of_its_own_where_there_is_a_variable(variable: str) -> None:
    changed = {**VARIABLES, variable: VARIABLES[variable] + 7}
    nodes = manifest()["nodes"]
    found = {n: rendered(nodes[f"model.dagster_lake.{n}"]["raw_code"], changed) for n in DECLARED}
    assert any(model_problems(DECLARED[name], sql) for name, sql in found.items())


@pytest.mark.parametrize("stream", DECLARED.values(), ids=DECLARED)
def test_the_query_for_stream_analytics_says_what_is_declared(stream: StreamDeclaration) -> None:
    assert query_problems(stream, TEXTS["steps"], TEXTS[stream.name]) == []


def test_every_file_of_queries_is_a_declared_stream_s() -> None:
    assert sorted(TEXTS) == sorted([*DECLARED, "steps"])


def mutations(text: str) -> Iterator[tuple[str, str]]:
    """(what was changed, the text with it) for every number, column, unit, comparison and sort order of a query."""
    signs = {"<": "<=", ">": ">=", ">=": ">", "<=": "<", "+": "-", "-": "+", "*": "+", "/": "*"}
    words = {
        "minute": ("mm", "second"),
        "second": ("minute",),
        "millisecond": ("second",),
        "hour": ("minute",),
        "ASC": ("DESC",),
        "DESC": ("ASC",),
        "MIN": ("MAX",),
        "MAX": ("MIN",),
        "TumblingWindow": ("HoppingWindow",),
        "SessionWindow": ("TumblingWindow",),
        "DISTINCT": ("",),
    }
    spoken = {*CLAUSES, *JOINS, "BY", "AS", "ON", "AND", "IS", "NOT", "NULL", "IN", "OVER", "WITH", "TIMESTAMP"}
    spoken |= {"BETWEEN", "PARTITION", "LIMIT", "ORDER", "DURATION", "System", "Timestamp"}
    for kind, token, at in tokens(text):
        replacements: tuple[str, ...] = ()
        if kind == "number":
            replacements = (str(int(token) + 1) if token.isdigit() else f"{token}1",)
        elif kind == "sign" and token in signs and text[at - 1] != "(":  # not COUNT(*)
            replacements = (signs[token],)
        elif kind == "name" and token in words:
            replacements = words[token]
        elif kind == "name" and token not in spoken:
            replacements = (f"{token}x",)
        for replacement in replacements:
            yield f"{token} -> {replacement} at {at}", text[:at] + replacement + text[at + len(token) :]


@pytest.mark.parametrize("name", TEXTS)
def test_a_query_in_which_any_number_column_or_unit_is_changed_is_told(name: str) -> None:
    unnoticed = []
    for what, mutated in mutations(TEXTS[name]):
        texts = {**TEXTS, name: mutated}
        if not any(query_problems(stream, texts["steps"], texts[stream.name]) for stream in DECLARED.values()):
            unnoticed.append(what)
    assert unnoticed == []


@pytest.mark.parametrize("name", ["low_star_pageviews", "pageviews_stars_correlation"])
def test_a_datediff_from_the_rating_to_the_pageview_is_told(name: str) -> None:
    swapped = TEXTS[name].replace("DATEDIFF(minute, views, ratings)", "DATEDIFF(minute, ratings, views)")
    assert swapped != TEXTS[name]
    assert query_problems(DECLARED[name], TEXTS["steps"], swapped)


@pytest.mark.parametrize("stream", DECLARED.values(), ids=DECLARED)
def test_a_column_that_is_missing_or_moved_in_a_query_is_told(stream: StreamDeclaration) -> None:
    lines = TEXTS[stream.name].splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if line.rstrip().endswith(",") and line.startswith("    "))
    without = lines[:first] + lines[first + 1 :]
    moved = [*lines[:first], lines[first + 1], lines[first], *lines[first + 2 :]]
    for changed in (without, moved):
        assert query_problems(stream, TEXTS["steps"], "".join(changed))


# ---- Bicep ----------------------------------------------------------------------------------------------------------


def test_the_job_orders_events_as_the_lake_does() -> None:
    text = BICEP.read_text()
    assert number(text, "lateArrivalSeconds") * 1000 == VARIABLES["late_arrival_ms"]
    assert number(text, "outOfOrderSeconds") * 1000 == VARIABLES["out_of_order_ms"]
    assert "eventsLateArrivalMaxDelayInSeconds: lateArrivalSeconds" in text
    assert "eventsOutOfOrderMaxDelayInSeconds: outOfOrderSeconds" in text
    assert re.findall(r"eventsOutOfOrderPolicy: '(\w+)'", text) == [VARIABLES["event_order_policy"].title()]
    assert re.findall(r"compatibilityLevel: '(.*)'", text) == ["1.2"]


def number(text: str, variable: str) -> int:
    [found] = re.findall(rf"var {variable} = (\d+)\n", text)
    return int(found)


def test_the_job_has_every_stream_s_query_and_an_output_of_its_format() -> None:
    text = BICEP.read_text()
    formats = {"parquet": "Parquet", "json_lines": "Json"}
    outputs = re.findall(r"\{ name: '(\w+)', format: '(\w+)' \}", text)
    assert dict(outputs) == {name: formats[stream.query.format] for name, stream in DECLARED.items()}
    loaded = re.findall(r"loadTextContent\('(.*\.asaql)'\)", text)
    assert loaded[0] == "../stream_analytics/steps.asaql"
    assert sorted(Path(file).stem for file in loaded) == sorted(TEXTS)
    assert all((BICEP.parent / file).is_file() for file in loaded)


def test_the_job_has_every_stream_s_inputs() -> None:
    text = BICEP.read_text()
    hubs = {name for stream in DECLARED.values() for name in stream.inputs}
    references = {name for stream in DECLARED.values() for name in stream.reference}
    assert listed(text, "hubs") == hubs
    assert listed(text, "referenceData") == references


def listed(text: str, variable: str) -> set[str]:
    [found] = re.findall(rf"var {variable} = \[(.*)\]\n", text)
    return set(re.findall(r"'(\w+)'", found))


# ---- errors ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"window": {"kind": "tumbling", "unit": "minute", "by": []}},
            "a tumbling window has unit and size, and nothing else",
        ),
        ({"window": {"kind": "tumbling", "unit": "mm", "size": 5, "by": []}}, r"stream\.window\.unit: Input should be"),
        ({"where": {"latency": {"over": 2000}}}, r"stream\.where\.latency\.over: Extra inputs"),
        ({"where": {"latency": {"above": "2000"}}}, r"stream\.where\.latency\.above: Input should be a valid integer"),
        ({"key": ["event"]}, "key names event, which the model does not declare as a column"),
        ({"inputs": None}, r"stream\.inputs: "),
        (
            {"window": {"kind": "hopping", "unit": "minute", "size": 5, "by": []}},
            r"a hopping window has unit and size and hop, and nothing else \(and may have offset\)",
        ),
        (
            {"window": {"kind": "snapshot", "unit": "minute", "by": []}},
            "a snapshot window has no unit and no length, and nothing else",
        ),
        (
            {"windows": [{"id": "A", "kind": "snapshot", "by": []}, {"id": "a", "kind": "snapshot", "by": []}]},
            "all have an id or none has, and ids differ in more than case",
        ),
        (
            {"window": {"kind": "snapshot", "by": []}, "windows": [{"kind": "snapshot", "by": []}]},
            "a query has one of both",
        ),
        (
            {"substreams": ["user_id"], "window": {"kind": "snapshot", "by": ["uri"]}},
            r"window\.by lacks user_id: events are in order within each of the substreams only",
        ),
        (
            {"substreams": ["user_id"], "lag": {"unit": "minute", "limit": 5, "by": []}},
            r"lag\.by lacks user_id",
        ),
        (
            {"window": {"kind": "sliding", "unit": "hour", "size": 3, "by": []}},
            "look_back_hours is 1, and what is declared needs 4: .* look back 180 minutes",
        ),
    ],
)
def test_a_wrong_declaration_is_told_by_file_and_field(change: dict[str, Any], told: str) -> None:
    found = copy.deepcopy({"nodes": {"x": manifest()["nodes"]["model.dagster_lake.high_latency_alerts"]}})
    found["nodes"]["x"]["config"]["meta"]["stream"] |= change
    with pytest.raises(StreamDeclarationError, match=rf"models/streams/high_latency_alerts\.yml: .*{told}"):
        stream_declarations(found)


MINUTES = {"unit": "minute", "by": ["user_id"]}


@pytest.mark.parametrize(
    ("change", "hours"),
    [
        ({"window": MINUTES | {"kind": "tumbling", "size": 5}}, 1),
        ({"window": MINUTES | {"kind": "tumbling", "size": 5, "offset": -1}}, 1),
        ({"window": MINUTES | {"kind": "tumbling", "size": 55}}, 2),
        ({"window": MINUTES | {"kind": "hopping", "size": 60, "hop": 15}}, 1),
        ({"window": MINUTES | {"kind": "hopping", "size": 120, "hop": 15, "offset": 5}}, 3),
        ({"window": MINUTES | {"kind": "sliding", "size": 50}}, 2),
        ({"window": MINUTES | {"kind": "session", "timeout": 30, "maximum": 60}}, 3),
        ({"window": {"kind": "snapshot", "by": ["user_id"]}}, 1),
        ({"windows": [{"kind": "snapshot", "by": []}, MINUTES | {"kind": "sliding", "size": 110}]}, 3),
        ({"join": MINUTES | {"from": "pageviews", "to": "stars", "at_least": 0, "at_most": 48}}, 1),
        ({"join": MINUTES | {"from": "pageviews", "to": "stars", "at_least": -80, "at_most": 0}}, 2),
        ({"join": MINUTES | {"kind": "left", "from": "pageviews", "to": "stars", "at_least": -80, "at_most": 80}}, 3),
        ({"lag": MINUTES | {"limit": 50}}, 2),
        ({"lag": MINUTES | {"limit": 5, "offset": 2}, "last": MINUTES | {"limit": 60}}, 2),
        ({"first": MINUTES | {"size": 60}}, 1),
        ({"over": MINUTES | {"size": 60}}, 2),
        ({"window": MINUTES | {"kind": "sliding", "size": 60}, "over": MINUTES | {"size": 60}}, 3),
        ({"substreams": ["user_id"], "window": MINUTES | {"kind": "tumbling", "size": 5}}, 1),
        ({"spikes_and_dips": MINUTES | {"limit": 30, "history": 120, "confidence": 95.0, "mode": "spikes"}}, 1),
        ({"change_points": MINUTES | {"limit": 30, "history": 120, "confidence": 90}}, 2),
    ],
    ids=str,
)
def test_a_declaration_can_name_every_window_and_function_and_tells_how_far_to_look_back(
    change: dict[str, Any], hours: int
) -> None:
    found = copy.deepcopy({"nodes": {"x": manifest()["nodes"]["model.dagster_lake.high_latency_alerts"]}})
    meta = found["nodes"]["x"]["config"]["meta"]
    del meta["stream"]["stream_analytics"]
    meta["stream"] |= change
    meta["look_back_hours"] = hours
    declared = stream_declarations(found)["high_latency_alerts"]
    assert declared.least_look_back_hours == hours
    if hours > 1:
        meta["look_back_hours"] = hours - 1
        with pytest.raises(StreamDeclarationError, match=f"needs {hours}"):
            stream_declarations(found)


def test_a_stream_without_a_query_is_no_asset_check_or_retention_of_stream_analytics() -> None:
    own = DECLARED["high_latency_alerts_enriched"].model_copy(update={"stream_analytics": None})
    assert stream_analytics_assets([own]) == []
    assert stream_analytics_checks([own]) == []
    assert reference_data_assets([own]) == []
    assert not any(rule.folder.startswith("stream_analytics") for rule in retention(contracts(), {own.name: own}))
    assert own.delivered == []
    with pytest.raises(StreamDeclarationError, match="declares no stream_analytics"):
        shape_of(own, pa.schema([]))


def test_a_model_without_a_declaration_is_told_by_file() -> None:
    found = copy.deepcopy({"nodes": {"x": manifest()["nodes"]["model.dagster_lake.sessions"]}})
    del found["nodes"]["x"]["config"]["meta"]["stream"]
    with pytest.raises(StreamDeclarationError, match=r"models/streams/sessions\.yml: config\.meta\.stream is missing"):
        stream_declarations(found)
