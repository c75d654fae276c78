"""Joins (section 3 of the reference) and DATEDIFF (section 7)."""

from collections.abc import Sequence

from tests.temporal.golden import Question, at, relation
from tests.temporal.render import Macros

PARTS = {
    "year yy yyyy": [
        ("2025-12-31 23:59:59.999999", "2026-01-01 00:00:00", 1),
        ("2026-01-01 00:00:00", "2026-12-31 23:59:59", 0),
    ],
    "quarter qq q": [
        ("2026-03-31 23:59:59", "2026-04-01 00:00:00", 1),
        ("2025-12-31 00:00:00", "2026-07-01 00:00:00", 3),
    ],
    "month mm m": [
        ("2026-01-31 23:59:59", "2026-02-01 00:00:00", 1),
        ("2026-02-28 00:00:00", "2025-11-30 00:00:00", -3),
    ],
    "week wk ww": [
        ("2026-01-03 23:59:59", "2026-01-04 00:00:00", 1),
        ("2026-01-04 00:00:00", "2026-01-10 23:59:59", 0),
    ],
    "day dd d dayofyear dy y weekday dw w": [
        ("2026-01-05 23:59:59.999999", "2026-01-06 00:00:00", 1),
        ("1969-12-31 12:00:00", "1970-01-01 00:00:00", 1),
    ],
    "hour hh": [
        ("2026-01-05 09:59:59.999", "2026-01-05 10:00:00", 1),
        ("2026-01-05 10:00:00", "2026-01-05 09:59:59", -1),
    ],
    "minute mi n": [
        ("2026-01-05 10:00:59", "2026-01-05 10:01:00", 1),
        ("1969-12-31 23:59:30", "1970-01-01 00:00:30", 1),
    ],
    "second ss s": [
        ("2026-01-05 10:00:00.999", "2026-01-05 10:00:01", 1),
        ("2026-01-05 10:00:00", "2026-01-05 10:00:00.999", 0),
    ],
    "millisecond ms": [("2026-01-05 10:00:00.000999", "2026-01-05 10:00:00.001", 1)],
    "microsecond mcs": [("2026-01-05 10:00:00.000001", "2026-01-05 10:00:00", -1)],
}


def datediff(part: str, a: str, b: str, crossed: int) -> Question:
    """DATEDIFF(part, a, b)."""

    def ask(m: Macros) -> str:
        pair = relation(m, {"a": "instant", "b": "instant"}, [tuple(at(*reversed(x.split(" "))) for x in (a, b))])
        return f"select {m.boundaries_crossed(part, 'a', 'b')} as n from {pair} as p"

    return Question(f"DATEDIFF({part}) from {a} to {b} is {crossed}", "n", ask, [(crossed,)])


def joined(
    statement: str,
    answer: Sequence[tuple[str, str | None, str]],
    left: Sequence[tuple[str, str | None]],
    right: Sequence[tuple[str, str | None]],
    between: str = "between 0 and 15",
    part: str = "minute",
    outer_bound_ms: int | None = None,
) -> Question:
    """Pairs of one key with DATEDIFF(part, left, right) in bounds: left time, right time, and the result's time."""
    columns = {"ts": "instant", "k": "varchar"}

    def ask(m: Macros) -> str:
        sides = [relation(m, columns, [(at(time), key) for time, key in side]) for side in (left, right)]
        return (
            f"select {m.micros_of('l.ts')} as l, {m.micros_of('r.ts')} as r, "
            f"{m.micros_of(m.join_time('l.ts', 'r.ts', outer_bound_ms))} as t "
            f"from {sides[0]} as l {'inner' if outer_bound_ms is None else 'left'} join {sides[1]} as r "
            f"on l.k = r.k and {m.boundaries_crossed(part, 'l.ts', 'r.ts')} {between}"
        )

    return Question(statement, "l r t", ask, [(at(x), None if r is None else at(r), at(t)) for x, r, t in answer])


