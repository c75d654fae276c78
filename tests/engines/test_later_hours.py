"""Spark makes later hours again as DuckDB does: one world of events sent again, its hours made from the last one on."""

from pathlib import Path

from dagster_lake.engines.spark.engine import SparkEngine
from dagster_lake.engines.step import Check
from tests.lake.resent_worlds import Sent, World, what_they_give

EVENTS = [
    *(Sent("a", hours) for hours in (0, 1, 25)),
    *(Sent("b", hours, stars) for hours, stars in ((0, 5), (1, 4), (25, 4))),
    Sent("c", 0, stars=9),
    *(Sent("c", hours) for hours in (1, 25)),
    Sent("d", 25),
]


def test_hours_made_from_the_last_one_on_end_as_the_rules_say(tmp_path: Path) -> None:
    world = World(tmp_path, SparkEngine)
    world.send(*EVENTS)
    first, second, last = sorted({event.hour for event in EVENTS})

    made = [world.make(hour) for hour in (last, second, first)]

    assert world.tables() == what_they_give(EVENTS)
    assert [result.rewritten for result in made] == [(), (last,), (second,)]
    assert all(counts.balanced for result in made for counts in result.counts.values())
    assert world.engine.check(Check("stars", (first,), ("keys_unique",))) == {"keys_unique": {}}
