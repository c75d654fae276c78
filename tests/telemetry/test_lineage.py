"""Lineage: the events of runs, as a receiver gets them, hold OpenLineage's rules and say what happened."""

import itertools
import json
import os
import uuid
from collections.abc import Iterator
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import dagster as dg
import pytest
from openlineage.client.naming import dataset as naming
from typer.testing import CliRunner

from dagster_lake.cli import app
from dagster_lake.contract.model import contracts
from dagster_lake.definitions import defs, run_lineage
from dagster_lake.lake_resource import LakeResource
from dagster_lake.operations.lineage.datasets import DatasetName, Names
from dagster_lake.operations.lineage.emit import LineageError
from dagster_lake.operations.telemetry.news import Cursor
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.paths import Lake
from tests.telemetry.fake_openlineage import FakeReceiver, fake_openlineage
from tests.telemetry.histories import HOURS, History
from tests.telemetry.openlineage_shape import problems

Event = dict[str, Any]
LONG_AGO = Cursor(datetime(2026, 1, 1, tzinfo=UTC)).write()


@pytest.fixture
def receiver() -> Iterator[FakeReceiver]:
    with fake_openlineage() as receiver:
        yield receiver


def look(instance: dg.DagsterInstance, past: History, url: str, cursor: str | None = LONG_AGO) -> str:
    """The cursor after one look of the sensor, whose events go to ``url``."""
    # OpenLineage's client notes things in the environment.
    with (
        patch.dict(os.environ, {**past.lake.environment, "OPENLINEAGE_URL": url}),
        dg.build_sensor_context(instance, cursor, resources={"lake": LakeResource()}) as context,
    ):
        data = run_lineage.evaluate_tick(context)
    assert data.cursor
    return data.cursor


@pytest.fixture(scope="module")
def events(past: History) -> list[Event]:
    with fake_openlineage() as receiver:
        look(past.instance, past, receiver.url)
        return receiver.events


def of(events: list[Event], job: str, kind: str) -> Event:
    """The one event of that kind of a job."""
    [event] = [one for one in events if one["job"]["name"] == job and one["eventType"] == kind]
    return event


# ---- OpenLineage's rules ---------------------------------------------------------------------------------------------


def test_every_event_is_as_openlineage_s_schemas_say(events: list[Event]) -> None:
    assert len(events) > 20
    assert [found for event in events for found in problems(event)] == []


def test_what_the_schemas_do_not_allow_would_be_told(events: list[Event]) -> None:
    good = of(events, "silver.pageviews", "COMPLETE")
    for path, value, told in (
        (["eventType"], "DONE", "event.eventType: 'DONE' is none of its values"),
        (["run", "facets", "nominalTime", "nominalEnd"], "x", "event.run.facets.nominalTime.nominalEnd: is not in"),
        (["outputs", 0, "outputFacets", "outputStatistics", "rowCount"], "7", "rowCount: '7' is no int"),
        (["outputs", 0, "facets", "schema", "_schemaURL"], "https://else", "schema: is no DatasetFacet"),
        (["job", "name"], None, "event.job.name: None is no str"),
    ):
        bad = deepcopy(good)
        *above, last = path
        place: Any = bad
        for step in above:
            place = place[step]
        place[last] = value
        assert any(told in found for found in problems(bad)), told
    del good["job"]["namespace"]
    assert problems(good) == ["event.job.namespace: is missing"]
    good["job"]["namespace"] = "dagster_lake"


def test_every_run_starts_once_and_ends_once_in_that_order(events: list[Event]) -> None:
    by_run: dict[str, list[Event]] = {}
    for event in events:
        uuid.UUID(event["run"]["runId"])
        by_run.setdefault(event["run"]["runId"], []).append(event)
    for run in by_run.values():
        start, end = run
        assert start["eventType"] == "START"
        assert end["eventType"] in ("COMPLETE", "FAIL", "ABORT")
        assert start["eventTime"] <= end["eventTime"]


# ---- what happened ---------------------------------------------------------------------------------------------------