def looked_up(
    statement: str,
    answer: Sequence[tuple[str, str | None]],
    times: Sequence[str],
    keys: Sequence[str],
    kind: str = "inner",
) -> Question:
    """The version, by the snapshot's key, that an event of user 1 at each time sees."""

    def ask(m: Macros) -> str:
        # User 1 is in every snapshot, user 2 in none.
        snapshots = relation(m, {"id": "bigint", "_snapshot": "varchar"}, [(1, key) for key in keys])
        users = [1] if kind == "inner" else [1, 2]
        events = relation(m, {"_time": "instant", "user_id": "bigint"}, [(at(t), u) for t in times for u in users])
        reference = Macros(m.dialect, sources={"users_snapshots": snapshots, "users_accepted": snapshots}).reference(
            "users"
        )
        return (
            f"select {m.micros_of('_time')} as t, user_id as u, _snapshot as s "
            f"from {events} as e {kind} join {reference} as r "
            "on r.id = e.user_id and e._time >= r._valid_from and e._time < r._valid_to"
        )

    rows = [(at(time), 1, key) for time, key in answer]
    return Question(statement, "t u s", ask, rows if kind == "inner" else [*rows, *((t, 2, None) for t, _, _ in rows)])


ONE, TWO = "2026-01-05T100000Z", "2026-01-05T110000Z"

QUESTIONS = [
    *(datediff(part, a, b, n) for parts, cases in PARTS.items() for part in parts.split() for a, b, n in cases),
    *(
        datediff("minute", f"2026-01-05 {a}", f"2026-01-05 {b}", n)
        for a, b, n in [
            ("10:00:59", "10:15:01", 15),
            ("10:00:00", "10:15:59.999", 15),
            ("10:00:59", "10:16:00", 16),
            ("10:00:59", "10:00:01", 0),
            ("10:15:01", "10:00:59", -15),
        ]
    ),
    joined(
        "a stream join takes pairs by the boundaries between them, not by the time elapsed; its time is the later one",
        [("10:00:59", "10:15:01", "10:15:01"), ("10:00:00", "10:15:59.999", "10:15:59.999")],
        [("10:00:59", "a"), ("10:00:00", "b")],
        [("10:15:01", "a"), ("10:16:00", "a"), ("10:15:59.999", "b"), ("10:16:00", "b")],
    ),
    joined(
        "in one minute the right event may come before the left, and the time is still the later one",
        [("10:00:59", "10:00:01", "10:00:59")],
        [("10:00:59", "a")],
        [("10:00:01", "a")],
    ),
    joined(
        "negative bounds are normal",
        [("10:10:00", "10:08:00", "10:10:00"), ("10:10:00", "10:20:59", "10:20:59")],
        [("10:10:00", "a")],
        [("10:07:59", "a"), ("10:08:00", "a"), ("10:20:59", "a"), ("10:21:00", "a")],
        "between -2 and 10",
    ),
    joined(
        "bounds may be strict",
        [("10:00:01", "10:00:00", "10:00:01")],
        [("10:00:01", "a")],
        [("10:00:00", "a"), ("10:00:01", "a")],
        "< 0",
        "second",
    ),
    joined(
        "all matching pairs are returned; duplicates multiply",
        [("10:00:00", "10:01:00", "10:01:00")] * 4,
        [("10:00:00", "a")] * 2,
        [("10:01:00", "a")] * 2,
    ),
    joined(
        "a LEFT JOIN's match has the later time, a miss that of the left plus the upper bound",
        [("10:00:00", "10:01:00", "10:01:00"), ("10:00:30", None, "10:15:30")],
        [("10:00:00", "a"), ("10:00:30", "b")],
        [("10:01:00", "a"), ("10:16:00", "b")],
        outer_bound_ms=15 * 60_000,
    ),
    joined(
        "null keys never match; a LEFT row survives with nulls",
        [("10:00:00", None, "10:15:00")],
        [("10:00:00", None)],
        [("10:00:00", None)],
        outer_bound_ms=15 * 60_000,
    ),
    looked_up(
        "an event sees the newest version whose time is not after its own, and keeps its time",
        [("10:00:00", ONE), ("10:59:59.999999", ONE), ("11:00:00", TWO), ("23:00:00", TWO)],
        ["10:00:00", "10:59:59.999999", "11:00:00", "23:00:00"],
        [ONE, TWO],
    ),
    looked_up("an event before the first version sees the first", [("01:00:00", ONE)], ["01:00:00"], [ONE, TWO]),
    looked_up(
        "a LEFT JOIN keeps the event that no version knows", [("12:00:00", TWO)], ["12:00:00"], [ONE, TWO], "left"
    ),
]
