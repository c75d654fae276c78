"""TIMESTAMP BY: early, late and out-of-order events (section 1 of the reference)."""

from dataclasses import replace

from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.sources import data_sets_of_events
from dagster_lake.settings.lake import DBT_PROJECT
from tests.temporal.golden import Question, Row, at, relation
from tests.temporal.render import Macros

COLUMNS = {
    "_enqueued_time": "instant",
    "_partition": "varchar",
    "_sequence_number": "bigint",
    "event_time": "instant",
    "_lake_hour": "varchar",
    "device": "varchar",
}


def ingested(
    statement: str,
    answer: dict[int, str],
    *events: tuple[str, str | None] | tuple[str, str, str],
    devices: str = "",
    late_ms: int = 60_000,
    out_of_order_ms: int = 50_000,
    policy: str = "adjust",
) -> Question:
    """Events as (arrival, event time[, partition]), numbered from 1; the answer is the time of each that is kept.

    With ``devices``, a letter for each event (- is null), each has a watermark of its own."""
    names = [None if name == "-" else name for name in devices or "a" * len(events)]
    over = ["device"] if devices else []
    given: list[Row] = [
        (at(event[0]), event[2] if len(event) == 3 else "0", number, event[1] and at(event[1]), "2026-01-05T09", device)
        for number, (event, device) in enumerate(zip(events, names, strict=True), 1)
    ]

    def ask(m: Macros) -> str:
        silver = Macros(m.dialect, sources={"pageviews": relation(m, COLUMNS, given)})
        stream = silver.stream("pageviews", late_ms, out_of_order_ms, policy, over)
        times = f"{m.micros_of('_time')} as t, {m.micros_of('event_time')} as event"
        return f"select _sequence_number as n, {times} from {stream} as s"

    return Question(statement, "n t event", ask, [(n, at(time), given[n - 1][3]) for n, time in answer.items()])


def final(statement: str, answer: dict[str, bool], runs: dict[str, list[tuple[str, str, str]]]) -> Question:
    """Whether rows of these times are final, events being up to 60 s late; ``runs`` say (start, end, known)."""
    given = {name: [[at(time) for time in run] for run in of] for name, of in runs.items()}

    def ask(m: Macros) -> str:
        asked = Macros(m.dialect, {"final_runs": {"1": given}}, 1, sources={"pageviews": "", "stars": ""})
        times = relation(m, {"ts": "instant"}, [(at(time),) for time in answer])
        return f"select {m.micros_of('ts')} as t, {asked.is_final('ts')} as final from {times} as r"

    return Question(statement, "t final", ask, [(at(time), told) for time, told in answer.items()])


def counted_with_a_new_contract(statement: str, new: str) -> Question:
    """How many events of each data set ``events_in_time`` counts, of one contract more, too; two in each."""
    known = {"pageviews": contracts()["pageviews"]}
    given: list[Row] = [(at("10:00:05"), "0", number, at("10:00:00"), "2026-01-05T10", "a") for number in (1, 2)]
    names = data_sets_of_events({**known, new: replace(known["pageviews"], name=new)})
    assert new in names

    def ask(m: Macros) -> str:
        silver = Macros(m.dialect, sources=dict.fromkeys(names, relation(m, COLUMNS, given)))
        model = (DBT_PROJECT / "models" / "streams" / "events_in_time.sql").read_text()
        counts = silver.render(model, data_sets_of_events=lambda: names)
        return f"select data_set, events, dropped from ({counts}) as c"

    return Question(statement, "data_set events dropped", ask, [(name, 2, 0) for name in names])


