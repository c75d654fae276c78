"""Small stream models, one for each kind of operator, written as the project's own are; `_time` is the result's."""

from collections.abc import Callable

import pyarrow as pa

from tests.temporal.duck import INSTANT
from tests.temporal.render import Macros

COLUMNS = {
    "_enqueued_time": INSTANT,
    "_partition": pa.string(),
    "_sequence_number": pa.int64(),
    "event_time": INSTANT,
    "k": pa.string(),
    "_lake_hour": pa.string(),
}
MINUTE = 60_000


def _stream(m: Macros) -> str:
    return f"(select * from {m.stream('events')})"


def tumbling(m: Macros) -> str:
    return f"select k, {m.tumbling_end('_time', 5 * MINUTE)} as _time, count(*) as n from {_stream(m)} group by all"


def substreams(m: Macros) -> str:
    events = f"(select * from {m.stream('events', over=['k'])})"
    return f"select k, {m.tumbling_end('_time', 5 * MINUTE)} as _time, count(*) as n from {events} group by all"


def hopping(m: Macros) -> str:
    ends = m.unnested(m.hopping_ends("_time", 15 * MINUTE, 5 * MINUTE))
    windows = f"(select k, {ends} as window_end from {_stream(m)})"
    return f"select k, window_end as _time, count(*) as n from {windows} group by all"


def sliding(m: Macros) -> str:
    windows = m.sliding(_stream(m), "_time", 10 * MINUTE, ["k"], ["count(*) as n"])
    return f"select k, window_end as _time, n from {windows}"


def sessions(m: Macros) -> str:
    rows = m.sessions(_stream(m), "_time", ["k"], 30 * MINUTE, 60 * MINUTE)
    return f"select k, session_end as _time, session_start, count(*) as n from {rows} group by all"


def first_of_hour(m: Macros) -> str:
    first = m.is_first("_time", 60 * MINUTE, ["k"])
    return (
        f"select k, _time, _sequence_number from (select *, {first} as is_first from {_stream(m)}) where is_first = 1"
    )


def first_events(m: Macros) -> str:
    return f"select * from {m.first_events(_stream(m), '_time', 60 * MINUTE, ['k'], ['_time', '_sequence_number'])}"


def lag(m: Macros) -> str:
    return f"select k, _time, {m.lag_within('_sequence_number', '_time', 30 * MINUTE, ['k'])} as n from {_stream(m)}"


def last_hour(m: Macros) -> str:
    return f"select k, _time, {m.over_limit('count(*)', '_time', 60 * MINUTE, ['k'])} as n from {_stream(m)}"


def spikes(m: Macros) -> str:
    return _scored(m, m.spikes_and_dips(_measured(m), "v", "_time", 30 * MINUTE, 20, 90, ["k"]))


def changes(m: Macros) -> str:
    return _scored(m, m.change_points(_measured(m), "v", "_time", 30 * MINUTE, 20, 90, ["k"], when="v < 95"))


def _measured(m: Macros) -> str:
    return f"(select *, _sequence_number * 37 % 101 as v from {_stream(m)})"


def _scored(m: Macros, judged: str) -> str:
    """What engines compute alike up to the last bits of a double."""
    return (
        f"select k, _time, cast(round(least(score, 1000) * 100000) as bigint) as n, is_anomaly from {judged} as judged"
    )


def outer_join(m: Macros) -> str:
    time = m.join_time("l._time", "r._time", 15 * MINUTE)
    return (
        f"select l._sequence_number as l, r._sequence_number as r, {time} as _time "
        f"from {_stream(m)} as l left join {_stream(m)} as r "
        f"on l.k = 'a' and r.k = 'b' and {m.boundaries_crossed('mi', 'l._time', 'r._time')} between 0 and 15"
    )


# With each model, the hours that it looks back: its windows and 610 s, in whole hours.
MODELS: list[tuple[Callable[[Macros], str], int]] = [
    (tumbling, 1),
    (substreams, 1),
    (hopping, 1),
    (sliding, 1),
    (sessions, 3),
    (first_of_hour, 1),
    (first_events, 1),
    (lag, 1),
    (last_hour, 2),
    (spikes, 1),
    (changes, 2),
    (outer_join, 1),
]
