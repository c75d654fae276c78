"""What is known of former keys is what a plain set would know."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dagster_lake.lake_hour import HOUR
from dagster_lake.live.known_keys import KnownKeys

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
KEYS = st.lists(st.integers(0, 40), max_size=12)


@given(steps=st.lists(st.tuples(st.integers(0, 3), KEYS), max_size=30), asked=KEYS, since=st.integers(-1, 4))
def test_a_key_occurred_when_it_was_added_for_the_hour_or_a_later_one(
    steps: list[tuple[int, list[int]]], asked: list[int], since: int
) -> None:
    known, plain = KnownKeys(), set()
    for hour, keys in steps:
        known.add(NOON + hour * HOUR, np.array(keys, np.uint64))
        plain |= {(hour, key) for key in keys}
    found = known.occurred(np.array(asked, np.uint64), NOON + since * HOUR)
    assert found.tolist() == [any((hour, key) in plain for hour in range(max(since, 0), 4)) for key in asked]


@given(steps=st.lists(st.tuples(st.integers(0, 3), KEYS), max_size=30), before=st.integers(0, 4))
def test_hours_before_are_forgotten_and_others_kept(steps: list[tuple[int, list[int]]], before: int) -> None:
    known = KnownKeys()
    for hour, keys in steps:
        known.add(NOON + hour * HOUR, np.array(keys, np.uint64))
    known.forget(NOON + before * HOUR)
    every = np.arange(41, dtype=np.uint64)
    left = {key for hour, keys in steps if hour >= before for key in keys}
    assert set(np.flatnonzero(known.occurred(every, NOON)).tolist()) == left


def test_many_small_additions_leave_few_places_to_look_into() -> None:
    known = KnownKeys()
    for number in range(1_000):
        known.add(NOON, np.array([number * 7 % 1_000], np.uint64))
    assert len(known) == 1_000
    assert len(known._chunks[NOON]) <= 11
