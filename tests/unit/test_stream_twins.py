"""Stream Analytics' queries, run as the documentation says they mean, give what the streams must hold."""

from datetime import timedelta
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from dagster_lake.lake_hour import hour_of
from dagster_lake.resources.dbt import manifest
from dagster_lake.settings import PROJECT_ROOT
from dagster_lake.stream_declarations import StreamDeclaration, stream_declarations
from tests.lake.stream_world import DETAILS, Row, StreamWorld, instant, ordered, timed
from tests.lake.test_streams import random_world, unlike
from tests.unit.asaql_duckdb import results

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
