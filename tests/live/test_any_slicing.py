"""However events are sliced on their way from the hub to the streams, the streams are the same."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_lake.engines import pieces
from dagster_lake.engines.step import Step
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, hour_of
from tests.lake.lakes import differences
from tests.live.conftest import Still
from tests.live.event_worlds import START, Event, EventWorld, story

FIRST = hour_of(START)
HOUR_MS = 3_600_000


def at_once(world: EventWorld, events: list[Event]) -> None:
    """Everything is there before anybody looks, and is computed as one range of hours."""
    world.send(events)
    world.now = hour_of(world.now) + HOUR + timedelta(milliseconds=1)
    world.land()
    world.silver()
    world.streams(hour_key(FIRST), hour_key(hour_of(world.now)))


def in_micro_batches(world: EventWorld, events: list[Event], cuts: list[int]) -> None:
    """As ``lake stream`` does it: what came is landed, and the hours that may have changed are made anew."""
    begin = FIRST
    for start, stop in zip([0, *cuts], [*cuts, len(events)], strict=True):
        world.send(events[start:stop])
        world.now += timedelta(milliseconds=1)
        keys = HourRange(begin, hour_of(world.now)).keys
        world.land(*keys)
        world.silver(*keys)
        world.streams(keys[0], keys[-1])
        begin = hour_of(world.now)  # what was open then is done again, now or at last
    world.now = hour_of(world.now) + HOUR + timedelta(milliseconds=1)
    world.land()
    keys = HourRange(begin, hour_of(world.now)).keys
    world.silver(*keys)
    world.streams(keys[0], keys[-1])


def hour_by_hour(world: EventWorld, events: list[Event], order: list[int]) -> None:
    """Everything is there, and each hour is landed and computed by a run of its own, in the order given."""
    world.send(events)
    world.now = hour_of(world.now) + HOUR + timedelta(milliseconds=1)
    keys = HourRange(FIRST, hour_of(world.now)).keys
    keys = [keys[place] for place in sorted(range(len(keys)), key=lambda place: order[place % len(order)])]
    for key in keys:
        for step in (world.land, world.silver, world.streams):
            step(key)


@given(data=st.data())
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_micro_batches_of_any_size_and_hours_in_any_order_give_what_all_at_once_gives(
    tmp_path_factory: pytest.TempPathFactory, still: Still, data: st.DataObject
) -> None:
    events = data.draw(story(most=40, minutes=70))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(events)), min_size=1, max_size=2)))
    order = data.draw(st.permutations(range(3)))
    whole, sliced, shuffled = (EventWorld(tmp_path_factory.mktemp("slices")) for _ in range(3))
    at_once(still(whole), events)
    in_micro_batches(still(sliced), events, cuts)
    assert differences(sliced.content(), whole.content()) == ""
    hour_by_hour(still(shuffled), events, order)
    assert differences(shuffled.content(), whole.content()) == ""


def test_two_days_in_one_backfill_are_what_two_days_hour_by_hour_were(
    tmp_path_factory: pytest.TempPathFactory, still: Still
) -> None:
    minutes = [0, 3, 58, 61, 63, 64, 118, 119, 125, 1_500, 1_501, 2_870, 2_879, 2_881]
    events = [
        Event(f"e{n % 11}", minute * 60_000 + n, 70_000 * (n % 3), user=n % 2, latency=1_900 + 50 * n, stars=stars)
        for n, minute in enumerate(minutes)
        for stars in (None, 1 + n % 5)
    ]
    backfill, live = (EventWorld(tmp_path_factory.mktemp("days")) for _ in range(2))
    at_once(still(backfill), events)
    cuts = [place for place, (one, next_) in enumerate(pairwise(events), 1) if one.at // HOUR_MS < next_.at // HOUR_MS]
    in_micro_batches(still(live), events, cuts)
    assert differences(live.content(), backfill.content()) == ""
    assert all(live.content()[name] for name in ("sessions", "high_latency_alerts", "pageviews_stars_correlation"))


def test_a_range_that_is_computed_in_pieces_gives_the_same_tables_and_counts(
    tmp_path_factory: pytest.TempPathFactory, still: Still, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes = [0, 3, 3, 58, 61, 63, 64, 118, 119, 125, 126, 126]
    events = [
        Event(f"e{n % 9}", minute * 60_000 + n, [500, 61_000, 400_000][n % 3], n % 2, 1_950 + 20 * n, stars, method)
        for n, minute in enumerate(minutes)
        for stars, method in ((None, ["GET", "BREW"][n % 4 == 3]), (1 + n % 5, "GET"))
    ]
    whole, cut = (EventWorld(tmp_path_factory.mktemp("pieces")) for _ in range(2))
    told = {}
    for world, rows in ((whole, 1_000), (cut, 4)):
        monkeypatch.setattr(pieces, "PIECE_ROWS", rows)
        at_once(still(world), events)
        keys = HourRange(FIRST, hour_of(world.now)).keys
        done = [world.engine.run(Step("pageviews", layer, tuple(keys))) for layer in ("bronze", "silver")]
        told[rows] = [(result.counts, result.reasons, result.table_rows) for result in done]
    assert told[4] == told[1_000]
    assert told[4][1][1], "nothing was quarantined"
    assert differences(cut.content(), whole.content()) == ""
