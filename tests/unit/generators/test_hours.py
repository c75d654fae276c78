"""Lake hours are (start, end], and every row falls in exactly one."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators import order_items, orders, pageviews, stars
from generators.counter import stream
from generators.pace import HOUR, WEEK_HOURS, Pace, hour_key, microseconds, pace
from generators.world import World

epochs = st.datetimes(datetime(2001, 1, 1), datetime(2050, 1, 1)).map(
    lambda moment: moment.replace(minute=0, second=0, microsecond=0, tzinfo=UTC)
)


@given(epoch=epochs, rate=st.integers(1, 5_000), first=st.integers(0, 2_000))
@settings(max_examples=60, deadline=None)
def test_hours_tile_the_rows_and_each_row_arrives_in_its_hour(epoch, rate, first):
    world = World(epoch=epoch, pageviews_per_hour=rate)
    next_row = pageviews.rows_of_hour(world, epoch + timedelta(hours=first)).start
    for number in range(first, first + 8):
        hour = epoch + timedelta(hours=number)
        rows = pageviews.rows_of_hour(world, hour)
        assert rows.start == next_row
        next_row = rows.stop
        arrived = pageviews.arrivals(world, np.arange(rows.start, rows.stop)) - microseconds(hour)
        assert ((arrived > 0) & (arrived <= HOUR)).all()
        assert (np.diff(arrived) >= 0).all()


@given(epoch=epochs, rate=st.integers(1, 10**6), weeks=st.integers(0, 500))
def test_a_week_has_exactly_its_average(epoch, rate, weeks):
    steady = pace(epoch, rate)
    start, end = (steady.rows_of_hour(epoch + timedelta(weeks=week)).start for week in (weeks, weeks + 1))
    assert end - start == rate * WEEK_HOURS


def test_an_event_stamped_exactly_at_the_end_belongs_to_the_hour_and_at_the_start_to_the_one_before():
    per_hour = 1_800_000_000  # one row every 2 microseconds: about half of the last rows fall on the edge
    epoch = datetime(2026, 1, 1, tzinfo=UTC)
    dense = Pace(microseconds(epoch), per_hour * WEEK_HOURS, np.arange(WEEK_HOURS + 1) * per_hour)
    last_rows = np.arange(1, 100) * per_hour - 1
    offsets = dense.arrivals(stream(1, "edge"), last_rows) - microseconds(epoch) - np.arange(99) * HOUR
    assert set(offsets.tolist()) == {HOUR - 1, HOUR}
    first_rows = np.arange(0, 99) * per_hour
    offsets = dense.arrivals(stream(1, "edge"), first_rows) - microseconds(epoch) - np.arange(99) * HOUR
    assert set(offsets.tolist()) == {1, 2}


@pytest.mark.parametrize("rate", [1, 40, 1_200, 20_000])
def test_each_star_belongs_to_exactly_one_hour(rate):
    world = World(pageviews_per_hour=rate)
    hours = [world.epoch + timedelta(hours=number) for number in range(30)]
    by_hour = np.concatenate([stars.rows_of_hour(world, hour) for hour in hours])
    arrived = stars.arrivals(world, np.arange(max(by_hour, default=0) + 2_000))
    end = microseconds(world.epoch) + 30 * HOUR
    assert sorted(by_hour.tolist()) == np.flatnonzero(arrived <= end).tolist()
    for hour in hours:
        offsets = stars.arrivals(world, stars.rows_of_hour(world, hour)) - microseconds(hour)
        assert ((offsets > 0) & (offsets <= HOUR)).all()
        assert (np.diff(offsets) >= 0).all()


@given(slice_rows=st.integers(1, 300), number=st.integers(0, 400))
@settings(max_examples=30, deadline=None)
def test_slices_of_an_hour_are_the_hour_in_order_of_arrival(slice_rows, number):
    world = World(pageviews_per_hour=4_000)
    hour = world.epoch + timedelta(hours=number)
    for source in (pageviews, stars):
        parts = list(source.slices_of_hour(world, hour, slice_rows))
        whole = np.array(source.rows_of_hour(world, hour))
        assert np.concatenate([np.empty(0, np.int64), *parts]).tolist() == whole.tolist()


@pytest.mark.parametrize("source", [orders, order_items, pageviews, stars], ids=lambda source: source.NAME)
def test_nothing_exists_before_the_epoch(source):
    for hours in (1, 2, 10_000):
        hour = World().epoch - timedelta(hours=hours)
        assert len(source.rows_of_hour(World(), hour)) == 0
        assert source.clean_hour(World(), hour).num_rows == 0


@pytest.mark.parametrize("source", [orders, order_items, pageviews, stars], ids=lambda source: source.NAME)
def test_an_hour_that_is_no_utc_hour_start_is_refused(source):
    with pytest.raises(ValueError, match="time zone UTC"):
        source.rows_of_hour(World(), datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="start of an hour"):
        source.rows_of_hour(World(), datetime(2026, 1, 1, 0, 30, tzinfo=UTC))


def test_an_hour_is_keyed_by_its_start():
    assert hour_key(microseconds(datetime(2026, 1, 1, 13, tzinfo=UTC))) == "2026-01-01T13"


def test_evenings_and_weekends_are_busier_than_nights_and_weekdays():
    world = World()
    monday = datetime(2026, 1, 5, tzinfo=UTC)

    def views(start: datetime, hours: int) -> int:
        return sum(len(pageviews.rows_of_hour(world, start + timedelta(hours=n))) for n in range(hours))

    assert views(monday + timedelta(hours=20), 1) > 5 * views(monday + timedelta(hours=3), 1)
    assert views(monday + timedelta(days=5), 24) > 1.15 * views(monday + timedelta(days=1), 24)


def test_orders_are_updated_inside_their_hour():
    world = World(orders_per_hour=3_000)
    hour = world.epoch + timedelta(hours=7)
    updated = orders.clean_hour(world, hour)["updated_at"].cast(pa.int64()).to_numpy()
    assert updated.min() > microseconds(hour)
    assert updated.max() <= microseconds(hour) + HOUR