def test_a_table_s_event_says_what_it_was_made_of_and_what_it_is(events: list[Event], past: History) -> None:
    event = of(events, "silver.pageviews", "COMPLETE")
    folder = past.lake.root / "silver" / "pageviews"
    [output], [read] = event["outputs"], event["inputs"]
    assert (output["namespace"], output["name"]) == ("file", str(folder))
    assert read["name"] == str(past.lake.root / "sensitive" / "bronze" / "pageviews")
    table = pin(past.lake.resource.lake.table("silver", "pageviews"))
    assert table is not None
    assert [field["name"] for field in output["facets"]["schema"]["fields"]] == table.schema.names
    assert output["facets"]["version"]["datasetVersion"] == str(table.version)
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == table.rows()
    assert "size" not in output["outputFacets"]["outputStatistics"]  # the table's bytes are of all its hours


def test_columns_say_which_column_they_come_from_and_which_are_masked(events: list[Event]) -> None:
    fields = of(events, "silver.pageviews", "COMPLETE")["outputs"][0]["facets"]["columnLineage"]["fields"]
    [read] = fields["client_ip"]["inputFields"]
    assert read["field"] == "client_ip"
    assert read["name"].endswith("sensitive/bronze/pageviews")
    assert [one["masking"] for one in read["transformations"]] == [True]
    assert fields["latency"]["inputFields"][0]["transformations"] == []


def test_from_the_event_hub_to_the_stream_each_input_is_an_output_of_another(events: list[Event]) -> None:
    chain = ["sources.pageviews", "raw.pageviews", "bronze.pageviews", "silver.pageviews"]
    for upstream, downstream in itertools.pairwise(chain):
        [made] = of(events, upstream, "COMPLETE")["outputs"]
        read = of(events, downstream, "COMPLETE")["inputs"]
        assert (made["namespace"], made["name"]) in [(one["namespace"], one["name"]) for one in read]
    stream = of(events, "streams.pageviews_by_http_method_5m", "COMPLETE")
    assert [one["name"].split("/")[-1] for one in stream["inputs"]] == ["pageviews"]
    raw = of(events, "raw.pageviews", "COMPLETE")["outputs"][0]["outputFacets"]["outputStatistics"]
    assert raw["size"] > 0
    assert raw["fileCount"] > 0


def test_a_run_is_for_its_lake_hours_and_its_assets_are_parts_of_it(events: list[Event], past: History) -> None:
    run = of(events, "hourly", "COMPLETE")
    assert run["run"]["runId"] == past.good
    times = run["run"]["facets"]["nominalTime"]
    assert times["nominalStartTime"] == f"{HOURS[0]}:00:00+00:00"
    assert times["nominalEndTime"] == "2026-01-01T02:00:00+00:00"
    parent = of(events, "silver.pageviews", "COMPLETE")["run"]["facets"]["parent"]
    assert (parent["run"]["runId"], parent["job"]["name"]) == (past.good, "hourly")


def test_checks_are_told_of_the_data_that_they_read(events: list[Event]) -> None:
    [read] = of(events, "bronze.stars.checks", "COMPLETE")["inputs"]
    [assertion] = read["inputFacets"]["dataQualityAssertions"]["assertions"]
    assert (assertion["assertion"], assertion["success"], assertion["severity"]) == ("row_balance", False, "warn")
    assert assertion["description"] == "one is missing"
    passed = of(events, "silver.pageviews.checks", "COMPLETE")["inputs"][0]["inputFacets"]["dataQualityAssertions"]
    assert {one["assertion"]: one["success"] for one in passed["assertions"]}["row_balance"] is True


def test_a_step_that_failed_says_why_and_one_that_never_began_says_nothing(events: list[Event], past: History) -> None:
    failed = of(events, "silver.stars", "FAIL")
    assert failed["run"]["facets"]["errorMessage"]["message"] == "ValueError: the sky is overcast"
    assert failed["outputs"] == []
    assert of(events, "failing", "FAIL")["run"]["runId"] == past.failed
    assert [event for event in events if event["job"]["name"] == "gold.stars"] == []