QUESTIONS = [
    counted_with_a_new_contract("the events of a new contract are counted with no line of SQL", "clicks"),
    final(
        "a row is final when all is known that arrived up to a minute after its time",
        {"10:00:00": False, "10:00:00.000001": True, "10:39:00": True, "10:39:00.000001": False, "10:59:00": False},
        {"pageviews": [("10:00:00", "11:00:00", "10:40:00")]},
    ),
    final(
        "rows are final to the end of their hour when the next hour is known",
        {"11:00:00": True, "11:00:00.000001": False, "12:30:00": True, "13:00:00": False},
        {"pageviews": [("09:00:00", "11:00:00", "12:00:00"), ("12:00:00", "13:00:00", "13:00:00")]},
    ),
    final(
        "of two data sets the one that is less known decides",
        {"10:20:00": True, "10:20:00.000001": False},
        {
            "pageviews": [("10:00:00", "11:00:00", "12:00:00")],
            "stars": [("10:00:00", "11:00:00", "10:21:00")],
        },
    ),
    final("nothing is final where nothing is known", {"10:20:00": False}, {"pageviews": []}),
    final(
        "nothing is final in an hour of which less than a minute is known",
        {"10:00:00.000001": False},
        {"pageviews": [("10:00:00", "11:00:00", "10:00:50")]},
    ),
    ingested("an event without a time is dropped", {2: "10:00:00"}, ("10:00:05", None), ("10:00:05", "10:00:00")),
    ingested("an event in time keeps its time", {1: "10:00:00"}, ("10:00:05", "10:00:00")),
    ingested("lateness equal to the tolerance is untouched", {1: "10:00:00"}, ("10:01:00", "10:00:00")),
    ingested(
        "adjust sets a later one to its arrival less the tolerance",
        {1: "10:00:00.000001"},
        ("10:01:00.000001", "10:00:00"),
    ),
    ingested("drop discards a later one", {}, ("10:01:00.000001", "10:00:00"), policy="drop"),
    ingested("drop keeps lateness equal to the tolerance", {1: "10:00:00"}, ("10:01:00", "10:00:00"), policy="drop"),
    ingested(
        "more than five minutes ahead of its arrival is dropped, and does not move the watermark",
        {2: "10:00:00"},
        ("10:00:00", "10:05:00.000001"),
        ("10:00:01", "10:00:00"),
    ),
    ingested(
        "exactly five minutes ahead is kept, and moves the watermark",
        {1: "10:05:00", 2: "10:04:10"},
        ("10:00:00", "10:05:00"),
        ("10:00:01", "10:00:00"),
    ),
    ingested(
        "adjust sets an event below the watermark to the watermark",
        {1: "10:00:00", 2: "09:59:10"},
        ("10:00:00", "10:00:00"),
        ("10:00:01", "09:59:09.999999"),
    ),
    ingested(
        "equal to the watermark is kept",
        {1: "10:00:00", 2: "09:59:10"},
        ("10:00:00", "10:00:00"),
        ("10:00:01", "09:59:10"),
        policy="drop",
    ),
    ingested(
        "equal to the watermark is kept, however soon a later event raises it",
        {1: "10:00:00", 2: "09:59:10", 3: "10:00:00.2"},
        ("10:00:00", "10:00:00"),
        ("10:00:00.1", "09:59:10"),
        ("10:00:00.2", "10:00:00.2"),
        policy="drop",
    ),
    ingested(
        "drop discards an event below the watermark",
        {1: "10:00:00"},
        ("10:00:00", "10:00:00"),
        ("10:00:01", "09:59:09.999999"),
        policy="drop",
    ),
    ingested(
        "order is judged after the late rule: the time is the greatest of event, arrival - late and watermark",
        {1: "10:00:00", 2: "09:59:10", 3: "09:59:30", 4: "09:59:20"},
        ("10:00:00", "10:00:00"),
        ("10:00:01", "09:50:00"),
        ("10:00:02", "09:59:30"),
        ("10:00:20", "09:59:12"),
    ),
    ingested(
        "the watermark is the greatest time seen, not the newest",
        {1: "10:00:40", 2: "10:00:01", 3: "09:59:50"},
        ("10:00:00", "10:00:40"),
        ("10:00:01", "10:00:01"),
        ("10:00:02", "09:59:45"),
    ),
    ingested(
        "an event that came early holds the watermark up for five minutes, from one hour into the next",
        {1: "09:59:51", 2: "09:59:01", 3: "09:59:01.000001"},
        ("09:54:51", "09:59:51"),
        ("10:00:00.5", "09:50:00"),
        ("10:00:01.000001", "09:50:00"),
    ),
    ingested(
        "with a tolerance of 0 every event out of order is adjusted to the greatest time before it",
        {1: "10:00:05", 2: "10:00:05", 3: "10:00:06"},
        ("10:00:05", "10:00:05"),
        ("10:00:06", "10:00:04"),
        ("10:00:07", "10:00:06"),
        late_ms=5000,
        out_of_order_ms=0,
    ),
    ingested(
        "of events that arrive at one instant the partition and the number say which came first",
        {1: "10:04:10", 2: "10:05:00", 3: "10:04:10", 4: "10:00:00"},
        ("10:00:00", "10:00:00", "1"),
        ("10:00:00", "10:05:00", "0"),
        ("10:00:00", "10:00:00", "0"),
        ("09:59:59", "10:00:00", "1"),
    ),
    ingested(
        "a late event does not move the watermark for those that follow",
        {1: "10:00:00", 2: "09:59:10", 3: "10:00:02"},
        ("10:00:00", "10:00:00"),
        ("10:00:01", "08:00:00"),
        ("10:00:02", "10:00:02"),
    ),
    ingested(
        "a clock four minutes fast moves the events of all others up to its own, less the tolerance",
        {1: "10:04:00", 2: "10:03:10"},
        ("10:00:00", "10:04:00"),
        ("10:00:01", "10:00:00"),
    ),
    ingested(
        "OVER: a clock four minutes fast moves nobody else's events, and its own that are behind it",
        {1: "10:04:00", 2: "10:00:00", 3: "10:03:10", 4: "10:00:02"},
        ("10:00:00", "10:04:00"),
        ("10:00:01", "10:00:00"),
        ("10:00:02", "10:00:01"),
        ("10:00:03", "10:00:02"),
        devices="abab",
    ),
    ingested(
        "OVER: drop discards what is out of order in its own substream only",
        {1: "10:04:00", 2: "10:00:00"},
        ("10:00:00", "10:04:00"),
        ("10:00:01", "10:00:00"),
        ("10:00:02", "10:00:01"),
        devices="aba",
        policy="drop",
    ),
    ingested(
        "OVER: lateness stays global: it is judged by the arrival, in every substream",
        {1: "10:00:00", 2: "10:01:00.000001"},
        ("10:00:00", "10:00:00"),
        ("10:02:00.000001", "10:00:00"),
        devices="ab",
    ),
    ingested(
        "OVER: early is dropped in every substream, and moves no watermark",
        {2: "10:00:00"},
        ("10:00:00", "10:05:00.000001"),
        ("10:00:01", "10:00:00"),
        devices="aa",
    ),
    ingested(
        "OVER: events without a key are one substream",
        {1: "10:04:00", 2: "10:03:10", 3: "10:00:00"},
        ("10:00:00", "10:04:00"),
        ("10:00:01", "10:00:00"),
        ("10:00:02", "10:00:00"),
        devices="--a",
    ),
]
