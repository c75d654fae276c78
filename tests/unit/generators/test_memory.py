"""Memory does not grow with the number of rows."""

import tracemalloc
from datetime import timedelta

import pyarrow as pa
import pytest

from generators import orders, pageviews, users
from generators.dirt import Dirt
from generators.events import hub_batches
from generators.world import World


def peak(work):
    """The most bytes held by numpy and Arrow while `work` runs through its batches."""
    most_in_arrow = 0
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    for _ in work:
        most_in_arrow = max(most_in_arrow, pa.total_allocated_bytes() - before)
    peak_in_numpy = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most_in_arrow + peak_in_numpy


@pytest.mark.parametrize("source", [users, orders, pageviews], ids=lambda source: source.NAME)
def test_ten_times_the_rows_take_the_same_memory(source):
    list(source.batches(World(), 0, 10))
    small = peak(source.batches(World(), 0, 8_000, batch_rows=4_000))
    large = peak(source.batches(World(), 0, 80_000, batch_rows=4_000))
    assert large < 1.3 * small + 1_000_000


@pytest.mark.parametrize("data_set", ["pageviews", "stars"])
def test_an_hour_ten_times_as_busy_takes_the_same_memory(data_set):
    def hour(rate):
        world = World(pageviews_per_hour=rate)
        return hub_batches(world, data_set, world.epoch + timedelta(hours=10), Dirt.heavy(), batch_rows=2_000)

    list(hour(1_000))
    calm, busy = {"pageviews": (10_000, 100_000), "stars": (200_000, 2_000_000)}[data_set]
    assert peak(hour(busy)) < 1.3 * peak(hour(calm)) + 1_000_000
