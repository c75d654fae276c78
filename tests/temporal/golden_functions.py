"""Analytic functions and aggregates (sections 4 and 5 of the reference)."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.temporal.golden import Question, Row, at, relation
from tests.temporal.render import Macros

COLUMNS = {
    "ts": "instant",
    "k": "varchar",
    "v": "bigint",
    "_enqueued_time": "instant",
    "_partition": "varchar",
    "_sequence_number": "bigint",
}


def analytic(
    statement: str,
    answer: Sequence[Any],
    expression: Callable[[Macros], str],
    *events: tuple[str, int | None] | tuple[str, int | None, str],
) -> Question:
    """The expression's value for each event (time, value[, key]), in the order in which they arrived."""
    given: list[Row] = [
        (at(e[0]), e[2] if len(e) == 3 else "a", e[1], at("12:00:00"), "0", number) for number, e in enumerate(events)
    ]

    def ask(m: Macros) -> str:
        return f"select _sequence_number as n, {expression(m)} as found from {relation(m, COLUMNS, given)} as e"

    return Question(statement, "n found", ask, list(enumerate(answer)))


def aggregate(
    statement: str,
    answer: Any,
    expression: Callable[[Macros], str],
    values: Sequence[float | None],
    kind: str = "bigint",
) -> Question:
    """The aggregate of the column v; n numbers its rows in the order of their arrival."""

    def ask(m: Macros) -> str:
        rows = relation(m, {"n": "bigint", "v": kind}, list(enumerate(values)))
        return f"select {expression(m)} as found from {rows} as e"

    return Question(statement, "found", ask, [(answer,)])


def applied(statement: str, answer: Sequence[Row], macro: str) -> Question:
    """Number, index and value of each element of arrays that are [7, None, 9], [5], empty and null, by APPLY."""

    def ask(m: Macros) -> str:
        some = relation(m, {"n": "bigint"}, [(1,), (2,), (3,), (4,)])
        whole = [f"cast({value} as bigint)" for value in (7, "null", 9, 5)]
        arrays = (
            f"(select n, case n when 1 then {m.list_of(whole[:3])} when 2 then {m.list_of(whole[3:])} "
            f"when 3 then {m.list_of([])} end as a from {some} as s)"
        )
        return f"select n, array_index as i, array_value as v from {getattr(m, macro)(arrays, 'a')} as x"

    return Question(statement, "n i v", ask, answer)


MINUTE, HOUR = 60_000, 3_600_000
ELEMENTS: list[Row] = [(1, 0, 7), (1, 1, None), (1, 2, 9), (2, 0, 5)]

