"""In whatever order hours are landed and made, alone or together, late or again: silver is the same."""

from pathlib import Path

import pytest

from dagster_lake.lake_hour import HOUR, HourRange, hour_key
from tests.lake.resent_worlds import FIRST, Sent, World

NOON, ONE = hour_key(FIRST), hour_key(FIRST + HOUR)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_an_event_sent_again_in_the_next_hour_counts_once_though_that_hour_was_made_first(world: World) -> None:
    world.send(Sent("a", hours=0, stars=5), Sent("a", hours=1, stars=5), Sent("b", hours=1))
    world.make(ONE)
    assert world.silver() == {ONE: ["a", "b"]}

    made = world.make(NOON)

    assert world.silver() == {NOON: ["a"], ONE: ["b"]}
    assert made.rewritten == (ONE,)
    assert made.counts[ONE].duplicates == 1
    assert all(counts.balanced for counts in made.counts.values())


def test_an_hour_made_again_with_nothing_new_makes_no_later_hour_again(world: World) -> None:
    world.send(Sent("a", hours=0), Sent("a", hours=1), Sent("b", hours=1))
    world.make(ONE)
    world.make(NOON)

    assert world.make(NOON).rewritten == ()


def test_only_the_hours_within_24_that_hold_a_copy_are_made_again(world: World) -> None:
    copies = [Sent("a", hours=n) for n in (0, 1, 24, 25)]
    world.send(*copies, *(Sent(f"other{n}", hours=n) for n in range(27)))
    world.make(*HourRange(FIRST + HOUR, FIRST + 26 * HOUR).keys)

    made = world.make(NOON)

    assert made.rewritten == (ONE,), "24 hours later the copy of 13:00 hid it already, and 25 hours later it hides"
    assert world.silver()[NOON] == ["a", "other0"]