def test_a_run_that_was_killed_ends_in_failure_with_the_step_that_it_was_at(events: list[Event], past: History) -> None:
    assert of(events, "killed", "FAIL")["run"]["runId"] == past.killed
    assert of(events, "silver.users", "FAIL")["run"]["facets"]["errorMessage"]["message"] == "its worker is gone"


# ---- sending ---------------------------------------------------------------------------------------------------------


def test_the_same_runs_give_the_very_same_events_again(events: list[Event], past: History) -> None:
    with fake_openlineage() as receiver:
        look(past.instance, past, receiver.url)
        assert receiver.events == events


def test_what_was_sent_is_not_sent_again(past: History, receiver: FakeReceiver) -> None:
    cursor = look(past.instance, past, receiver.url)
    receiver.events.clear()
    look(past.instance, past, receiver.url, cursor)
    assert receiver.events == []


def test_a_receiver_that_does_not_take_an_event_gets_all_of_it_at_the_next_look(
    events: list[Event], past: History, receiver: FakeReceiver
) -> None:
    receiver.refuses = 1
    with pytest.raises(LineageError, match="event 1, of killed, was not taken"):
        look(past.instance, past, receiver.url)
    look(past.instance, past, receiver.url)
    assert receiver.events == events


def test_a_run_that_is_under_way_has_begun_and_nothing_more(past: History, receiver: FakeReceiver) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(dg.GraphDefinition(name="long").to_job())
        instance.report_dagster_event(
            dg.DagsterEvent(dg.DagsterEventType.PIPELINE_START.value, "long", message="it begins"), run.run_id
        )
        cursor = look(instance, past, receiver.url)
        assert [(event["job"]["name"], event["eventType"]) for event in receiver.events] == [("long", "START")]
        receiver.events.clear()
        instance.report_run_canceled(run)
        look(instance, past, receiver.url, cursor)
        assert [event["eventType"] for event in receiver.events] == ["START", "ABORT"]


def test_not_configured_it_sends_nothing_saves_nothing_up_and_says_how(past: History) -> None:
    with dg.build_sensor_context(past.instance, LONG_AGO, resources={"lake": LakeResource()}) as context:
        data = run_lineage.evaluate_tick(context)
    assert "set OPENLINEAGE_URL" in (data.skip_message or "")
    assert data.cursor
    assert Cursor.read(data.cursor) is not None
    assert data.cursor > LONG_AGO


def test_a_key_goes_into_the_header_and_nowhere_else(past: History, receiver: FakeReceiver) -> None:
    with patch.dict(os.environ, {"OPENLINEAGE_API_KEY": "a-key-to-marquez"}):
        look(past.instance, past, receiver.url)
    assert receiver.headers["Authorization"] == "Bearer a-key-to-marquez"
    assert "a-key-to-marquez" not in json.dumps(receiver.events)


# ---- the command -----------------------------------------------------------------------------------------------------


def lake_lineage(past: History, *arguments: str, **environment: str) -> Any:
    home = {"DAGSTER_HOME": past.instance.root_directory, **past.lake.environment, **environment}
    with patch.dict(os.environ, home):
        return CliRunner().invoke(app, ["lineage", *arguments], catch_exceptions=False)


def test_the_command_writes_the_events_of_the_history_into_a_file(
    events: list[Event], past: History, tmp_path: Path
) -> None:
    file = tmp_path / "new" / "lineage.jsonl"
    result = lake_lineage(past, "--to", str(file))
    assert result.exit_code == 0, result.output
    assert f"{len(events)} events written to" in result.output
    assert [json.loads(line) for line in file.read_text().splitlines()] == events
    later = lake_lineage(past, "--to", str(file), "--since", "2999-01-01")
    assert later.output.startswith("0 events")


def test_the_command_sends_where_openlineage_is_told_to(
    events: list[Event], past: History, receiver: FakeReceiver
) -> None:
    assert lake_lineage(past, OPENLINEAGE_URL=receiver.url).output == f"{len(events)} events sent\n"
    assert receiver.events == events


def test_the_command_says_what_to_set_when_nothing_is(past: History) -> None:
    result = lake_lineage(past)
    assert result.exit_code == 1
    assert "set OPENLINEAGE_URL" in result.output


