"""Sinks in a stream's YAML: what cannot be is refused when the project loads, by file, field and what to do."""

import copy
from typing import Any

import pytest

from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.manifest import manifest
from dagster_lake.definitions import defs
from dagster_lake.defs.streams.sinks import sink_key
from dagster_lake.streams.declarations import StreamDeclarationError, stream_declarations
from dagster_lake.streams.sinks.sink import sinks_of

SESSIONS, VIPS = "model.dagster_lake.sessions", "model.dagster_lake.vip_pageviews"
FIELD = "models/streams/sessions.yml: config.meta.stream.sinks"


def declared(*sinks: Any, model: str = SESSIONS, **others: list[Any]) -> Any:
    """The streams, of which one declares these sinks, and others theirs."""
    changed = copy.deepcopy(dict(manifest()))
    for name, own in {model: list(sinks), **others}.items():
        changed["nodes"][name]["config"]["meta"]["stream"]["sinks"] = own
    return stream_declarations(changed)


def test_every_kind_of_sink_is_declared_in_one_line() -> None:
    streams = declared({"database_table": "visits"}, {"files": "visits", "format": "csv"}, {"event_hub": "Visits-1"})
    found = [(sink.kind, sink.name, sink.format, sink.key) for sink in sinks_of([streams["sessions"]])]
    assert found == [
        ("database_table", "visits", None, ("session_id",)),
        ("files", "visits", "csv", ("session_id",)),
        ("event_hub", "Visits-1", None, ("session_id",)),
    ]


@pytest.mark.parametrize(
    ("sink", "place", "told"),
    [
        ({}, "0", "a sink is one of database_table, files, event_hub"),
        ({"database_table": "a", "event_hub": "b"}, "0", "write each as a sink of its own"),
        ({"files": "visits"}, "0", "format (jsonl, csv or parquet) is given with files"),
        ({"database_table": "visits", "format": "csv"}, "0", "and with nothing else"),
        ({"files": "visits", "format": "xlsx"}, "0.format", "jsonl"),
        ({"files": "../silver", "format": "csv"}, "0.files", "pattern"),
        ({"files": "/etc", "format": "csv"}, "0.files", "pattern"),
        ({"database_table": 'visits"; drop'}, "0.database_table", "pattern"),
        ({"database_table": "Visits"}, "0.database_table", "pattern"),
        ({"database_table": "lake_sinks"}, "0", "a name of the lake's own tables"),
        ({"event_hub": "two words"}, "0.event_hub", "pattern"),
        ({"event_hubs": "visits"}, "0.event_hubs", "not permitted"),
    ],
)
def test_a_sink_that_is_none_is_refused_by_file_and_field(sink: Any, place: str, told: str) -> None:
    with pytest.raises(StreamDeclarationError) as refused:
        declared(sink)
    assert f"{FIELD}.{place}: " in str(refused.value)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("sink", "source"),
    [
        ({"event_hub": "pageviews"}, "pageviews.odcs.yaml"),
        ({"event_hub": "PageViews"}, "pageviews.odcs.yaml"),
        ({"database_table": "orders"}, "orders.odcs.yaml"),
    ],
)
def test_a_sink_that_the_lake_would_read_again_is_refused(sink: Any, source: str) -> None:
    with pytest.raises(StreamDeclarationError) as refused:
        declared({"database_table": "visits"}, sink)
    assert f"{FIELD}.1: {next(iter(sink.values()))} is a source of the lake (" in str(refused.value)
    assert source in str(refused.value)


def test_a_folder_may_be_called_as_a_source_since_nobody_lands_from_it() -> None:
    assert "orders" in contracts()
    assert declared({"files": "orders", "format": "csv"})["sessions"].sinks


def test_a_sink_is_one_stream_s() -> None:
    with pytest.raises(
        StreamDeclarationError, match="taken holds rows of sessions already, and a sink is one stream's"
    ):
        declared({"event_hub": "taken"}, **{VIPS: [{"event_hub": "Taken".lower()}]})
    with pytest.raises(StreamDeclarationError, match=r"sinks\.1: visits holds rows of sessions already"):
        declared({"files": "visits", "format": "csv"}, {"files": "visits", "format": "jsonl"})


def test_every_sink_of_the_shop_is_an_asset_downstream_of_its_stream_with_a_check() -> None:
    graph = defs.resolve_asset_graph()
    sinks = sinks_of(stream_declarations(manifest()).values())
    assert {sink.kind for sink in sinks} == {"database_table", "files"}
    for sink in sinks:
        key = sink_key(sink)
        assert [parent.to_user_string() for parent in graph.get(key).parent_keys] == [f"streams/{sink.stream}"]
        assert [check.name for check in graph.get_check_keys_for_assets({key})] == ["sinks_delivered"]
