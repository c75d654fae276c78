"""Spikes, dips and change points: what the functions' pages say, and scores as the plain model gives them."""

from collections.abc import Sequence
from random import Random

from tests.temporal import anomalies, model
from tests.temporal.golden import Question, Row, at, relation
from tests.temporal.golden_functions import COLUMNS
from tests.temporal.render import Macros

HOUR = 3_600_000
FLAT = [100 + n % 7 for n in range(30)]
"""Thirty values about 103."""


def judged(
    statement: str,
    answer: Sequence[int],
    values: Sequence[int | None],
    macro: str = "spikes_and_dips",
    *,
    confidence: int = 95,
    of_last: int | None = None,
    history: int = 30,
    **named: str,
) -> Question:
    """Which events are anomalies (their places), one a second; of the last few alone, when it says so."""
    given: list[Row] = [(at("10:00:00") + n * 1_000_000, "a", v, at("12:00:00"), "0", n) for n, v in enumerate(values)]

    def ask(m: Macros) -> str:
        events = relation(m, COLUMNS, given)
        found = getattr(m, macro)(events, "v", "ts", HOUR, history, confidence, ["k"], **named)
        since = 0 if of_last is None else len(values) - of_last
        return f"select _sequence_number as n from {found} as f where is_anomaly = 1 and _sequence_number >= {since}"

    return Question(statement, "n", ask, [(n,) for n in answer])


def scored(statement: str, macro: str, parts: int) -> Question:
    """Score of each event of two keys, as whole ``parts`` of one, and whether it is an anomaly; some have no value."""
    draw = Random(7)
    values = [None if n % 17 == 5 else draw.randint(100, 200) + (300 if n > 60 else 0) for n in range(90)]
    events = [model.Event(at("10:00:00") + n * 7_000_000, "ab"[n % 2], v) for n, v in enumerate(values)]
    given: list[Row] = [(e.time, e.key, e.value, at("12:00:00"), "0", n) for n, e in enumerate(events)]
    limit = 240_000
    wanted = getattr(anomalies, macro)(events, limit * 1000, 14, 95)

    def ask(m: Macros) -> str:
        found = getattr(m, macro)(relation(m, COLUMNS, given), "v", "ts", limit, 14, 95, ["k"])
        score = f"cast(round(case when score > 1000 then 1000 else score end * {parts}) as bigint)"
        return f"select _sequence_number as n, {score} as score, is_anomaly as anomaly from {found} as f"

    return Question(
        statement,
        "n score anomaly",
        ask,
        [(n, None if s is None else round(min(s, 1000) * parts), one) for n, (s, one) in enumerate(wanted)],
    )


QUESTIONS = [
    judged("a spike is far above the events before it, and what follows is none", [30], [*FLAT, 500, 103, 101]),
    judged("a dip is found, too, when spikes and dips are asked for", [30], [*FLAT, 3, 103]),
    judged("mode spikes leaves dips alone", [31], [*FLAT, 3, 500], mode="spikes"),
    judged("mode dips leaves spikes alone", [30], [*FLAT, 3, 500], mode="dips"),
    judged("fewer than ten events before it judge nothing", [], [*FLAT[:9], 500]),
    judged("ten are enough", [10], [*FLAT[:10], 500]),
    judged("of values that were all alike any other is an anomaly", [12], [*[5] * 12, 6]),
    judged("the lower the confidence, the more anomalies: none at 100", [], [*FLAT, 500], confidence=100),
    judged("a value at the edge is one at a low confidence", [30], [*FLAT, 106], confidence=70, of_last=1),
    judged("and is none at a high one", [], [*FLAT, 106], confidence=99, of_last=1),
    judged("events that fail WHEN are not judged, and judge none", [31], [*FLAT, 500, 600], when="v <> 500"),
    judged("an event without a value is none, and judges none", [31], [*FLAT, None, 500]),
    judged("one spike is no change point", [], [*FLAT, 500, *FLAT[:10]], "change_points"),
    judged(
        "values that are others from now on are a change point, told after a few of them",
        [32, 33, 34],
        [*FLAT, *[500 + n % 7 for n in range(5)]],
        "change_points",
        confidence=95,
    ),
    judged(
        "a change point takes longer at a higher confidence", [], [*FLAT, 500, 501, 502], "change_points", confidence=99
    ),
    scored("spikes and dips have the scores of the plain model, key by key", "spikes_and_dips", 10_000),
    scored("change points have the scores of the plain model, key by key", "change_points", 100),
]
