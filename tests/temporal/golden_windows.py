"""Windows (section 2 of the reference): which events they hold, and the time of their results."""

from collections.abc import Sequence
from typing import Any

from tests.temporal.golden import Question, at, relation
from tests.temporal.render import Macros

COLUMNS = {"ts": "instant", "k": "varchar"}
MINUTE = 60_000


def _events(m: Macros, times: Sequence[str]) -> str:
    """Events such as "10:00:01" or "10:00:01 a", the word being the key."""
    split = [(time + " ").split(" ")[:2] for time in times]
    return relation(m, COLUMNS, [(at(time), key or None) for time, key in split])


def aligned(
    statement: str, ends: dict[str, int], *times: str, size: int, hop: int | None = None, offset: int = 0
) -> Question:
    """The number of events in each tumbling window, or hopping if there is a hop (durations in ms)."""

    def ask(m: Macros) -> str:
        end = m.tumbling_end("ts", size, offset)
        if hop is not None:
            end = m.unnested(m.hopping_ends("ts", size, hop, offset))
        windows = f"(select {end} as window_end from {_events(m, times)} as e) as w"
        return f"select {m.micros_of('window_end')} as t, count(*) as n from {windows} group by window_end"

    return Question(statement, "t n", ask, [(at(end), n) for end, n in ends.items()])


def keyed(statement: str, answer: dict[tuple[str, str | None], int], *times: str) -> Question:
    """The number of events of each key in tumbling windows of 5 minutes."""

    def ask(m: Macros) -> str:
        windows = f"(select {m.tumbling_end('ts', 5 * MINUTE)} as window_end, k from {_events(m, times)} as e) as w"
        return f"select {m.micros_of('window_end')} as t, k, count(*) as n from {windows} group by window_end, k"

    return Question(statement, "t k n", ask, [(at(end), k, n) for (end, k), n in answer.items()])


def slides(statement: str, answer: dict[str, int], *times: str, keys: Sequence[str] = ()) -> Question:
    """The number of events in each sliding window of 10 seconds; with a key, times in the answer name it."""

    def ask(m: Macros) -> str:
        windows = m.sliding(_events(m, times), "ts", 10_000, list(keys), ["count(*) as n"])
        key = "k" if keys else "null as k"
        return f"select {m.micros_of('window_end')} as t, {key}, n from {windows} as w"

    split = [((end + " ").split(" ")[:2], n) for end, n in answer.items()]
    return Question(statement, "t k n", ask, [(at(end), key or None, n) for (end, key), n in split])


def session(
    statement: str, answer: Sequence[tuple[str, str, int]], *times: str, keys: Sequence[str] = (), by: str = "null"
) -> Question:
    """Start, end and number of events of each session; timeout 5 minutes, at most 10; ``by`` is the GROUP BY key."""

    def ask(m: Macros) -> str:
        rows = m.sessions(_events(m, times), "ts", list(keys), 5 * MINUTE, 10 * MINUTE)
        return (
            f"select {m.micros_of('session_start')} as s, {m.micros_of('session_end')} as e, count(*) as n, g "
            f"from (select session_start, session_end, {by} as g from {rows} as r) as w "
            "group by session_start, session_end, g"
        )

    ends = [(at(s), at(e.split(" ")[0]), n, e.split(" ")[1] if " " in e else None) for s, e, n in answer]
    return Question(statement, "s e n g", ask, ends)


def several(
    statement: str, of: list[dict[str, Any]], answer: list[tuple[str | None, str, int]], *times: str
) -> Question:
    """Id, end and number of events of each window of Windows()."""

    def ask(m: Macros) -> str:
        windows = m.windows(_events(m, times), "ts", [], ["count(*) as n"], of)
        return f"select window_id as id, {m.micros_of('window_end')} as t, n from {windows} as w"

    return Question(statement, "id t n", ask, [(name, at(end), n) for name, end, n in answer])


