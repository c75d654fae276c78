"""Which hours a process lands, from the first that is not finished to the open one, and what it says of them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from upath import UPath

from dagster_lake import clock
from dagster_lake.cli.reset.local import lake_contents
from dagster_lake.contract.model import Contract, EventHubSource, contracts
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, hour_of
from dagster_lake.landing.expired import expired_hours
from dagster_lake.landing.land import land_hours, manifests
from dagster_lake.landing.result import Landed, LandingError
from dagster_lake.live.finished import MOST_HOURS, finished_hours, hours_to_do, note_finished
from dagster_lake.live.landing import LiveLanding
from dagster_lake.storage.manifest import Manifest, read_manifest
from dagster_lake.storage.paths import Lake
from tests.azure.captured import Captured, capture
from tests.lake.crashing import dying_at, points_of
from tests.live.conftest import Still
from tests.live.event_worlds import START, Event, EventWorld

EVENTS = {name: contracts()[name] for name in ("pageviews", "stars")}
OPEN = hour_of(START)
MINUTE = 60_000


@pytest.fixture
def world(tmp_path: Path, still: Still) -> EventWorld:
    world = still(EventWorld(tmp_path))
    world.send([])
    return world


def landing(world: EventWorld, *names: str) -> LiveLanding:
    chosen: list[Contract] = [EVENTS[name] for name in names or EVENTS]
    return LiveLanding(world.lake, chosen, world.sources)


def manifest_of(world: EventWorld, name: str, hour: str) -> Manifest:
    return manifests(world.lake, EVENTS[name], [hour])[0]


def test_only_what_is_new_counts_and_only_hours_that_changed_are_named(world: EventWorld) -> None:
    live = landing(world)
    world.send([Event("a", 1_000), Event("b", 2_000, stars=5)])
    first = live.land()
    assert first.rows == {"pageviews": 1, "stars": 1}
    assert first.changed["pageviews"] == [hour_key(OPEN - HOUR), hour_key(OPEN)]
    assert first.complete["pageviews"] == [hour_key(OPEN - HOUR)]
    again = live.land()
    assert (again.rows, again.changed, again.complete) == ({"pageviews": 0, "stars": 0}, {}, {})
    world.send([Event("c", 3_000)])
    assert live.land().changed == {"pageviews": [hour_key(OPEN)]}


def test_an_hour_that_ends_is_landed_until_it_is_complete_and_then_no_more(world: EventWorld) -> None:
    live = landing(world, "pageviews")
    live.land()
    world.now = OPEN + HOUR
    assert live.land().complete == {}, "an event stamped at the very end may still come"
    world.send([Event("edge", 4 * MINUTE)])
    world.now += timedelta(milliseconds=1)
    closing = live.land()
    assert (closing.rows, closing.complete) == ({"pageviews": 1}, {"pageviews": [hour_key(OPEN)]})
    assert live.land().hours == {"pageviews": [hour_key(OPEN + HOUR)]}


def test_hours_that_passed_while_nobody_looked_are_landed_one_by_one(world: EventWorld) -> None:
    live = landing(world, "pageviews")
    live.land()
    note_finished(world.lake, {"pageviews": OPEN - HOUR})
    world.send([Event("late", 100 * MINUTE)])
    world.now += 2 * HOUR
    found = landing(world, "pageviews").land()
    assert found.hours["pageviews"] == [hour_key(OPEN + n * HOUR) for n in range(5)]
    assert found.complete["pageviews"] == [hour_key(OPEN + n * HOUR) for n in range(4)]


def test_events_that_another_process_landed_are_not_counted_but_their_hour_is_made_again(world: EventWorld) -> None:
    world.send([Event("a", 1_000)])
    world.land(hour_key(OPEN))
    found = landing(world, "pageviews").land()
    assert found.rows == {"pageviews": 0}
    assert hour_key(OPEN) in found.changed["pageviews"]


def test_a_hub_that_is_not_there_fails_alone_and_is_tried_again(tmp_path: Path, still: Still) -> None:
    world = still(EventWorld(tmp_path))
    live = landing(world)
    found = live.land()
    assert set(found.failures) == {"pageviews", "stars"}
    assert "does not exist" in found.failures["stars"]
    world.send([Event("a", 1_000)])
    assert live.land().rows == {"pageviews": 1, "stars": 0}


def test_hours_of_which_events_expired_before_they_landed_are_told_marked_and_passed_over(world: EventWorld) -> None:
    note_finished(world.lake, {"pageviews": OPEN - HOUR, "stars": OPEN - HOUR})
    world.send([Event("lost", 1_000)])
    world.now += 31 * HOUR
    world.hub.expire("pageviews", world.now - 24 * HOUR)
    world.send([Event("here", 31 * 60 * MINUTE), Event("rated", 31 * 60 * MINUTE, stars=5)])
    live = landing(world)
    found = live.land()
    assert found.rows == {"pageviews": 1, "stars": 1}, "the present goes on, and so do other data sets"
    assert "2026-01-05T12" in found.failures["pageviews"]
    assert "2026-01-05T19" in found.failures["pageviews"]
    assert "6 more" in found.failures["pageviews"]
    assert "stars" not in found.failures
    assert found.complete["pageviews"] == [hour_key(OPEN + n * HOUR) for n in range(31)]
    marked = {hour: manifest_of(world, "pageviews", hour) for hour in found.complete["pageviews"]}
    assert [hour for hour, m in marked.items() if not m.complete] == [hour_key(OPEN + n * HOUR) for n in range(8)]
    assert found.settled == {"pageviews": world.hub.settled_until("pageviews"), "stars": found.settled["stars"]}
    again = live.land()
    assert (again.failures, again.changed) == ({}, {})


def test_hours_that_are_complete_are_not_read_again_to_find_those_that_expired(
    world: EventWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_finished(world.lake, {"pageviews": OPEN - 3 * HOUR})
    world.send([Event("here", 1_000)])
    live, read, pageviews = landing(world, "pageviews"), [], contracts()["pageviews"]
    live.land()

    def noted(folder: UPath) -> Manifest | None:
        read.append(folder.name)
        return read_manifest(folder)

    monkeypatch.setattr("dagster_lake.landing.expired.read_manifest", noted)
    assert expired_hours(pageviews, world.lake, 2) == []
    assert read == [hour_key(OPEN - n * HOUR) for n in (2, 1, 0)]
    world.now += 2 * HOUR
    world.hub.expire("pageviews", world.now - timedelta(minutes=1))
    live.land()
    read.clear()
    assert expired_hours(pageviews, world.lake, 4) == [hour_key(OPEN), hour_key(OPEN + HOUR)]
    assert hour_key(OPEN - 2 * HOUR) not in read


def test_an_hour_that_was_landed_while_it_was_open_has_lost_nothing_when_the_hub_forgets_that_part(
    world: EventWorld,
) -> None:
    live = landing(world, "pageviews")
    world.send([Event("a", 1_000), Event("b", 3 * MINUTE)])
    live.land()
    world.hub.expire("pageviews", OPEN + timedelta(minutes=58))
    world.now = OPEN + HOUR + timedelta(seconds=1)
    assert live.land().failures == {}
    assert manifest_of(world, "pageviews", hour_key(OPEN)).complete


@pytest.mark.parametrize("trouble", [OSError("the disk says no"), LandingError("another zone"), ValueError("damaged")])
def test_trouble_with_one_hour_stops_neither_later_hours_nor_other_data_sets(
    world: EventWorld, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    world.send([Event("a", 1_000), Event("b", 2_000, stars=5)])

    def troubled(contract: Contract, lake: Lake, hours: HourRange, *more: Any) -> list[Landed]:
        if contract.name == "pageviews" and hours.first == OPEN - HOUR:
            raise trouble
        return land_hours(contract, lake, hours, *more)

    live = landing(world)
    monkeypatch.setattr("dagster_lake.live.landing.land_hours", troubled)
    found = live.land()
    assert found.rows == {"pageviews": 1, "stars": 1}
    assert str(trouble) in found.failures["pageviews"]
    assert hour_key(OPEN - HOUR) in found.failures["pageviews"]
    assert found.hours["pageviews"] == [hour_key(OPEN)], "what failed is not judged early"
    monkeypatch.undo()
    monkeypatch.setattr(clock, "utc_now", lambda: world.now)
    assert live.land().complete["pageviews"] == [hour_key(OPEN - HOUR)], "it is tried again"


def test_an_hour_of_which_capture_left_events_out_is_told_and_held_and_later_hours_are_landed(
    world: EventWorld,
) -> None:
    captured = replace(EVENTS["pageviews"], source=EventHubSource("pageviews", "captured"))
    folder = Path(str(world.lake.root)) / "landing" / "captured" / "pageviews"
    every = timedelta(minutes=20, seconds=1)
    written = [capture(folder, 0, OPEN + n * every, [Captured(n, OPEN + n * every)]) for n in range(1, 7)]
    held_up = written[1].read_bytes()
    written[1].unlink()
    note_finished(world.lake, {"pageviews": OPEN - HOUR})
    world.now = OPEN + 3 * HOUR
    live = LiveLanding(world.lake, [captured], world.sources)
    found = live.land()
    assert "1 of partition 0 (2 to 2)" in found.failures["pageviews"]
    assert found.rows == {"pageviews": 5}
    assert found.complete == {}, "hours are finished in order"
    written[1].write_bytes(held_up)
    found = live.land()
    assert found.failures == {}
    assert found.complete["pageviews"] == [hour_key(OPEN), hour_key(OPEN + HOUR)]


def test_at_first_the_hour_before_is_done_and_an_outage_of_more_than_two_days_is_the_hourly_runs() -> None:
    assert hours_to_do(None, START).keys == [hour_key(OPEN - HOUR), hour_key(OPEN)]
    assert hours_to_do(OPEN - HOUR, START).keys == [hour_key(OPEN)]
    assert hours_to_do(OPEN - 1000 * HOUR, START).first == OPEN - MOST_HOURS * HOUR
    assert hours_to_do(OPEN + HOUR, START).keys == [hour_key(OPEN)], "a clock that went back"


def test_finished_hours_only_move_on_and_survive_a_death(world: EventWorld) -> None:
    note_finished(world.lake, {"pageviews": OPEN, "stars": OPEN})
    assert points_of(lambda: note_finished(world.lake, {"pageviews": OPEN - HOUR})) == []
    with dying_at("live.finished:before"):
        note_finished(world.lake, {"pageviews": OPEN + HOUR})
    assert finished_hours(world.lake) == {"pageviews": OPEN, "stars": OPEN}
    note_finished(world.lake, {"pageviews": OPEN + HOUR})
    assert finished_hours(world.lake) == {"pageviews": OPEN + HOUR, "stars": OPEN}
    assert lake_contents(str(world.lake.root)).foreign == (), "lake reset takes it along"
