"""Which hours of the stream tables a run computes."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from dagster_lake.dbt_runner.stream_hours import AHEAD, output_hours, read_hours
from dagster_lake.lake_hour import HOUR, hour_key

MIDNIGHT = datetime(2026, 1, 5, tzinfo=UTC)


def keys(*hours: int) -> list[str]:
    return [hour_key(MIDNIGHT + hour * HOUR) for hour in hours]


def outputs(written: list[int], events: list[int], look_back: int, newest: int) -> list[str]:
    return output_hours(keys(*written), keys(*events), look_back, *keys(newest))


def test_the_newest_hour_and_the_one_before_it_are_computed_since_events_may_be_late_by_a_minute() -> None:
    assert outputs([12], [10, 11, 12], 1, newest=12) == keys(11, 12)


def test_an_hour_in_the_past_reaches_every_later_hour_that_looks_back_at_it() -> None:
    assert outputs([5], [3, 4, 5, 6, 7, 8, 9, 10], 4, newest=10) == keys(4, 5, 6, 7, 8, 9)


def test_no_hour_after_the_newest_that_landed_is_computed() -> None:
    assert outputs([5], [5, 6], 4, newest=6) == keys(4, 5, 6)


def test_an_hour_made_again_reaches_the_silent_hours_that_landed_after_it() -> None:
    assert outputs([5], [5, 6], 4, newest=8) == keys(4, 5, 6, 7, 8)


def test_after_a_gap_the_hours_that_follow_the_last_event_before_it_are_computed() -> None:
    assert outputs([20], [3, 20], 2, newest=20) == keys(4, 5, 19, 20)


def test_an_output_hour_reads_back_as_far_as_its_windows_and_one_hour_ahead() -> None:
    assert read_hours(keys(12), 2) == keys(10, 11, 12, 13)


@given(
    st.permutations(range(0, 30)).flatmap(lambda hours: st.integers(1, 8).map(lambda n: hours[:n])),
    st.integers(1, 5),
    st.sets(st.integers(0, 29)),
)
def test_whatever_the_order_of_hours_each_result_follows_from_all_events_it_depends_on(
    order: list[int], look_back: int, silent: set[int]
) -> None:
    """A table is modelled as, for each output hour, the hours of silver that it was last computed from."""

    def depends_on(output: str, events: set[str]) -> frozenset[str]:
        return frozenset(events & set(read_hours([output], look_back)))

    table: dict[str, frozenset[str]] = {}
    landed: set[str] = set()
    events: set[str] = set()
    for hour in order:
        landed |= set(keys(hour))
        events |= set(keys(hour)) if hour not in silent else set()
        for output in output_hours(keys(hour), events, look_back, max(landed)):
            table[output] = depends_on(output, events)
    until = max(landed)
    everything = {output: depends_on(output, events) for output in keys(*range(-AHEAD, 40)) if output <= until}
    assert {o: read for o, read in table.items() if read} == {o: read for o, read in everything.items() if read}
