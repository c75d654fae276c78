"""Which of several equal rows stays, against a naive model that reads the rule's words."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_lake.contract.model import DatabaseSource, FileSource, Property
from dagster_lake.lake_hour import HOUR, hour_key
from tests.depth import examples
from tests.unit.compiled import HOUR as ONE_HOUR
from tests.unit.compiled import LANDED, SNAPSHOT, Row, contract, events, position, run

QUIET = settings(max_examples=examples(25, 60), deadline=None)
FIRST = datetime(2026, 1, 5, tzinfo=UTC)
EVENTS = events([Property("n", "integer", "d", required=True)])
ID = Property("id", "integer", "d", required=True, key=True)
FILES = contract(FileSource("json_lines"), [ID], [Property("n", "integer", "d", required=True)])
UPDATED = Property("updated_at", "timestamp", "d", required=True)
TABLE = contract(DatabaseSource("t", "updated_at"), [ID], [UPDATED, Property("n", "integer", "d")])

arrivals = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 60), st.integers(0, 3), st.sampled_from("01"), st.booleans()),
    max_size=25,
)


def event(number: int, key: str, hour: int, second: int, partition: str, valid: bool) -> Row:
    return {
        "body": json.dumps({"event_id": key, "n": number if valid else "bad"}).encode(),
        "_enqueued_time": FIRST + hour * HOUR + timedelta(seconds=1 + second),
        "_partition": partition,
        "_sequence_number": number,
        "_source_file": "f",
        "_source_row": number,
        "_ingested_at": LANDED,
        "_lake_hour": hour_key(FIRST + hour * HOUR),
        "key": key,
        "hour": hour,
        "valid": valid,
    }


@QUIET
@given(arrivals, st.randoms(use_true_random=False))
def test_the_earliest_event_within_24_hours_wins_whatever_order_they_are_read_in(
    given_: list[tuple[str, int, int, str, bool]], order: random.Random
) -> None:
    rows = [event(number, *arrival) for number, arrival in enumerate(given_)]
    wanted = set()
    for row in rows:
        rivals = [
            other
            for other in rows
            if other["valid"]
            and other["key"] == row["key"]
            and position(other, EVENTS) < position(row, EVENTS)
            and row["hour"] - other["hour"] <= 24
        ]
        if row["valid"] and not rivals:
            wanted.add(row["_sequence_number"])
    order.shuffle(rows)
    found = run(EVENTS, rows)
    assert sorted(row["_sequence_number"] for row in found.silver) == sorted(wanted)
    assert len(found.losers) == sum(row["valid"] for row in rows) - len(wanted)


def test_a_copy_24_hours_later_is_the_same_event_and_one_25_hours_later_is_not() -> None:
    def kept(hours_later: int) -> int:
        return len(run(EVENTS, [event(0, "a", 0, 0, "0", True), event(1, "a", hours_later, 0, "0", True)]).silver)

    assert (kept(24), kept(25)) == (1, 2)


def test_an_invalid_copy_does_not_hide_the_good_event() -> None:
    found = run(EVENTS, [event(0, "a", 0, 0, "0", False), event(1, "a", 0, 1, "0", True)])
    assert [row["n"] for row in found.silver] == [1]
    assert len(found.quarantine) == 1


@QUIET
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2), st.sampled_from(["a", "b"]), st.booleans()), max_size=20),
    st.randoms(use_true_random=False),
)
def test_the_latest_row_of_a_snapshot_wins_by_file_time_file_and_line(
    given_: list[tuple[int, int, str, bool]], order: random.Random
) -> None:
    rows: list[dict[str, Any]] = [
        {
            "body": json.dumps({"id": key, "n": number if valid else None}).encode(),
            "_source_modified": FIRST + timedelta(seconds=modified),
            "_source_file": file,
            "_source_row": number,
            "_ingested_at": LANDED,
            "_snapshot": SNAPSHOT,
            "key": key,
            "valid": valid,
        }
        for number, (key, modified, file, valid) in enumerate(given_)
    ]
    latest: dict[int, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda row: position(row, FILES)):
        if row["valid"]:
            latest[row["key"]] = row
    order.shuffle(rows)
    found = run(FILES, rows)
    assert {row["id"]: row["n"] for row in found.silver} == {key: row["_source_row"] for key, row in latest.items()}


@QUIET
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([1, 2])), max_size=20))
def test_changes_of_one_row_are_all_kept_and_the_last_landed_of_one_version_wins(
    given_: list[tuple[int, int, int]],
) -> None:
    rows = [
        {
            "id": key,
            "updated_at": FIRST + timedelta(minutes=1 + minute),
            "n": number,
            "_source_file": f"t/{attempt}-1",
            "_source_row": number + 1,
            "_ingested_at": LANDED + timedelta(hours=attempt),
            "_lake_hour": ONE_HOUR,
        }
        for number, (key, minute, attempt) in enumerate(given_)
    ]
    latest = {}
    for row in sorted(rows, key=lambda row: position(row, TABLE)):
        latest[row["id"], row["updated_at"]] = row["n"]
    found = run(TABLE, rows)
    assert {(row["id"], row["updated_at"]): row["n"] for row in found.silver} == latest
    assert len(found.silver) == len(latest)
