"""Stream Analytics' queries, run as the documentation says they mean, give what the streams must hold."""

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from dagster_lake.dbt_runner.manifest import manifest
from dagster_lake.lake_hour import hour_of
from dagster_lake.settings.lake import PROJECT_ROOT
from dagster_lake.streams.declarations import StreamDeclaration, stream_declarations
from tests.lake.stream_world import DETAILS, Row, StreamWorld, instant, ordered, timed
from tests.lake.test_streams import random_world, unlike
from tests.temporal.duck import ASK, BASE, INSTANT, SECOND, rows, table
from tests.unit.asaql import QueryError, read_output
from tests.unit.asaql_duckdb import results
from tests.unit.stream_twins import query_problems

DECLARED = stream_declarations(manifest())
TEXTS = {file.stem: file.read_text() for file in (PROJECT_ROOT / "infra/bicep/stream_analytics").glob("*.asaql")}
SEEDS = range(3)


@pytest.fixture(scope="module", params=SEEDS)
def world(request: pytest.FixtureRequest) -> StreamWorld:
    """A random world with one list of users and of VIPs: Stream Analytics looks up by its own clock."""
    made = random_world(request.param)
    first = min(made.users)
    made.users, made.vip_users = {first: made.users[first]}, {first: made.vip_users[first]}
    return made


@pytest.fixture(scope="module")
def con(world: StreamWorld) -> duckdb.DuckDBPyConnection:
    """The job's inputs: events as they arrive, some twice and some against their contract."""
    made = duckdb.connect()
    made.execute("SET TimeZone = 'UTC'")
    for name in ("pageviews", "stars"):
        rows = [as_arrived(event, place) for place, event in enumerate(timed(getattr(world, name)))]
        again = [
            {**row, "stamp": row["stamp"] + timedelta(seconds=1), "place": row["place"] + 100_000} for row in rows[::7]
        ]
        wrong = [{**row, **broken} for row, broken in zip(rows, BROKEN[name], strict=False)]
        made.register(f"{name}_arrived", pa.Table.from_pylist(rows + again + wrong))
        made.execute(f"CREATE TABLE {name} AS FROM {name}_arrived")
    for name, snapshots in (("users", world.users), ("vip_users", world.vip_users)):
        [rows] = snapshots.values()
        whole = {"name": "x", "birth_number": "x", "user_name": "x"}
        complete = [{"id": row["id"], **{d: row.get(d, whole.get(d)) for d in DETAILS}} for row in rows]
        schema = pa.schema([("id", pa.int64()), *((detail, pa.string()) for detail in DETAILS)])
        made.register(f"{name}_known", pa.Table.from_pylist(complete, schema=schema))
        made.execute(f"CREATE TABLE {name} AS FROM {name}_known")
    return made


BROKEN: dict[str, list[Row]] = {
    "pageviews": [
        {"event_id": "slow", "latency": 60_001},
        {"event_id": "quick", "latency": -1},
        {"event_id": "strange", "http_method": "BREW"},
        {"event_id": "nobody", "user_id": None},
        {"event_id": None},
        {"event_id": "nowhere", "uri": None},
    ],
    "stars": [
        {"event_id": "none", "stars": 0},
        {"event_id": "six", "stars": 6},
        {"event_id": "nobody", "user_id": None},
    ],
}


def as_arrived(event: Row, place: int) -> Row:
    fields = ("event_id", "user_id", "http_method", "uri", "latency", "stars", "client_ip", "event_time")
    return {name: event[name] for name in fields if name in event} | {"stamp": instant(event["_time"]), "place": place}


@pytest.mark.parametrize("stream", DECLARED.values(), ids=DECLARED)
def test_a_query_gives_what_the_stream_must_hold(
    stream: StreamDeclaration, world: StreamWorld, con: duckdb.DuckDBPyConnection
) -> None:
    found = results(con, TEXTS["steps"], TEXTS[stream.name])
    assert found.column_names == stream.delivered
    until = hour_of(max(row["_enqueued_time"] for row in world.pageviews + world.stars)) + timedelta(hours=1)
    rows: list[dict[str, Any]] = [row for row in found.to_pylist() if row["_time"] <= until]
    wanted = [{name: row[name] for name in stream.delivered} for row in world.streams()[stream.name]]
    assert unlike({stream.name: ordered(rows)}, {stream.name: ordered(wanted)}) == {}


