"""Events sent again and again, hours landed late, early, again and in any order: the tables are what the rules say."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_lake.compile.silver import silver_select
from dagster_lake.engines import pieces
from dagster_lake.engines.step import Check
from dagster_lake.lake_hour import HOUR, hour_key
from tests.depth import examples
from tests.lake.resent_worlds import FIRST, Sent, World, what_they_give

HOURS = (0, 1, 2, 24, 25, 47, 49)
"""Hours of the world in which events are sent: some 24 hours apart, some 25, some in a chain."""


@st.composite
def sent(draw: st.DrawFn) -> list[Sent]:
    """Events of two or three ids, some copies with another rating or one that is not valid."""
    at = draw(st.sets(st.tuples(st.sampled_from(HOURS), st.integers(1, 59)), min_size=2, max_size=12))
    id, stars = st.sampled_from("aab"), st.sampled_from([5, 5, 5, 1, 9])
    return [Sent(draw(id), hours, draw(stars), minutes) for hours, minutes in sorted(at)]


@st.composite
def runs(draw: st.DrawFn) -> list[tuple[str, ...]]:
    """Runs of one hour or of several together, in any order; each hour once at least."""
    keys = draw(st.permutations([hour_key(FIRST + n * HOUR) for n in HOURS]))
    found: list[tuple[str, ...]] = []
    while keys:
        size = draw(st.integers(1, 3))
        found.append(tuple(sorted(keys[:size])))
        keys = keys[size:]
    return found


@given(data=st.data())
@settings(max_examples=examples(5, 12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_runs_gives_what_the_rules_say(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    events = data.draw(sent())
    late = data.draw(st.integers(0, len(events) - 1))
    held_back = data.draw(st.permutations(events))[:late]
    piece = data.draw(st.sampled_from([2, 1_000_000]))
    world = World(tmp_path_factory.mktemp("hours"))

    with patch.object(pieces, "PIECE_ROWS", piece):
        world.send(*(event for event in events if event not in held_back))
        for hours in data.draw(runs()):
            world.make(*hours)
        if held_back:  # they come when their hours are made: these are landed and made again, in any order
            world.send(*held_back)
            for hour in data.draw(st.permutations(sorted({event.hour for event in held_back}))):
                result = world.make(hour)
                assert all(counts.balanced for counts in result.counts.values())

    assert world.tables() == what_they_give(events)
    assert world.engine.check(Check("stars", None, ("keys_unique",))) == {"keys_unique": {}}


def during_silver(happens: Callable[[], object]) -> Any:
    """Lets something happen when the next silver step has read its bronze and not yet written."""
    left = [happens]

    def select(*arguments: Any) -> str:
        if left:
            left.pop()()
        return silver_select(*arguments)

    return patch("dagster_lake.engines.duckdb.engine.silver_select", select)


def test_two_runs_of_two_hours_at_once_end_as_one_after_the_other(tmp_path: Path) -> None:
    events = [Sent("a", 0), Sent("a", 1), Sent("b", 1), Sent("b", 0, minutes=40, stars=1)]
    world = World(tmp_path)
    world.send(*events)

    with during_silver(lambda: world.make(events[0].hour)):
        world.make(events[1].hour)

    assert world.tables() == what_they_give(events)


def test_an_hour_whose_look_back_changes_while_it_is_made_is_made_once_more(tmp_path: Path) -> None:
    """As when the other run is killed before its own silver."""
    events = [Sent("a", 0), Sent("a", 1, stars=1), Sent("b", 1)]
    world = World(tmp_path)
    world.send(*events)

    with during_silver(lambda: world.bronze(events[0].hour)):
        world.make(events[1].hour)

    assert world.silver() == {events[1].hour: ["b"]}
    world.make(events[0].hour)
    assert world.tables() == what_they_give(events)


def test_the_check_of_keys_finds_an_event_that_two_hours_hold(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.send(Sent("a", 0), Sent("a", 24), Sent("c", 2), Sent("c", 27))
    world.make(*(hour_key(FIRST + n * HOUR) for n in (2, 24, 27)))
    with patch(
        "dagster_lake.engines.duckdb.engine.stale_hours", lambda *_: []
    ):  # a step that leaves the later hour alone
        world.make(hour_key(FIRST))

    def found(*hours: int) -> dict[int, int]:
        keys = {hour_key(FIRST + n * HOUR): n for n in hours}
        by_hour = world.engine.check(Check("stars", tuple(keys), ("keys_unique",)))["keys_unique"]
        return {keys[hour]: rows for hour, rows in by_hour.items()}

    assert [found(0), found(24), found(2), found(27), found(0, 2, 24, 27)] == [{0: 1}, {24: 1}, {}, {}, {24: 1}]
