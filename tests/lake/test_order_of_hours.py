"""In whatever order hours are landed and made, alone or together, late or again: silver is the same."""

from pathlib import Path

import dagster as dg
import pytest

from dagster_lake.defs.dbt.assets import dbt_assets
from dagster_lake.lake_hour import HOUR, HourRange, hour_key
from dagster_lake.lake_resource import LakeResource
from dagster_lake.live.tables import LiveTables
from tests.lake.lakes import content_of, definitions
from tests.lake.resent_worlds import FIRST, STARS, Sent, World

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


# ---- through Dagster, up to gold ----

HOURLY = [["raw", "stars"], ["bronze", "stars"], ["silver", "stars"], ["quarantine", "stars"]]
GOLD = ["gold", "engagement_hourly"]


def run(world: World, hour: str, *keys: list[str]) -> dg.ExecuteInProcessResult:
    with world.here():
        return dg.materialize(
            [*definitions(), *dbt_assets()],
            selection=dg.AssetSelection.keys(*keys),
            resources={"lake": LakeResource()},
            partition_key=hour,
            instance=dg.DagsterInstance.ephemeral(),
        )


def told(result: dg.ExecuteInProcessResult) -> set[tuple[str, str | None]]:
    """The tables and hours that Dagster was told of."""
    events = result.get_asset_materialization_events()
    return {(event.asset_key.to_user_string(), event.partition) for event in events if event.asset_key}


def stars_by_hour(world: World) -> dict[str, int]:
    return {row["_lake_hour"]: row["stars_count"] for row in content_of(Path(world.settings.root, *GOLD))}


def test_a_late_hour_carries_the_hours_after_it_into_gold_in_the_same_run(world: World) -> None:
    world.send(Sent("a", hours=0, minutes=59), Sent("a", hours=1, minutes=1), Sent("b", hours=1))
    run(world, ONE, *HOURLY, GOLD)
    assert stars_by_hour(world) == {ONE: 2}

    result = run(world, NOON, *HOURLY, GOLD)

    assert stars_by_hour(world) == {NOON: 1, ONE: 1}
    assert told(result) >= {
        (table, hour)
        for table in ("silver/stars", "quarantine/stars", "gold/engagement_hourly")
        for hour in (NOON, ONE)
    }


def test_gold_of_any_later_run_catches_up_with_silver_whose_own_run_died_before_gold(world: World) -> None:
    world.send(Sent("a", hours=0), Sent("a", hours=1), Sent("b", hours=1), Sent("c", hours=2))
    run(world, ONE, *HOURLY, GOLD)
    run(world, NOON, *HOURLY)  # and it is killed

    result = run(world, hour_key(FIRST + 2 * HOUR), *HOURLY, GOLD)

    assert stars_by_hour(world) == {NOON: 1, ONE: 1, hour_key(FIRST + 2 * HOUR): 1}
    assert {hour for table, hour in told(result) if table == "gold/engagement_hourly"} >= {NOON, ONE}


def test_gold_computes_nothing_but_its_hour_when_no_other_has_changed(world: World) -> None:
    world.send(Sent("a", hours=0), Sent("b", hours=1))
    run(world, NOON, *HOURLY, GOLD)

    result = run(world, ONE, *HOURLY, GOLD)

    assert {hour for table, hour in told(result) if table == "gold/engagement_hourly"} == {ONE}


def test_lake_stream_makes_an_hour_that_came_late_and_gold_follows(world: World) -> None:
    world.send(Sent("a", hours=0, minutes=59), Sent("a", hours=1, minutes=1), Sent("b", hours=1))
    stream = LiveTables(
        world.lake, world.settings, world.engine, {"stars": STARS}, [], "a stream", lambda: False, lambda line: None
    )
    with world.here():
        for hour in (ONE, NOON):
            world.land(hour)
            stream.make({"stars": {hour}}, {})
    assert world.silver() == {NOON: ["a"], ONE: ["b"]}

    run(world, NOON, GOLD)
    run(world, ONE, GOLD)

    assert stars_by_hour(world) == {NOON: 1, ONE: 1}


def test_a_copy_that_says_something_else_is_kept_and_warned_of(world: World) -> None:
    world.send(Sent("a", hours=0), Sent("a", hours=0, minutes=31), Sent("a", hours=0, minutes=32, stars=1))

    result = run(world, NOON, *HOURLY)

    assert world.tables() == ([(NOON, "a", 5)], [(NOON, "a", 1, ("event_id:conflict",))])
    (found,) = [check for check in result.get_asset_check_evaluations() if check.check_name == "no_conflicting_copies"]
    assert (found.passed, found.severity, found.metadata["rows"].value) == (False, dg.AssetCheckSeverity.WARN, 1)
