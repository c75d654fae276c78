"""In ``lake stream``, what is wrong with one data set or one stream is told, and stops no other."""

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dagster_lake.cli.stream.status_line import ended
from dagster_lake.contract.model import contracts
from dagster_lake.engines.step import Step, StepResult
from dagster_lake.lake_hour import HOUR, hour_of
from dagster_lake.live import tables
from dagster_lake.live.finished import finished_hours
from dagster_lake.live.landing import LiveLanding
from dagster_lake.live.loop import Live
from dagster_lake.live.plan import Plan
from dagster_lake.operations.failures.of_data import expired_events
from dagster_lake.storage.unfinished import unfinished
from dagster_lake.streams.sinks.files import FileSink
from dagster_lake.streams.sinks.sink import Sink
from tests.lake.lakes import content_of
from tests.live.conftest import Still
from tests.live.event_worlds import START, Event, EventWorld

EVENTS = {name: contracts()[name] for name in ("pageviews", "stars")}


@pytest.fixture
def world(tmp_path: Path, still: Still) -> EventWorld:
    world = still(EventWorld(tmp_path))
    world.send([Event("a", 1_000), Event("b", 2_000, stars=5)])
    return world


def streamed(world: EventWorld, engine: Any, sinks: Sequence[Sink] = ()) -> tuple[Live, list[str]]:
    """One look of ``lake stream``, with streams that are not made here."""
    said: list[str] = []
    resource: Any = SimpleNamespace(lake=world.lake, settings=world.settings, engine=engine)
    landing = LiveLanding(world.lake, EVENTS.values(), world.sources)
    live = Live(resource, Plan(EVENTS, [], {}, 0.0, "test", sinks), landing, said.append, lambda hours: None)
    live.run(threading.Event(), 1.0, 0.0, lambda status: None)
    return live, said


def test_a_table_that_is_locked_or_damaged_stops_no_other_data_set(
    world: EventWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "build", lambda *_: iter(()))

    class Troubled:
        def run(self, step: Step) -> StepResult:
            if step.data_set == "pageviews" and step.layer == "silver":
                raise OSError("silver/pageviews is locked")
            return world.engine.run(step)

    live, said = streamed(world, Troubled())
    assert said == ["tables of pageviews: OSError: silver/pageviews is locked"]
    assert len(content_of(Path(str(world.lake.root)) / "silver" / "stars")) == 1
    assert finished_hours(world.lake) == {"stars": hour_of(START) - HOUR}
    assert live.status.behind
    assert "pageviews" in {what for of_hour in unfinished(world.lake).values() for what in of_hour}
    live, said = streamed(world, world.engine)
    assert (said, live.status.failures, live.status.behind) == ([], {}, False)
    assert finished_hours(world.lake) == dict.fromkeys(EVENTS, hour_of(START) - HOUR)


def test_a_stream_that_fails_leaves_its_hours_unfinished_and_the_tables_before_it_made(
    world: EventWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> Iterator[object]:
        raise RuntimeError("streams.sessions failed")
        yield

    monkeypatch.setattr(tables, "build", failing)
    live, said = streamed(world, world.engine)
    assert said == ["tables: RuntimeError: streams.sessions failed"]
    assert len(content_of(Path(str(world.lake.root)) / "silver" / "pageviews")) == 1
    assert finished_hours(world.lake) == {}
    assert live.status.behind


def test_events_that_expired_are_told_to_the_owner_once(world: EventWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "build", lambda *_: iter(()))
    streamed(world, world.engine)
    world.now += 30 * HOUR
    world.hub.expire("stars", world.now - 24 * HOUR)
    _, said = streamed(world, world.engine)
    [told] = [line for line in said if line.startswith("alert:")]
    assert "events of stars may have expired in the hub" in told
    _, said = streamed(world, world.engine)
    assert said == []
    assert [failure.data_sets for failure in expired_events(world.lake)] == [("stars",)]


def test_a_sink_that_is_away_is_said_once_stops_nothing_and_gets_its_rows_later(
    world: EventWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = Sink("high_latency_alerts", ("event_id",), "files", "slow", "jsonl")
    world.send([Event("c", 3_000, latency=2_500)])
    away = OSError("the disk is full")
    with monkeypatch.context() as patched:
        patched.setattr(FileSink, "_write", lambda *_: (_ for _ in ()).throw(away))
        live, said = streamed(world, world.engine, [sink])
    assert said == [f"{sink.who}: OSError: the disk is full"]
    assert (live.status.sinks_waiting, live.status.behind) == (1, False)
    assert ended(live.status).endswith("1 sinks lack rows: lake status.")
    live, _ = streamed(world, world.engine, [sink])
    assert (live.status.failures, live.status.sinks_waiting) == ({}, 0)
    [file] = (Path(str(world.lake.root)) / "drops" / "slow").glob("*.jsonl")
    assert [json.loads(line)["event_id"] for line in file.read_text().splitlines()] == ["c"]
