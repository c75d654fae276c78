"""Alerts judged as events land are the rows that the table holds later, all of them and no others."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_lake.contract.model import contracts
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, hour_of
from dagster_lake.live.early import EarlyAlerts
from dagster_lake.live.plan import Plan, plan
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.duckdb.scan import scan_sql
from dagster_lake.storage.tables import silver_table
from tests.depth import examples
from tests.live.conftest import Still
from tests.live.event_worlds import START, Event, EventWorld, story

Row = dict[str, Any]
PAGEVIEWS = contracts()["pageviews"]
FIRST = hour_of(START)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    world = EventWorld(tmp_path_factory.mktemp("plan"))
    return plan(world.lake, world.settings, [])


@pytest.fixture
def ending() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


class Judged:
    """A world whose events are judged while they land, and the rows found."""

    def __init__(self, world: EventWorld, wanted: Plan, ending: ExitStack) -> None:
        self.world, self.wanted, self.ending = world, wanted, ending
        self.begin()

    def begin(self) -> None:
        """A process begins: it judges the unfinished hours from their start."""
        self.ending.close()
        self.rows: list[Row] = []
        self.early = EarlyAlerts(self.world.lake, self.world.settings, PAGEVIEWS, self.wanted.early["pageviews"], FIRST)
        self.ending.callback(self.early.close)

    def judge(self) -> None:
        settled = self.world.hub.settled_until("pageviews")
        self.world.land()
        hours = HourRange(FIRST, hour_of(self.world.now)).keys
        for found in self.early.judge(hours, settled).values():
            self.rows += found.drop_columns("_enqueued_time").to_pylist()


def in_table(world: EventWorld, wanted: Plan) -> list[Row]:
    """The rows that the model gives of the whole of silver."""
    world.silver()
    (sql,) = wanted.early["pageviews"].models.values()
    silver = pin(silver_table(world.lake, PAGEVIEWS).uri)
    assert silver is not None
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'; CREATE SCHEMA silver")
        con.execute(f"CREATE VIEW silver.pageviews AS {scan_sql(silver)}")
        return con.sql(sql).to_arrow_table().to_pylist()


def ordered(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=repr)


@given(data=st.data())
@settings(max_examples=examples(5, 10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_in_micro_batches_of_any_size_alerts_are_the_rows_of_the_table(
    tmp_path_factory: pytest.TempPathFactory, still: Still, wanted: Plan, ending: ExitStack, data: st.DataObject
) -> None:
    events = data.draw(story(most=25))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(events)), max_size=4)))
    restart = data.draw(st.sampled_from([None, *cuts]))
    world = still(EventWorld(tmp_path_factory.mktemp("early")))
    judged = Judged(world, wanted, ending)
    for start, stop in zip([0, *cuts], [*cuts, len(events)], strict=True):
        world.send(events[start:stop])
        judged.judge()
        if stop == restart:
            judged.begin()
    world.now += timedelta(milliseconds=1)
    judged.judge()
    assert ordered(judged.rows) == ordered(in_table(world, wanted))


def test_a_row_that_only_looks_like_a_duplicate_because_its_first_copy_was_invalid_is_an_alert(
    tmp_path: Path, still: Still, wanted: Plan, ending: ExitStack
) -> None:
    world = still(EventWorld(tmp_path))
    judged = Judged(world, wanted, ending)
    for number, latency in enumerate([70_000, 3_000, 4_000]):
        world.send([Event("a", 1_000 * (number + 1), latency=latency)])
        judged.judge()
    world.now += timedelta(seconds=1)
    judged.judge()
    assert [row["latency"] for row in judged.rows] == [3_000]
    assert judged.rows == in_table(world, wanted)


def test_a_copy_of_an_event_of_a_finished_hour_is_no_alert(
    tmp_path: Path, still: Still, wanted: Plan, ending: ExitStack
) -> None:
    world = still(EventWorld(tmp_path))
    world.send([Event("a", -3_600_000, latency=100)])
    world.now = START
    world.land(hour_key(FIRST - HOUR))
    world.silver(hour_key(FIRST - HOUR))
    judged = Judged(world, wanted, ending)
    world.send([Event("a", 1_000, latency=3_000), Event("b", 2_000, latency=3_000)])
    world.now += timedelta(seconds=1)
    judged.judge()
    assert [row["event_id"] for row in judged.rows] == ["b"]


def test_the_last_events_of_the_finished_hour_set_the_watermark(
    tmp_path: Path, still: Still, wanted: Plan, ending: ExitStack
) -> None:
    before = (FIRST - START) // timedelta(milliseconds=1)
    world = still(EventWorld(tmp_path))
    world.now = FIRST
    ahead = [Event("ahead", before - 1_000, delay=-200_000), Event("told", before - 500, latency=3_000)]
    world.send(ahead)
    world.land(hour_key(FIRST - HOUR))
    world.silver(hour_key(FIRST - HOUR))
    judged = Judged(world, wanted, ending)
    world.send([Event("late", before + 1_000, delay=0, latency=3_000)])
    world.now += timedelta(seconds=1)
    judged.judge()
    (row,) = judged.rows
    assert row["event_id"] == "late", "the one before was judged with its own hour"
    assert row["_time"] == ahead[0].arrives + timedelta(seconds=200 - 50)
    world.now = START
    assert row in in_table(world, wanted)


def test_events_wait_until_nothing_can_come_before_them(
    tmp_path: Path, still: Still, wanted: Plan, ending: ExitStack
) -> None:
    world = still(EventWorld(tmp_path))
    judged = Judged(world, wanted, ending)
    world.send([Event("a", 1_000, latency=3_000)])
    judged.judge()
    assert judged.rows == []
    world.send([Event("b", 1_000, latency=3_000)])  # in the same millisecond
    world.now += timedelta(milliseconds=1)
    judged.judge()
    assert sorted(row["event_id"] for row in judged.rows) == ["a", "b"]