# ---- names -----------------------------------------------------------------------------------------------------------

ADLS = "abfss://lake@shopstore.dfs.core.windows.net"
CONNECTION = "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=lake;SharedAccessKey=verysecret"


def names(**settings: Any) -> Names:
    chosen = Settings(_env_file=None, **settings)
    return Names(Lake.placed(chosen), chosen, contracts())


def client_s(name: naming.DatasetNaming) -> DatasetName:
    """The name that OpenLineage's own client makes."""
    return DatasetName(name.get_namespace(), name.get_name())


@pytest.mark.parametrize(
    ("key", "settings", "wanted"),
    [
        ("silver/users", {"root": ADLS}, naming.ABFSS("lake", "shopstore", "silver/users")),
        ("bronze/users", {"root": f"{ADLS}/dev"}, naming.ABFSS("lake", "shopstore", "dev/sensitive/bronze/users")),
        ("raw/products", {"root": ADLS}, naming.ABFSS("lake", "shopstore", "sensitive/raw/products")),
        ("silver/orders_changes", {"root": "/lake"}, naming.LocalFileSystem("/lake/silver/orders_changes")),
        ("reports/engagement", {"root": "/lake"}, naming.LocalFileSystem("/lake/reports/engagement.html")),
        ("sources/products", {"root": "/lake"}, naming.LocalFileSystem("/lake/landing/products")),
        ("sources/stars", {"root": "/lake"}, naming.LocalFileSystem("/lake/sources/event_hub/stars")),
        (
            "sources/stars",
            {"root": "/lake", "event_hubs": "shop.servicebus.windows.net"},
            naming.Kafka("shop.servicebus.windows.net", "9093", "stars"),
        ),
        (
            "sources/stars",
            {"root": "/lake", "event_hubs_connection": CONNECTION},
            naming.Kafka("shop.servicebus.windows.net", "9093", "stars"),
        ),
        (
            "sources/orders",
            {"root": "/lake", "database_url": "postgresql://me:verysecret@db.example/shop"},
            naming.Postgres("db.example", "5432", "shop", "public", "orders"),
        ),
        ("sinks/files/slow", {"root": ADLS}, naming.ABFSS("lake", "shopstore", "drops/slow")),
        (
            "sinks/event_hub/slow",
            {"root": "/lake", "event_hubs": "shop.servicebus.windows.net"},
            naming.Kafka("shop.servicebus.windows.net", "9093", "slow"),
        ),
        (
            "sinks/database_table/slow",
            {"root": ADLS, "sink_database_url": "postgresql://me:verysecret@db.example/shop"},
            naming.Postgres("db.example", "5432", "shop", "public", "slow"),
        ),
    ],
)
def test_data_has_the_name_that_openlineage_s_rules_give_it(
    key: str, settings: dict[str, Any], wanted: naming.DatasetNaming
) -> None:
    found = names(**settings).of(dg.AssetKey(key.split("/")))
    assert found == client_s(wanted)
    assert "verysecret" not in str(found)


def test_a_table_in_sqlite_is_named_by_its_file() -> None:
    assert names(root="/lake").of(dg.AssetKey(["sources", "orders"])) == DatasetName(
        "sqlite", "/lake/sources/shop.db/orders"
    )
    assert names(root="/lake").of(dg.AssetKey(["sinks", "database_table", "slow"])) == DatasetName(
        "sqlite", "/lake/sinks/tables.db/slow"
    )


def test_in_unity_catalog_a_table_has_its_second_name() -> None:
    own = names(root="/lake", catalog="shop_dev")
    found = [
        own.in_catalog(dg.AssetKey(key)) for key in (["gold", "engagements"], ["bronze", "users"], ["raw", "users"])
    ]
    assert found == ["shop_dev.gold.engagements", "shop_dev.sensitive.bronze_users", None]


def test_every_asset_of_the_lake_has_a_name_of_its_own() -> None:
    own = names(root="/lake")
    keys = defs.resolve_asset_graph().materializable_asset_keys
    assert len({own.of(key) for key in keys}) == len(keys)
