"""Whatever a line holds, it is one row of bronze, and that row is in silver, in quarantine, or a duplicate."""

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagster_lake.contract.model import Property
from tests.depth import examples
from tests.unit.compiled import Outcome, events, line_rows, run

CONTRACT = events(
    [
        Property("user_id", "integer", "d", required=True, minimum=0, maximum=100),
        Property("price", "number", "d", precision=10, scale=2),
        Property("ratio", "number", "d", minimum=0.5),
        Property("at", "timestamp", "d"),
        Property("day", "date", "d"),
        Property("ok", "boolean", "d"),
        Property("jobs", "array", "d"),
        Property("city", "string", "d", min_length=2, max_length=5, pattern="^[A-Z]", allowed=("Brno", "Praha", "X")),
    ]
)
NAMES = [p.name for p in CONTRACT.properties]
QUIET = settings(max_examples=examples(25, 60), deadline=None)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
numbers = st.one_of(
    st.integers(), st.integers(-5, 105), st.floats(allow_nan=False, allow_infinity=False), st.just(10**40)
)
dates = st.sampled_from(["2024-02-29", "2026-02-29", "2026-01-05T24:00:00Z", "2026-01-05T12:00:00+02:00", "0000-01-01"])
scalars = st.one_of(
    st.none(), st.booleans(), numbers, text, dates, st.sampled_from(["Brno", "X", "brno", " 7 ", "1.5"])
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3), max_leaves=6
)
odd_names = st.sampled_from(
    ["$", "$.user_id", "a.b", "user_id ", "USER_ID", "", '"', "'", "\x00", "_rescued_data", "[0]", "*"]
)
documents = st.dictionaries(st.sampled_from(NAMES) | odd_names | text, values, max_size=8).map(
    lambda fields: json.dumps(fields).encode()
)
good_documents = st.fixed_dictionaries({"event_id": st.sampled_from("abcdef"), "user_id": st.integers(0, 100)}).map(
    lambda fields: json.dumps(fields).encode()
)
damaged = st.tuples(documents, st.integers(0, 60)).map(lambda cut: cut[0][: cut[1]])
lines = st.lists(st.one_of(documents, good_documents, damaged, st.binary(max_size=30)), max_size=12)


def outcome_of(*bodies: bytes) -> Outcome:
    return run(CONTRACT, line_rows(bodies))


def only(rows: list[dict[str, Any]]) -> dict[str, Any]:
    [row] = rows
    return row


def numbers_of(rows: list[dict[str, Any]]) -> list[int]:
    return [row["_sequence_number"] for row in rows]


@QUIET
@given(lines)
@example(
    [b"", b"\n", b"null", b"[]", b"{}", b'{"event_id":"\\u0000"}', b"\xff\xfe", b"\xef\xbb\xbf{}", b'{"a":1}{"b":2}']
)
def test_every_line_is_one_row_of_bronze_and_then_in_silver_or_quarantine_or_a_duplicate(bodies: list[bytes]) -> None:
    found = outcome_of(*bodies)
    assert sorted(numbers_of(found.bronze)) == list(range(len(bodies)))
    plain = [row for row in found.losers if not row["_conflicting"]]
    landed = Counter(numbers_of(found.silver)) + Counter(numbers_of(found.quarantine)) + Counter(numbers_of(plain))
    assert landed == Counter(range(len(bodies)))
    assert all(row["_reasons"] == sorted(row["_reasons"]) and row["_reasons"] for row in found.quarantine)


@QUIET
@given(lines)
def test_a_line_that_is_no_json_object_is_kept_byte_for_byte(bodies: list[bytes]) -> None:
    for row in outcome_of(*bodies).quarantine:
        if row["_reasons"] == ["malformed"]:
            body, kept = bodies[row["_sequence_number"]], row["_rescued_data"]
            restored = bytes.fromhex(kept[4:]) if kept.startswith("hex:") else kept.encode()
            assert restored == body or restored == body.rstrip(b"\r\n")


@QUIET
@given(st.dictionaries(odd_names | text, values, max_size=5))
def test_fields_the_contract_does_not_know_are_rescued_whole(extra: dict[str, Any]) -> None:
    unknown = {name: value for name, value in extra.items() if name not in NAMES}
    body = json.dumps({"event_id": "a", **unknown, "user_id": 7}).encode()
    row = only(outcome_of(body).bronze)
    assert (row["event_id"], row["user_id"]) == ("a", "7")
    rescued = {} if row["_rescued_data"] is None else json.loads(row["_rescued_data"])
    assert rescued == unknown
    assert (row["_rescued_data"] is None) == (not unknown)


