"""How a long range of hours is cut."""

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from dagster_lake.engines.pieces import PIECE_ROWS, pieces

COUNTS = st.lists(st.integers(0, 2 * PIECE_ROWS) | st.just(0), min_size=1, max_size=60)


def cut(counts: list[int]) -> list[list[str]]:
    return pieces([f"{number:02}" for number in range(len(counts))], lambda hour: counts[int(hour)])


@given(COUNTS)
def test_every_hour_is_in_one_piece_and_the_order_stays(counts: list[int]) -> None:
    found = cut(counts)
    assert [hour for piece in found for hour in piece] == [f"{number:02}" for number in range(len(counts))]
    assert all(found)


@given(COUNTS)
def test_pieces_are_as_few_as_they_can_be_and_none_is_an_hour_larger_than_its_share(counts: list[int]) -> None:
    found = cut(counts)
    most = max(1, ceil(sum(counts) / PIECE_ROWS))
    assert len(found) <= most
    assert all(sum(counts[int(hour)] for hour in piece) <= sum(counts) / most + max(counts) for piece in found)


def test_a_range_of_few_rows_is_one_piece_and_ten_days_of_a_million_are_days() -> None:
    assert cut([1_000] * 48) == [[f"{number:02}" for number in range(48)]]
    assert [len(piece) for piece in cut([PIECE_ROWS // 24] * 48)] == [24, 24]


def test_the_rows_of_a_single_hour_are_not_even_counted() -> None:
    assert pieces(["2026-01-05T12"], lambda hour: 1 // 0) == [["2026-01-05T12"]]