def test_these_worlds_have_rows_for_every_query() -> None:
    found = [random_world(seed).streams() for seed in SEEDS]
    assert all(any(streams[name] for streams in found) for name in DECLARED)


STEPS_OF_DEVICES = """
WITH readings AS (
    SELECT device, event_time, parts, System.Timestamp() AS shown_at
    FROM devices TIMESTAMP BY event_time OVER device
)
"""


def test_queries_with_substreams_collect_top_and_apply_mean_what_the_macros_mean() -> None:
    """One of two clocks is four minutes fast; the arrays hold two elements, one, none."""
    seen = [("fast", 0, 240, [7, 8]), ("true", 1, 0, [5]), ("fast", 2, 1, []), ("true", 3, 2, None)]
    columns = {"device": pa.string(), "parts": pa.list_(pa.int64()), "event_time": INSTANT, "_enqueued_time": INSTANT}
    columns |= {"_partition": pa.string(), "_sequence_number": pa.int64(), "_lake_hour": pa.string()}
    values = [
        (device, parts, BASE + event * SECOND, BASE + arrival * SECOND, "0", number, "x")
        for number, (device, arrival, event, parts) in enumerate(seen)
    ]
    devices = table(columns, values)
    made = duckdb.connect()
    made.execute("SET TimeZone = 'UTC'")
    made.register("silver", devices)
    made.execute("CREATE TABLE devices AS SELECT *, _enqueued_time AS stamp, _sequence_number AS place FROM silver")
    stream = f"(select * from {ASK.stream('devices', over=['device'])})"

    taken = results(
        made,
        STEPS_OF_DEVICES,
        "SELECT device, CollectTop(2) OVER (ORDER BY shown_at DESC) AS newest, System.Timestamp() AS _time "
        "INTO newest FROM readings GROUP BY device, TumblingWindow(minute, 5);",
    )
    end, newest = ASK.tumbling_end("_time", 300_000), ASK.collect_top(2, "_time", [f"{ASK.micros_of('_time')} desc"])
    wanted = rows(f"select device, {newest}, {end} from {stream} group by device, {end}", devices=devices)
    found = [
        (row["device"], [{"rank": t["rank"], "value": t["value"]["shown_at"]} for t in row["newest"]], row["_time"])
        for row in taken.to_pylist()
    ]
    assert sorted(found, key=repr) == sorted(wanted, key=repr)

    for kind, macro in (("CROSS", ASK.cross_apply), ("OUTER", ASK.outer_apply)):
        applied = results(
            made,
            STEPS_OF_DEVICES,
            "SELECT device, part.ArrayIndex AS i, part.ArrayValue AS v, System.Timestamp() AS _time "
            f"INTO parts FROM readings {kind} APPLY GetArrayElements(parts) AS part;",
        )
        elements = f"select device, array_index, array_value, _time from {macro(stream, 'parts')} as p"
        found = [tuple(row.values()) for row in applied.to_pylist()]
        assert len(found) == (3 if kind == "CROSS" else 5)
        assert Counter(found) == Counter(rows(elements, devices=devices))


STEPS_OF_READINGS = """
WITH readings AS (
    SELECT device, value, parts, System.Timestamp() AS shown_at FROM devices TIMESTAMP BY event_time
), judged AS (
    SELECT device, parts,
        AnomalyDetection_SpikeAndDip(CAST(value AS float), 90, 20, 'dips')
            OVER (PARTITION BY device LIMIT DURATION(second, 50)) AS dip,
        AnomalyDetection_ChangePoint(value, 60, 20) OVER (LIMIT DURATION(minute, 9) WHEN value < 300) AS change
    FROM readings
)
"""