@QUIET
@given(text)
def test_text_comes_through_unchanged_but_for_white_space_at_its_ends(city: str) -> None:
    contract = events([Property("city", "string", "d")])
    row = only(run(contract, line_rows([json.dumps({"event_id": "a", "city": city}).encode()])).silver)
    assert row["city"] == (city.strip(" \t\r\n") or None)


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        ({}, ["user_id:required"]),
        ({"user_id": None}, ["user_id:required"]),
        ({"user_id": "  "}, ["user_id:required"]),
        ({"user_id": 1.5}, ["user_id:type"]),
        ({"user_id": "seven"}, ["user_id:type"]),
        ({"user_id": [7]}, ["user_id:type"]),
        ({"user_id": -1}, ["user_id:minimum"]),
        ({"user_id": 101}, ["user_id:maximum"]),
        ({"user_id": 7, "ratio": 0.4999}, ["ratio:minimum"]),
        ({"user_id": 7, "price": "1.005"}, ["price:type"]),
        ({"user_id": 7, "price": 100_000_000}, ["price:type"]),
        ({"user_id": 7, "at": "2026-01-05T24:00:00Z"}, ["at:type"]),
        ({"user_id": 7, "day": "29.2.2024"}, ["day:type"]),
        ({"user_id": 7, "ok": 1}, ["ok:type"]),
        ({"user_id": 7, "jobs": {"a": 1}}, ["jobs:type"]),
        ({"user_id": 7, "city": "X"}, ["city:minLength"]),
        ({"user_id": 7, "city": "brno"}, ["city:enum", "city:pattern"]),
        ({"user_id": 7, "city": "Pardubice"}, ["city:enum", "city:maxLength"]),
        (
            {"user_id": "x", "price": "free", "ok": "maybe", "city": "x"},
            ["city:enum", "city:minLength", "city:pattern", "ok:type", "price:type", "user_id:type"],
        ),
    ],
)
def test_a_row_in_quarantine_says_every_rule_it_breaks(fields: dict[str, Any], reasons: list[str]) -> None:
    found = outcome_of(json.dumps({"event_id": "a", **fields}).encode())
    assert only(found.quarantine)["_reasons"] == reasons
    assert found.silver == []


def test_values_on_the_edge_of_every_rule_are_taken() -> None:
    edges = [
        {"user_id": 0, "ratio": 0.5, "city": "Brno"},
        {"user_id": 100, "price": 99_999_999.99, "city": "Praha"},
        {"user_id": " 7 ", "price": "1.500", "jobs": [], "ok": "FALSE"},
    ]
    bodies = [json.dumps({"event_id": str(n), **fields}).encode() for n, fields in enumerate(edges)]
    assert sorted(numbers_of(outcome_of(*bodies).silver)) == [0, 1, 2]


def test_a_missing_key_is_named() -> None:
    assert only(outcome_of(b'{"user_id":7}').quarantine)["_reasons"] == ["event_id:required"]


def test_names_are_told_apart_by_case_and_of_two_equal_names_the_second_is_rescued() -> None:
    row = only(outcome_of(b'{"event_id":"a","Event_Id":"b","user_id":1,"user_id":2}').bronze)
    assert (row["event_id"], row["user_id"], row["_rescued_data"]) == ("a", "1", '{"Event_Id":"b","user_id":2}')


def test_a_field_inside_another_is_not_taken_for_a_column() -> None:
    row = only(outcome_of(b'{"event_id":"a","user_id":1,"inner":{"city":"Brno"}}').bronze)
    assert row["city"] is None
    assert json.loads(row["_rescued_data"]) == {"inner": {"city": "Brno"}}


def nested(levels: int, opening: str) -> bytes:
    """A line of so many levels, itself the first."""
    inner = levels - 1
    deep = opening * inner + ("1" + "}" * inner if opening == '{"a":' else "]" * inner)
    return b'{"event_id":"a","user_id":1,"deep":%s}' % deep.encode()


@pytest.mark.parametrize("opening", ["[", '{"a":'])
def test_a_line_of_a_thousand_levels_is_a_row_like_any_other(opening: str) -> None:
    line = nested(1000, opening)
    row = only(outcome_of(line).bronze)
    assert row["event_id"] == "a"
    assert row["_rescued_data"].encode() == b'{"deep":' + line.split(b'"deep":')[1]


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("levels", [1001, 10_000])
def test_a_deeper_line_is_malformed_and_kept_whole(levels: int, opening: str) -> None:
    line = nested(levels, opening)
    row = only(outcome_of(line).quarantine)
    assert (row["_reasons"], row["_rescued_data"].encode()) == (["malformed"], line)


def test_many_brackets_side_by_side_or_in_strings_are_not_deep() -> None:
    wide = b'{"event_id":"a","user_id":1,"wide":[%s],"text":"%s"}' % (b",".join([b"[{}]"] * 2000), b"[{" * 2000)
    assert len(outcome_of(wide).silver) == 1