QUESTIONS = [
    analytic(
        "ISFIRST is 1 for the first event of each aligned interval",
        [1, 0, 1],
        lambda m: m.is_first("ts", HOUR, ["k"]),
        ("10:59:00", 1),
        ("10:59:30", 1),
        ("11:00:01", 1),
    ),
    analytic(
        "ISFIRST: an event on the boundary belongs to the earlier interval",
        [1, 0, 1],
        lambda m: m.is_first("ts", HOUR, ["k"]),
        ("10:00:01", 1),
        ("11:00:00", 1),
        ("11:00:00.000001", 1),
    ),
    analytic(
        "ISFIRST counts each key on its own",
        [1, 1, 0],
        lambda m: m.is_first("ts", HOUR, ["k"]),
        ("10:00:01", 1, "a"),
        ("10:00:02", 1, "b"),
        ("10:00:03", 1, "a"),
    ),
    analytic(
        "ISFIRST: rows that fail WHEN get 0 and are not ranked; a condition that is null is false",
        [0, 0, 1, 0],
        lambda m: m.is_first("ts", HOUR, ["k"], "v > 1"),
        ("10:00:01", 1),
        ("10:00:02", None),
        ("10:00:03", 2),
        ("10:00:04", 3),
    ),
    analytic(
        "ISFIRST: of events of one time the first to arrive is first",
        [1, 0],
        lambda m: m.is_first("ts", HOUR),
        ("10:00:01", 1),
        ("10:00:01", 2),
    ),
    analytic(
        "LAG is the event before, null when there is none, the default if one is given",
        [None, 1, 2],
        lambda m: m.lag_within("v", "ts", MINUTE, ["k"]),
        ("10:00:01", 1),
        ("10:00:02", 2),
        ("10:00:02", 3),
    ),
    analytic(
        "LAG gives the default when none is there or it timed out",
        [-1, 1, -1],
        lambda m: m.lag_within("v", "ts", MINUTE, ["k"], default=-1),
        ("10:00:00", 1),
        ("10:00:59.999999", 2),
        ("10:02:00", 3),
    ),
    analytic(
        "LAG: an event exactly the limit old has timed out",
        [-1, -1],
        lambda m: m.lag_within("v", "ts", MINUTE, default=-1),
        ("10:00:00", 1),
        ("10:01:00", 2),
    ),
    analytic(
        "LAG: an event that is there with a null value gives null, not the default",
        [-1, None],
        lambda m: m.lag_within("v", "ts", MINUTE, default=-1),
        ("10:00:00", None),
        ("10:00:01", 2),
    ),
    analytic(
        "LAG counts back among candidates already filtered by key and WHEN",
        [None, None, None, None, 5, None],
        lambda m: m.lag_within("v", "ts", MINUTE, ["k"], offset=2, when="v > 1"),
        ("10:00:01", 5, "a"),
        ("10:00:02", 1, "a"),
        ("10:00:03", 7, "b"),
        ("10:00:04", 6, "a"),
        ("10:00:05", 0, "a"),
        ("10:00:06", 8, "b"),
    ),
    analytic(
        "LAG of offset 2 times out by the age of that event, not of those between",
        [None, None, None],
        lambda m: m.lag_within("v", "ts", MINUTE, offset=2),
        ("10:00:00", 1),
        ("10:00:50", 2),
        ("10:01:10", 3),
    ),
    analytic(
        "LAST is LAG with offset 0: the current event is a candidate",
        [1, 2],
        lambda m: m.last_within("v", "ts", MINUTE),
        ("10:00:01", 1),
        ("10:00:02", 2),
    ),
    analytic(
        "LAST: the newest event that meets WHEN, null when its value is, the default when it timed out",
        [-1, 5, 5, -1],
        lambda m: m.last_within("v", "ts", MINUTE, default=-1, when="v > 1"),
        ("10:00:01", 1),
        ("10:00:02", 5),
        ("10:01:01", 0),
        ("10:01:02", 1),
    ),
    analytic(
        "LAST of an event that meets WHEN with a null value is null",
        [None, None],
        lambda m: m.last_within("v", "ts", MINUTE, default=-1, when="v is null"),
        ("10:00:01", None),
        ("10:00:02", 5),
    ),
    analytic(
        "an aggregate OVER LIMIT DURATION keeps every row and includes the current one and all of its instant",
        [1, 3, 5, 5],
        lambda m: m.over_limit("sum(v)", "ts", MINUTE),
        ("10:00:00", 1),
        ("10:00:59.999999", 2),
        ("10:01:59.999998", None),
        ("10:01:59.999998", 3),
    ),
    analytic(
        "an aggregate OVER LIMIT DURATION does not hold an event exactly the limit old",
        [1, 1],
        lambda m: m.over_limit("count(*)", "ts", MINUTE),
        ("10:00:00", 1),
        ("10:01:00", 2),
    ),
    aggregate(
        "PERCENTILE_CONT(0.95) of five values lies at rank 3.8: 0.988",
        0.988,
        lambda m: m.percentile_cont(0.95, "v"),
        [0.1, 0.94, 0.5, 1.0, 0.3],
        "double",
    ),
    aggregate(
        "PERCENTILE_CONT(0.5) of an even number lies between", 2.5, lambda m: m.percentile_cont(0.5, "v"), [4, 1, 3, 2]
    ),
    aggregate("PERCENTILE_CONT of one value is that value", 7.0, lambda m: m.percentile_cont(0.99, "v"), [7]),
    aggregate("PERCENTILE_CONT ignores nulls", 2.0, lambda m: m.percentile_cont(0.5, "v"), [1, None, 3]),
    aggregate("PERCENTILE_CONT of only nulls is null", None, lambda m: m.percentile_cont(0.5, "v"), [None]),
    aggregate(
        "PERCENTILE_DISC is the first value whose cumulative share reaches p",
        2,
        lambda m: m.percentile_disc(0.5, "v"),
        [4, 1, 3, 2],
    ),
    aggregate(
        "PERCENTILE_DISC passes on when the share falls short", 3, lambda m: m.percentile_disc(0.51, "v"), [4, 1, 3, 2]
    ),
    aggregate(
        "PERCENTILE_DISC(0.07) of a hundred is the seventh: a share equal to p is enough",
        7,
        lambda m: m.percentile_disc(0.07, "v"),
        list(range(1, 101)),
    ),
    aggregate("PERCENTILE_DISC ignores nulls", 1, lambda m: m.percentile_disc(0.5, "v"), [None, 1, 3, None]),
    aggregate("TopOne is the first of its order", 2, lambda m: m.top_one("n", ["v desc"], ties=["n"]), [4, 1, 9, 3]),
    aggregate(
        "TopOne: null sorts as the smallest when ascending",
        1,
        lambda m: m.top_one("n", ["v"], ties=["n"]),
        [4, None, 1],
    ),
    aggregate(
        "TopOne: null sorts as the smallest when descending",
        0,
        lambda m: m.top_one("n", ["v desc"], ties=["n"]),
        [4, None, 1],
    ),
    aggregate(
        "TopOne: of equal rows the first to arrive", 1, lambda m: m.top_one("n", ["v desc"], ties=["n"]), [4, 9, 9]
    ),
    aggregate("TopOne may give null", None, lambda m: m.top_one("v", ["n"], ties=["n"]), [None, 9]),
    aggregate(
        "TopOne() is a record", {"n": 1, "v": 9}, lambda m: m.top_one(["n", "v"], ["v desc"], ties=["n"]), [4, 9]
    ),
    aggregate(
        "CollectTop is a list of rank, from 1, and value, of the first in order",
        [{"rank": 1, "value": 2}, {"rank": 2, "value": 0}],
        lambda m: m.collect_top(2, "n", ["v desc"], ties=["n"]),
        [4, 1, 9, 3],
    ),
    aggregate(
        "CollectTop of fewer rows than it may hold has them all",
        [{"rank": 1, "value": 1}, {"rank": 2, "value": 0}],
        lambda m: m.collect_top(3, "n", ["v asc"], ties=["n"]),
        [4, 1],
    ),
    aggregate(
        "CollectTop: null sorts as the smallest, ascending as descending, and may be a value",
        [{"rank": 1, "value": 4}, {"rank": 2, "value": 1}, {"rank": 3, "value": None}],
        lambda m: m.collect_top(3, "v", ["v desc"], ties=["n"]),
        [1, None, 4],
    ),
    aggregate(
        "CollectTop: null comes first when ascending",
        [{"rank": 1, "value": 1}, {"rank": 2, "value": 0}],
        lambda m: m.collect_top(2, "n", ["v"], ties=["n"]),
        [1, None, 4],
    ),
    aggregate(
        "CollectTop: of equal rows the first to arrive",
        [{"rank": 1, "value": 1}, {"rank": 2, "value": 2}],
        lambda m: m.collect_top(2, "n", ["v desc"], ties=["n"]),
        [4, 9, 9],
    ),
    aggregate(
        "CollectTop() has records, in order of several columns",
        [{"rank": 1, "value": {"n": 2, "v": 9}}, {"rank": 2, "value": {"n": 1, "v": 9}}],
        lambda m: m.collect_top(2, ["n", "v"], ["v desc", "n desc"], ties=[]),
        [4, 9, 9],
    ),
    applied(
        "CROSS APPLY GetArrayElements: a row an element, index from 0, none for an empty or null array",
        ELEMENTS,
        "cross_apply",
    ),
    applied(
        "OUTER APPLY GetArrayElements keeps the row of an empty or null array, with nulls",
        [*ELEMENTS, (3, None, None), (4, None, None)],
        "outer_apply",
    ),
    aggregate(
        "GetArrayElement is zero-based; null out of range",
        {"n": 5, "v": None},
        lambda m: (
            "max("
            + m.record(
                {
                    "n": m.element_at(m.list_of(["5", "6"]), "0"),
                    "v": "coalesce("
                    + m.element_at(m.list_of(["5", "6"]), "2")
                    + ", "
                    + m.element_at(m.list_of(["5", "6"]), "-1")
                    + ")",
                }
            )
            + ")"
        ),
        [1],
    ),
]
