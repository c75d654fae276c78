"""Windows against the model."""

from collections import Counter

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.temporal import model
from tests.temporal.duck import ASK, BASE, INSTANT, rows, table
from tests.temporal.model import Event

COLUMNS = {"ts": INSTANT, "k": pa.string(), "v": pa.int64()}


def events_within(span: int, most: int = 25) -> st.SearchStrategy[list[Event]]:
    """Events of a few keys, one of them null, in whole milliseconds and a microsecond beside them."""
    time = st.builds(
        lambda ms, beside: BASE + ms * 1000 + beside, st.integers(-span, span), st.sampled_from([0, 0, 0, -1, 1])
    )
    return st.lists(
        st.builds(Event, time, st.sampled_from(["a", "b", None]), st.integers(-5, 5) | st.none()), max_size=most
    )


def offered(events: list[Event]) -> pa.Table:
    return table(COLUMNS, [(e.time, e.key, e.value) for e in events])


def total(events: list[Event]) -> int | None:
    known = [e.value for e in events if e.value is not None]
    return sum(known) if known else None


SIZES = st.integers(1, 40)


@settings(max_examples=100, deadline=None)
@given(events_within(100), SIZES, st.integers(-50, 50), st.sampled_from([0, -2 * BASE]))
def test_an_event_is_in_the_one_tumbling_window_that_holds_it_before_1970_too(
    events: list[Event], size: int, offset: int, move: int
) -> None:
    moved = [Event(e.time + move, e.key, e.value) for e in events]
    found = rows(
        f"SELECT epoch_us(ts), epoch_us({ASK.tumbling_end('ts', size, offset)}) FROM events", events=offered(moved)
    )
    assert Counter(found) == Counter(
        (e.time, end) for e in moved for end in model.hopping_ends(e.time, size * 1000, size * 1000, offset * 1000)
    )
    assert len(found) == len(moved)


@settings(max_examples=100, deadline=None)
@given(events_within(100), SIZES, SIZES, st.integers(-50, 50), st.sampled_from([0, -2 * BASE]))
def test_an_event_is_in_every_hopping_window_that_holds_it(
    events: list[Event], size: int, hop: int, offset: int, move: int
) -> None:
    moved = [Event(e.time + move, e.key, e.value) for e in events]
    ends = ASK.unnested(ASK.hopping_ends("ts", size, hop, offset))
    found = rows(f"SELECT epoch_us(ts), epoch_us(e) FROM (SELECT ts, {ends} AS e FROM events)", events=offered(moved))
    assert Counter(found) == Counter(
        (e.time, end) for e in moved for end in model.hopping_ends(e.time, size * 1000, hop * 1000, offset * 1000)
    )


@settings(max_examples=150, deadline=None)
@given(events_within(60), SIZES, st.booleans())
def test_a_sliding_window_is_reported_whenever_its_content_changes(
    events: list[Event], size: int, by_key: bool
) -> None:
    seen = events if by_key else [Event(e.time, None, e.value) for e in events]
    keys = ["k"] if by_key else []
    relation = ASK.sliding("events", "ts", size, keys, ["count(*) AS n", "sum(v) AS total"])
    columns = ", ".join([*keys, "epoch_us(window_end)", "n", "total"])
    found = rows(f"SELECT {columns} FROM {relation}", events=offered(events))
    windows = [(key, (end, len(held), total(held))) for key, end, held in model.sliding(seen, size * 1000)]
    assert Counter(found) == Counter((key, *window) if by_key else window for key, window in windows)


@settings(max_examples=150, deadline=None)
@given(events_within(150, 40), st.integers(1, 30), st.integers(1, 60), st.booleans())
def test_every_event_is_in_the_session_that_is_open_when_it_comes(
    events: list[Event], timeout: int, longest: int, by_key: bool
) -> None:
    relation = ASK.sessions("events", "ts", ["k"] if by_key else [], timeout, longest)
    found = rows(
        f"SELECT k, epoch_us(ts), v, epoch_us(session_start), epoch_us(session_end) FROM {relation}",
        events=offered(events),
    )
    wanted: Counter[tuple[object, ...]] = Counter()
    for key in {e.key for e in events} if by_key else [None]:
        own = [e for e in events if not by_key or e.key == key]
        ends = {t: (s, e) for t, s, e in model.sessions([e.time for e in own], timeout * 1000, longest * 1000)}
        wanted += Counter((e.key, e.time, e.value, *ends[e.time]) for e in own)
    assert Counter(found) == wanted


@settings(max_examples=100, deadline=None)
@given(events_within(60), st.integers(2, 20), st.integers(1, 20), st.integers(1, 30), st.booleans())
def test_several_windows_in_one_query_are_the_union_of_each(
    events: list[Event], size: int, hop: int, timeout: int, named: bool
) -> None:
    of = [
        {"kind": "tumbling", "size_ms": size, "offset_ms": -1},
        {"kind": "hopping", "size_ms": size, "hop_ms": hop},
        {"kind": "sliding", "size_ms": size},
        {"kind": "session", "timeout_ms": timeout, "max_ms": size},
    ]
    ids = [f"w{n}" if named else None for n in range(4)]
    relation = ASK.windows(
        "events",
        "ts",
        ["k"],
        ["count(*) AS n"],
        [{**w, "id": i} if named else w for w, i in zip(of, ids, strict=True)],
    )
    found = rows(
        f"SELECT window_id, k, epoch_us(window_start), epoch_us(window_end), n FROM {relation}", events=offered(events)
    )
    opened = {t: (s, e) for t, s, e in model.sessions([e.time for e in events], timeout * 1000, size * 1000)}
    spans = [
        [(e.key, end - size * 1000, end) for e in events for end in model.hopping_ends(e.time, size * 1000, *step)]
        for step in [(size * 1000, -1000), (hop * 1000, 0)]
    ]
    spans.append([(k, end - size * 1000, end) for k, end, held in model.sliding(events, size * 1000) for _ in held])
    spans.append([(e.key, *opened[e.time]) for e in events])
    assert Counter(found) == Counter(
        (name, *span, n) for name, of_window in zip(ids, spans, strict=True) for span, n in Counter(of_window).items()
    )
