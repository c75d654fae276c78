"""Percentiles, TopOne and DATEDIFF against the model."""

from collections.abc import Sequence

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.temporal import model
from tests.temporal.duck import ASK, INSTANT, rows, table

SHARES = ["0", "0.01", "0.05", "0.07", "0.1", "0.25", "0.3", "0.5", "0.57", "0.75", "0.9", "0.95", "0.99", "1"]


def of_values(aggregate: str, values: Sequence[int | None]) -> object:
    """The aggregate of the column v."""
    ((found,),) = rows(f"SELECT {aggregate} FROM events", events=table({"v": pa.int64()}, [(v,) for v in values]))
    return found


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(SHARES), st.lists(st.integers(-1000, 1000) | st.none(), max_size=30))
def test_percentile_cont_interpolates_at_its_rank(p: str, values: list[int | None]) -> None:
    found = of_values(ASK.percentile_cont(p, "v"), values)
    wanted = model.percentile_cont(p, values)
    assert found is wanted if wanted is None else found == pytest.approx(wanted, rel=1e-12, abs=1e-9)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(SHARES), st.integers(1, 400))
def test_percentile_disc_is_the_first_value_that_reaches_its_share(p: str, count: int) -> None:
    values = list(range(count))
    assert of_values(ASK.percentile_disc(p, "v"), values) == model.percentile_disc(p, values)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2) | st.none(), st.integers(0, 2) | st.none(), st.integers(0, 9)), max_size=15),
    st.sampled_from(["", " asc", " desc"]),
    st.sampled_from(["", " asc", " desc"]),
)
def test_top_one_takes_the_first_of_its_order_and_of_equal_ones_the_first_to_arrive(
    values: list[tuple[int | None, int | None, int]], of_x: str, of_y: str
) -> None:
    offered = table(
        {"n": pa.int64(), "x": pa.int64(), "y": pa.int64()}, [(n, x, y) for n, (x, y, _) in enumerate(values)]
    )

    def rank(number: int | None, direction: str) -> tuple[int, int]:
        known = (0, 0) if number is None else (1, number)
        return (-known[0], -known[1]) if direction == " desc" else known

    order = sorted((rank(x, of_x), rank(y, of_y), n) for n, (x, y, _) in enumerate(values))
    best = order[0][2] if order else None
    found = rows(f"SELECT {ASK.top_one('n', ['x' + of_x, 'y' + of_y], ties=['n'])} FROM events", events=offered)
    assert found == [(best,)]


PARTS = ["year", "quarter", "month", "week", "day", "hour", "minute", "second", "millisecond", "microsecond"]
SPAN = 40 * 365 * 86_400_000_000
HOUR = 3_600_000_000


@pytest.mark.parametrize("part", PARTS)
@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(-SPAN, 2 * SPAN) | st.integers(-50_000, 50_000).map(lambda h: h * HOUR),
            st.integers(-SPAN, SPAN) | st.integers(-2, 2),
        ),
        min_size=1,
        max_size=20,
    )
)
def test_as_many_boundaries_are_crossed_as_lie_between(part: str, pairs: list[tuple[int, int]]) -> None:
    listed = [(n, a, a + length) for n, (a, length) in enumerate(pairs)]
    offered = table({"n": pa.int64(), "a": INSTANT, "b": INSTANT}, listed)
    found = rows(f"SELECT n, {ASK.boundaries_crossed(part, 'a', 'b')} FROM events", events=offered)
    assert sorted(found) == [(n, model.boundaries(part, a, b)) for n, a, b in listed]
