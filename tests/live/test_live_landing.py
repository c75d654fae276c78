"""Which hours a process lands, from the first that is not finished to the open one, and what it says of them."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from dagster_lake.cli.removal import lake_contents
from dagster_lake.contract import Contract, EventHubSource, contracts
from dagster_lake.lake_hour import HOUR, hour_key, hour_of
from dagster_lake.landing.land import partitions
from dagster_lake.landing.result import LandingError
from dagster_lake.live.finished import MOST_HOURS, finished_hours, hours_to_do, note_finished
from dagster_lake.live.landing import LiveLanding
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


def test_an_hour_of_which_events_expired_before_they_landed_is_told_and_not_passed_over(world: EventWorld) -> None:
    world.send([Event("a", 1_000)])
    world.hub.expire("pageviews", world.now)
    with pytest.raises(LandingError, match="may have expired before they were landed"):
        landing(world, "pageviews").land()
    assert hour_key(OPEN) not in partitions(world.lake, EVENTS["pageviews"])


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