def _snapshots(m: Macros) -> str:
    times = ["10:00:01", "10:00:01", "10:00:01.000001"]
    return f"select {m.micros_of('ts')} as t, count(*) as n from {_events(m, times)} as e group by ts"


TEN = {"size": 10_000, "hop": 5_000}

QUESTIONS = [
    aligned(
        "a tumbling window is (start,end]: an event on a boundary is in the window that ends there",
        {"10:05:00": 2, "10:10:00": 1},
        "10:00:00.000001",
        "10:05:00",
        "10:05:00.000001",
        size=5 * MINUTE,
    ),
    aligned(
        "windows are aligned to the zeroth hour, not to the first event; the result's time is the window's end",
        {"10:05:00": 1, "10:10:00": 1},
        "10:03:30",
        "10:08:29",
        size=5 * MINUTE,
    ),
    aligned(
        "a window without events produces no row",
        {"10:05:00": 1, "10:20:00": 1},
        "10:04:00",
        "10:16:00",
        size=5 * MINUTE,
    ),
    aligned(
        "Offset(millisecond,-1) includes the start and excludes the end, and the reported end is x.999",
        {"10:04:59.999": 1, "10:09:59.999": 2},
        "10:04:59.999",
        "10:05:00",
        "10:09:59.999",
        size=5 * MINUTE,
        offset=-1,
    ),
    aligned(
        "with Offset(millisecond,-1) the last 0.9999 ms of an interval leak to the next window",
        {"10:09:59.999": 1},
        "10:04:59.999001",
        size=5 * MINUTE,
        offset=-1,
    ),
    aligned(
        "an offset of an hour moves windows of a day",
        {"01:00:00": 1},
        "00:59:59",
        size=1440 * MINUTE,
        offset=60 * MINUTE,
    ),
    keyed(
        "null keys are one group",
        {("10:05:00", None): 2, ("10:05:00", "a"): 1},
        "10:01:00",
        "10:02:00",
        "10:03:00 a",
    ),
    aligned(
        "a hopping window ends at every hop multiple and covers the size before it, at the edges too",
        {"10:00:05": 1, "10:00:10": 2, "10:00:15": 1, "10:00:30": 1, "10:00:35": 1},
        "10:00:01",
        "10:00:07",
        "10:00:30",
        **TEN,
    ),
    aligned(
        "a hopping window is (start,end]",
        {"10:00:05": 1, "10:00:10": 2, "10:00:15": 1},
        "10:00:05",
        "10:00:05.000001",
        **TEN,
    ),
    aligned(
        "a hop as long as the window is tumbling", {"10:00:10": 2}, "10:00:00.5", "10:00:10", size=10_000, hop=10_000
    ),
    aligned(
        "with a hop longer than the window an event between windows is in none",
        {"10:00:20": 1},
        "10:00:05",
        "10:00:15",
        size=10_000,
        hop=20_000,
    ),
    aligned(
        "a hopping window's offset moves its ends",
        {"10:00:06": 1, "10:00:11": 1},
        "10:00:06",
        size=10_000,
        hop=5_000,
        offset=1_000,
    ),
    slides(
        "a sliding window is reported when an event enters and when it leaves; empty content emits nothing",
        {"10:00:01": 1, "10:00:05": 2, "10:00:11": 1},
        "10:00:01",
        "10:00:05",
    ),
    slides(
        "one event enters and another leaves at one instant: one row",
        {"10:00:01": 1, "10:00:11": 1},
        "10:00:01",
        "10:00:11",
    ),
    slides("several enter at one instant: one row", {"10:00:01": 2}, "10:00:01", "10:00:01"),
    slides(
        "a change of one key does not report another",
        {"10:00:01 a": 1, "10:00:05 b": 1, "10:00:07 a": 2, "10:00:11 a": 1},
        "10:00:01 a",
        "10:00:05 b",
        "10:00:07 a",
        keys=["k"],
    ),
    session(
        "a gap equal to the timeout extends the session, which ends a timeout after its last event",
        [("10:01:00", "10:11:00", 2)],
        "10:01:00",
        "10:06:00",
    ),
    session(
        "a tick more than the timeout starts a new session",
        [("10:01:00", "10:06:00", 1), ("10:06:00.000001", "10:11:00.000001", 1)],
        "10:01:00",
        "10:06:00.000001",
    ),
    session(
        "the maximum is tested only at its global multiples, so that a session may last almost twice as long",
        [("10:00:00.000001", "10:20:00", 5), ("10:20:00", "10:28:00", 1)],
        "10:00:00.000001",
        "10:04:00",
        "10:08:00",
        "10:13:00",
        "10:18:00",
        "10:23:00",
    ),
    session(
        "a session that opened at a multiple of the maximum is cut at the next",
        [("10:00:00", "10:10:00", 3), ("10:10:00", "10:17:00", 1)],
        "10:00:00",
        "10:04:00",
        "10:08:00",
        "10:12:00",
    ),
    session(
        "after a cut a session opens at the cut and is cut a maximum later",
        [("10:08:00", "10:20:00", 4), ("10:20:00", "10:30:00", 2), ("10:30:00", "10:37:00", 1)],
        "10:08:00",
        "10:12:00",
        "10:16:00",
        "10:19:00",
        "10:23:00",
        "10:28:00",
        "10:32:00",
    ),
    session(
        "an event at the cut is of the session before, and a session that opens without events emits nothing",
        [("10:08:00", "10:20:00", 4)],
        "10:08:00",
        "10:12:00",
        "10:16:00",
        "10:20:00",
    ),
    session(
        "a session that times out at the cut ends once",
        [("10:08:00", "10:20:00", 3)],
        "10:08:00",
        "10:12:00",
        "10:15:00",
    ),
    session(
        "without OVER one session spans all keys; GROUP BY keys split the aggregate inside it",
        [("10:00:01", "10:09:00 a", 2), ("10:00:01", "10:09:00 b", 1)],
        "10:00:01 a",
        "10:02:00 b",
        "10:04:00 a",
        by="k",
    ),
    session(
        "with OVER (PARTITION BY) each key has its own",
        [("10:00:01", "10:05:01 a", 1), ("10:02:00", "10:07:00 b", 1), ("10:06:00", "10:11:00 a", 1)],
        "10:00:01 a",
        "10:02:00 b",
        "10:06:00 a",
        keys=["k"],
        by="k",
    ),
    Question(
        "a snapshot window groups exactly equal timestamps and keeps their time",
        "t n",
        _snapshots,
        [(at("10:00:01"), 2), (at("10:00:01.000001"), 1)],
    ),
    several(
        "Windows() is the union of its windows, told apart by their ids",
        [
            {"id": "five", "kind": "tumbling", "size_ms": 5 * MINUTE},
            {"id": "ten", "kind": "hopping", "size_ms": 10 * MINUTE, "hop_ms": 5 * MINUTE},
            {"id": "slide", "kind": "sliding", "size_ms": MINUTE},
            {"id": "visit", "kind": "session", "timeout_ms": 5 * MINUTE, "max_ms": 10 * MINUTE},
        ],
        [
            ("five", "10:05:00", 1),
            ("five", "10:10:00", 1),
            ("ten", "10:05:00", 1),
            ("ten", "10:10:00", 2),
            ("ten", "10:15:00", 1),
            ("slide", "10:01:00", 1),
            ("slide", "10:06:00", 1),
            ("visit", "10:11:00", 2),
        ],
        "10:01:00",
        "10:06:00",
    ),
    several(
        "the id of unnamed windows is null, and equal windows give equal rows",
        [{"kind": "tumbling", "size_ms": MINUTE}, {"kind": "tumbling", "size_ms": MINUTE}],
        [(None, "10:01:00", 1), (None, "10:01:00", 1)],
        "10:00:30",
    ),
]
