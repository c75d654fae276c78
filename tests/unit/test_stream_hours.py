"""Which hours of the stream tables a run computes."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from dagster_lake.engines.stream_hours import AHEAD, output_hours, read_hours
from dagster_lake.lake_hour import HOUR, hour_key

MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)


def keys(*hours: int) -> list[str]:
    return [hour_key(MIDNIGHT + hour * HOUR) for hour in hours]


def test_the_newest_hour_and_the_one_before_it_are_computed_since_events_may_be_late_by_a_minute() -> None:
    assert output_hours(keys(12), keys(10, 11, 12), 1) == keys(11, 12)


def test_an_hour_in_the_past_reaches_every_later_hour_that_looks_back_at_it() -> None:
    assert output_hours(keys(5), keys(3, 4, 5, 6, 7, 8, 9, 10), 4) == keys(4, 5, 6, 7, 8, 9)


def test_no_hour_after_the_newest_event_is_computed() -> None:
    assert output_hours(keys(5), keys(5, 6), 4) == keys(4, 5, 6)


def test_after_a_gap_the_hours_that_follow_the_last_event_before_it_are_computed() -> None:
    assert output_hours(keys(20), keys(3, 20), 2) == keys(4, 5, 19, 20)


def test_an_output_hour_reads_back_as_far_as_its_windows_and_one_hour_ahead() -> None:
    assert read_hours(keys(12), 2) == keys(10, 11, 12, 13)


@given(
    st.permutations(range(0, 30)).flatmap(lambda hours: st.integers(1, 8).map(lambda n: hours[:n])), st.integers(1, 5)
)
def test_whatever_the_order_of_hours_each_result_follows_from_all_events_it_depends_on(
    order: list[int], look_back: int
) -> None:
    """A table is modelled as, for each output hour, the hours of silver that it was last computed from."""

    def depends_on(output: str, landed: set[str]) -> frozenset[str]:
        return frozenset(landed & set(read_hours([output], look_back)))

    table: dict[str, frozenset[str]] = {}
    landed: set[str] = set()
    for hour in order:
        landed |= set(keys(hour))
        for output in output_hours(keys(hour), landed, look_back):
            table[output] = depends_on(output, landed)
    until = max(landed)
    everything = {output: depends_on(output, landed) for output in keys(*range(-AHEAD, 40)) if output <= until}
    assert {o: read for o, read in table.items() if read} == {o: read for o, read in everything.items() if read}
