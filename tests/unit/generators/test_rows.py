"""Row i depends on the world and i alone."""

import hashlib

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators import order_items, orders, pageviews, products, stars, users, vip_users
from generators.counter import permute, stream
from generators.json_text import fields_of, objects
from generators.world import World

ALL = [users, vip_users, products, orders, order_items, pageviews, stars]
FREE_OF_FAKER = {
    "orders": "a60e0e1d",
    "order_items": "c8904a1a",
    "pageviews": "7acf16a4",
    "stars": "f43bd9af",
}


def rows(source, world, start, stop, batch_rows=65_536):
    return pa.Table.from_batches(source.batches(world, start, stop, batch_rows), source.SCHEMA)


@pytest.mark.parametrize("source", ALL, ids=lambda source: source.NAME)
@given(
    seed=st.integers(-(2**70), 2**70),
    start=st.integers(0, 700),
    length=st.integers(0, 300),
    batch_rows=st.integers(1, 400),
    cut=st.integers(0, 300),
)
@settings(max_examples=25, deadline=None)
def test_any_range_in_any_chunking_gives_the_same_rows(source, seed, start, length, batch_rows, cut):
    world = World(seed=seed)
    stop = start + length
    middle = min(start + cut, stop)
    whole = rows(source, world, start, stop)
    whole.validate(full=True)
    assert rows(source, world, start, stop, batch_rows).equals(whole)
    assert pa.concat_tables([rows(source, world, start, middle), rows(source, world, middle, stop)]).equals(whole)


@pytest.mark.parametrize("source", ALL, ids=lambda source: source.NAME)
def test_another_seed_gives_other_rows(source):
    assert not rows(source, World(seed=1), 0, 50).equals(rows(source, World(seed=2), 0, 50))


@pytest.mark.parametrize("source", [orders, order_items, pageviews, stars], ids=lambda source: source.NAME)
def test_rows_far_from_the_start_cost_no_more_than_the_first_ones(source):
    far = 10**9
    assert rows(source, World(), far, far + 10).num_rows >= 10


@pytest.mark.parametrize("source", [orders, order_items, pageviews, stars], ids=lambda source: source.NAME)
def test_rows_stay_the_same_from_one_release_to_the_next(source):
    digest = hashlib.sha256()
    for batch in source.batches(World(), 0, 2_000):
        digest.update("\n".join(objects(fields_of(batch)).to_pylist()).encode())
    assert digest.hexdigest()[:8] == FREE_OF_FAKER[source.NAME]


@pytest.mark.parametrize("source", ALL, ids=lambda source: source.NAME)
def test_an_impossible_range_is_refused_by_name(source):
    with pytest.raises(ValueError, match="start_row"):
        list(source.batches(World(), 5, 4))


def test_an_impossible_batch_size_is_refused_by_name():
    with pytest.raises(ValueError, match="batch_rows is 0"):
        list(pageviews.batches(World(), 0, 4, 0))


def test_more_vips_than_users_are_refused():
    with pytest.raises(ValueError, match="VIPs are distinct"):
        list(vip_users.batches(World(users=60), 0, 61))


@given(seed=st.integers(), count=st.integers(1, 3_000))
@settings(max_examples=60, deadline=None)
def test_a_permutation_is_one_to_one(seed, count):
    there = permute(stream(seed, "test"), np.arange(count), count)
    assert sorted(there.tolist()) == list(range(count))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"users": 0}, r"World\.users is 0"),
        ({"products": 10**10}, r"World\.products"),
        ({"vip_users": 1_001}, r"World\.vip_users is 1001"),
        ({"epoch": World().epoch.replace(tzinfo=None)}, "time zone UTC"),
        ({"epoch": World().epoch.replace(minute=5)}, "start of an hour"),
        ({"epoch": World().epoch.replace(year=1999)}, "2000 to 2053"),
    ],
)
def test_an_impossible_world_is_refused_by_field(wrong, message):
    with pytest.raises(ValueError, match=message):
        World(**wrong)