def test_queries_of_anomalies_and_elements_mean_what_the_macros_mean() -> None:
    """Two devices, one of which stays at other values from its fortieth on, with gaps, a spike and a dip."""
    columns = {"device": pa.string(), "value": pa.int64(), "parts": pa.list_(pa.int64()), "event_time": INSTANT}
    columns |= {"_enqueued_time": INSTANT, "_partition": pa.string(), "_sequence_number": pa.int64()}
    columns |= {"_lake_hour": pa.string()}
    odd: dict[int, int | None] = {25: 900, 31: 2, 33: None, 60: 0}
    values = [
        ("ab"[n % 2], odd.get(n, 100 + n * 37 % 20 + (100 if n > 80 else 0)), [n, 7][: n % 3], at, at, "0", n, "x")
        for n in range(100)
        for at in [BASE + n * SECOND]
    ]
    devices = table(columns, values)
    made = duckdb.connect()
    made.execute("SET TimeZone = 'UTC'")
    made.register("silver", devices)
    made.execute("CREATE TABLE devices AS SELECT *, _enqueued_time AS stamp, _sequence_number AS place FROM silver")

    found = results(
        made,
        STEPS_OF_READINGS,
        "SELECT device, GetRecordPropertyValue(dip, 'Score') AS dip_score, dip.IsAnomaly AS is_dip, "
        "change.IsAnomaly AS is_change, GetArrayElement(parts, 1) AS part, System.Timestamp() AS _time "
        "INTO verdicts FROM judged;",
    )
    dips = ASK.spikes_and_dips(ASK.stream("devices"), "value", "_time", 50_000, 20, 90, ["device"], mode="dips")
    renamed = f"(select * rename (score as dip_score, is_anomaly as is_dip) from {dips})"
    changes = ASK.change_points(renamed, "value", "_time", 540_000, 20, 60, when="value < 300")
    wanted = rows(
        f"select device, dip_score, is_dip, is_anomaly, {ASK.element_at('parts', 1)}, _time from {changes} as c",
        devices=devices,
    )

    def told(rows: Iterable[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        return sorted(((d, None if s is None else round(s, 5), *rest) for d, s, *rest in rows), key=lambda row: row[-1])

    assert told(tuple(row.values()) for row in found.to_pylist()) == told(wanted)
    assert {row[2] for row in wanted} == {row[3] for row in wanted} == {0, 1}


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("FROM x OUTER APPLY GetRecordProperties(r) AS y", "only CROSS or OUTER APPLY GetArrayElements"),
        ("FROM x TIMESTAMP BY t OVER", "not a source"),
    ],
)
def test_an_apply_or_over_that_the_reader_does_not_know_is_refused(written: str, told: str) -> None:
    with pytest.raises(QueryError, match=told):
        read_output(f"SELECT a INTO b {written};")


def test_a_query_of_substreams_that_says_other_keys_than_the_declaration_is_told() -> None:
    stream = DECLARED["vip_pageviews"].model_copy(update={"substreams": ["user_id"]})
    over = {n: TEXTS["steps"].replace("BY event_time", f"BY event_time OVER {n}") for n in ("user_id", "uri")}
    assert query_problems(stream, over["user_id"], TEXTS["vip_pageviews"]) == []
    assert any("OVER ['uri']" in told for told in query_problems(stream, over["uri"], TEXTS["vip_pageviews"]))
    assert any("OVER []" in told for told in query_problems(stream, TEXTS["steps"], TEXTS["vip_pageviews"]))


def test_the_reader_knows_the_functions_of_anomalies() -> None:
    asked = "AnomalyDetection_SpikeAndDip(latency, 95, 120, 'spikes') OVER (PARTITION BY uri LIMIT DURATION(minute, 9))"
    query = read_output(f"SELECT uri, {asked} AS found INTO spikes FROM unique_pageviews;")
    assert query.columns["found"] == asked.replace("OVER (", "OVER(")
