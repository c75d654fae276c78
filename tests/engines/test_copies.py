"""A copy that says something else than the row that counts is kept in quarantine; an equal one is a plain duplicate."""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dagster_lake.contract.model import Contract, DatabaseSource, FileSource, Property
from dagster_lake.lake_hour import HOUR, hour_key
from tests.engines.dialects import Side
from tests.unit.compiled import HOUR as ONE_HOUR
from tests.unit.compiled import LANDED, SNAPSHOT, Row, contract, events

FIRST = datetime(2026, 1, 5, tzinfo=UTC)
N = Property("n", "integer", "d")
ID = Property("id", "integer", "d", required=True, key=True)
UPDATED = Property("updated_at", "timestamp", "d", required=True)
EVENTS = events([N, Property("tags", "array", "d")])
FILES = contract(FileSource("json_lines"), [ID], [N])
TABLE = contract(DatabaseSource("t", "updated_at"), [ID], [UPDATED, N])


def event(number: int, hour: int, **fields: Any) -> Row:
    return {
        "body": json.dumps({"event_id": "a", **fields}).encode(),
        "_enqueued_time": FIRST + hour * HOUR + timedelta(seconds=1 + number),
        "_partition": "0",
        "_sequence_number": number,
        "_source_file": "f",
        "_source_row": number,
        "_ingested_at": LANDED,
        "_lake_hour": hour_key(FIRST + hour * HOUR),
    }


def line(number: int, file: str, n: int) -> Row:
    return {
        "body": json.dumps({"id": 1, "n": n}).encode(),
        "_source_modified": FIRST + timedelta(hours=ord(file)),
        "_source_file": file,
        "_source_row": number,
        "_ingested_at": LANDED,
        "_snapshot": SNAPSHOT,
    }


def change(number: int, n: int | None, minute: int = 1) -> Row:
    return {
        "id": 1,
        "updated_at": FIRST + timedelta(minutes=minute),
        "n": n,
        "_source_file": "t/1",
        "_source_row": number,
        "_ingested_at": LANDED,
        "_lake_hour": ONE_HOUR,
    }


@dataclass(frozen=True)
class Case:
    """Rows of one key, numbered from 0: which of them are in silver, and which in quarantine for a conflict."""

    name: str
    of: Contract
    rows: list[Row]
    silver: list[int]
    conflicts: list[int]


CASES = [
    Case("an event sent again as it was", EVENTS, [event(0, 0, n=1), event(1, 1, n=1)], [0], []),
    Case("the same values written another way", EVENTS, [event(0, 0, n=1), event(1, 1, n=" 1 ", tags=None)], [0], []),
    Case("an event sent again with another value", EVENTS, [event(0, 0, n=1), event(1, 1, n=2)], [0], [1]),
    Case("a value that is missing in the copy", EVENTS, [event(0, 0, n=1), event(1, 0)], [0], [1]),
    Case("another item in a list", EVENTS, [event(0, 0, tags=["x"]), event(1, 0, tags=["y"])], [0], [1]),
    Case("a field that the contract does not know", EVENTS, [event(0, 0, n=1), event(1, 0, n=1, x=1)], [0], [1]),
    Case(
        "each copy is compared with the first one in 24 hours",
        EVENTS,
        [event(0, 0, n=1), event(1, 20, n=2), event(2, 24, n=1), event(3, 40, n=2), event(4, 41, n=1)],
        [0],
        [1, 4],
    ),
    Case("25 hours later it is another event", EVENTS, [event(0, 0, n=1), event(1, 25, n=2)], [0, 1], []),
    Case("a row that is written twice at one time", TABLE, [change(0, 1), change(1, 2)], [1], [0]),
    Case("a row that is landed twice", TABLE, [change(0, None), change(1, None)], [1], []),
    Case("a row that changes later", TABLE, [change(0, 1), change(1, 2, minute=2)], [0, 1], []),
    Case("two lines of one file that differ", FILES, [line(0, "a", 1), line(1, "a", 2)], [1], [0]),
    Case("two lines of one file that are equal", FILES, [line(0, "a", 1), line(1, "a", 1)], [1], []),
    Case("a newer file beside an older one", FILES, [line(0, "a", 1), line(1, "b", 2)], [1], []),
    Case(
        "a conflict within the older of two files", FILES, [line(0, "a", 1), line(1, "a", 2), line(2, "b", 3)], [2], [0]
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_becomes_of_a_copy(case: Case, side: Side) -> None:
    found = side.run(case.of, case.rows)

    kept_out = {row["_source_row"]: row["_reasons"] for row in found.quarantine}
    reason = "event_id:conflict" if case.of is EVENTS else "id:conflict"
    assert kept_out == {number: [reason] for number in case.conflicts}
    assert len(found.silver) == len(case.silver)
    numbers = Counter(row.get("_source_row", row.get("_sequence_number")) for row in found.silver)
    assert not numbers or None in numbers or sorted(numbers) == case.silver
    assert len(found.silver) + len(found.losers) == len(case.rows)
