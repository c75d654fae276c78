"""Which events were landed is told exactly, in whatever pieces and order they came, and whatever hub they came from."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_lake.sources.event_hub.protocol import EVENT_SCHEMA
from dagster_lake.storage.sequence_runs import holds, joined, runs_of, unseen

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
Event = tuple[str, int, int]
"""Partition, number, second."""


def table(events: list[Event]) -> pa.Table:
    rows = [
        {"partition": p, "sequence_number": n, "enqueued_time": NOON + timedelta(seconds=second), "body": b""}
        for p, n, second in events
    ]
    return pa.Table.from_pylist(rows, EVENT_SCHEMA)


def hub(partition: str, start: int, steps: list[int]) -> list[Event]:
    """A partition of a hub: an event after each of so many seconds."""
    found, second = [], start
    for number, step in enumerate(steps):
        second += step
        found.append((partition, number, second))
    return found


STEPS = st.lists(st.integers(0, 100), max_size=12)


@settings(deadline=None)
@given(st.data(), STEPS, STEPS, STEPS)
def test_events_that_came_are_known_and_all_others_are_not(
    data: st.DataObject, old: list[int], new: list[int], other: list[int]
) -> None:
    made_anew = sum(old) + 120
    everything = hub("0", 0, old) + hub("0", made_anew, new) + hub("1", 0, other)
    came = [data.draw(st.booleans()) for _ in everything]
    pieces = data.draw(st.integers(1, 4))
    runs = joined(
        *(
            runs_of(table([event for n, event in enumerate(everything) if came[n] and n % pieces == piece]))
            for piece in data.draw(st.permutations(range(pieces)))
        )
    )
    (batch,) = table([*everything, ("2", 0, 0)]).to_batches()
    left = [event for event, here in zip(everything, came, strict=True) if not here]
    assert unseen(batch, runs).equals(table([*left, ("2", 0, 0)]).to_batches()[0])


def test_an_hour_of_steady_events_is_one_run_however_often_it_is_landed() -> None:
    runs = joined(*(runs_of(table([("0", n, n)])) for n in range(500)))
    (run,) = runs["0"]
    assert (run.first, run.last, run.since, run.until) == (0, 499, NOON, NOON + timedelta(seconds=499))


@settings(deadline=None)
@given(STEPS, STEPS, st.integers(0, 3000))
def test_one_event_is_held_just_when_it_is_not_among_those_that_are_new(
    old: list[int], new: list[int], later: int
) -> None:
    known = runs_of(table(hub("0", 0, old)))
    for partition, number, second in [*hub("0", 0, old), *hub("0", later, new), *hub("1", 0, new)]:
        [event] = table([(partition, number, second)]).to_batches()
        enqueued = NOON + timedelta(seconds=second)
        assert holds(known, partition, number, enqueued) == (unseen(event, known).num_rows == 0)
