"""Typed casts are exact: what a text says is what silver holds, or the row is kept out."""

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagster_lake.contract.model import Property
from tests.unit.compiled import cast

QUIET = settings(max_examples=80, deadline=None)
INTEGER = Property("x", "integer", "d")
NUMBER = Property("x", "number", "d")
CENTS = Property("x", "number", "d", precision=10, scale=2)
DATE = Property("x", "date", "d")
TIMESTAMP = Property("x", "timestamp", "d")
BOOLEAN = Property("x", "boolean", "d")
ARRAY = Property("x", "array", "d")


def one(text: str, prop: Property) -> Any:
    return cast([text], prop)[0]


@QUIET
@given(
    st.lists(st.one_of(st.integers().map(str), st.from_regex(r"[+-]?[0-9]{1,21}", fullmatch=True), st.text(max_size=6)))
)
def test_integers_are_64_bit_or_nothing(texts: list[str]) -> None:
    form = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
    wanted = [int(t) if form.fullmatch(t) and -(2**63) <= int(t) < 2**63 else None for t in texts]
    assert cast(texts, INTEGER) == wanted


@pytest.mark.parametrize(
    "text", ["1.5", "1e-3", "1e19", "012", "+1", "1_000", "0x10", "", " 1", "１", "٣", "--1", "9223372036854775808"]
)
def test_what_only_looks_like_an_integer_is_none(text: str) -> None:
    assert one(text, INTEGER) is None


@pytest.mark.parametrize(("text", "value"), [("1e3", 1000), ("1E2", 100), ("1.0E7", 10_000_000), ("-1.0", -1)])
def test_an_integer_that_java_or_python_writes_as_a_number_is_one(text: str, value: int) -> None:
    assert one(text, INTEGER) == value


@QUIET
@given(st.lists(st.decimals(-(10**9), 10**9, places=4).map(str)))
@example(["1.005", "1.10", "99999999.99", "100000000", "-99999999.990", "0.01", "1.", "1e2", "NaN", "1.00000000000001"])
def test_decimals_are_exact_to_the_cent_or_nothing(texts: list[str]) -> None:
    def wanted(text: str) -> Decimal | None:
        if not re.fullmatch(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?(e[0-9]+)?", text):
            return None
        value = Decimal(text)
        cents = value.quantize(Decimal("0.01"))
        return cents if cents == value and abs(value) < 10**8 else None

    assert cast(texts, CENTS) == [wanted(text) for text in texts]


@QUIET
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
@example([1.7976931348623157e308, 5e-324, -0.0, 1e22])
def test_every_finite_number_comes_through_to_the_last_bit(numbers: list[float]) -> None:
    assert cast([repr(n) for n in numbers], NUMBER) == numbers


@pytest.mark.parametrize("text", ["NaN", "inf", "Infinity", "1e400", "-1e999", ".5", "1,5", "1e", "1_0"])
def test_what_is_no_finite_number_is_none(text: str) -> None:
    assert one(text, NUMBER) is None


@QUIET
@given(st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32))))
@example([(2024, 2, 29), (2026, 2, 29), (1900, 2, 29), (2000, 2, 29), (0, 1, 1), (9999, 12, 31), (1, 1, 1)])
def test_dates_exist_or_are_none(parts: list[tuple[int, int, int]]) -> None:
    def wanted(year: int, month: int, day: int) -> date | None:
        try:
            return date(year, month, day)
        except ValueError:
            return None

    assert cast([f"{y:04}-{m:02}-{d:02}" for y, m, d in parts], DATE) == [wanted(*p) for p in parts]


@pytest.mark.parametrize(
    "text", ["2026-1-5", "5.1.2026", "20260105", "2026-01-05T00:00:00Z", "infinity", "epoch", "today"]
)
def test_other_ways_to_write_a_date_are_none(text: str) -> None:
    assert one(text, DATE) is None


moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31))
offsets = st.sampled_from(["", "Z", "+00:00", "+02:00", "-05:30", "+14", "-1130"])


@QUIET
@given(st.lists(st.tuples(moments, offsets, st.sampled_from("T "))))
def test_timestamps_are_the_instant_they_say(given_: list[tuple[datetime, str, str]]) -> None:
    def wanted(moment: datetime, offset: str) -> datetime:
        digits = re.sub(r"\D", "", offset).ljust(4, "0")
        shift = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
        return moment.replace(tzinfo=UTC) + (shift if offset.startswith("-") else -shift)

    texts = [moment.isoformat(sep=separator) + offset for moment, offset, separator in given_]
    assert cast(texts, TIMESTAMP) == [wanted(moment, offset) for moment, offset, _ in given_]


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-05T24:00:00Z",
        "2026-01-05T25:00:00Z",
        "2026-01-05T12:60:00Z",
        "2026-01-05T23:59:60Z",
        "2026-02-29T00:00:00Z",
        "2026-01-05T12:00:00+99:99",
        "2026-01-05T12:00:00+05:60",
        "2026-01-05T12:00:00-23:59",
        "2026-01-05T12:00:00 Europe/Prague",
        "2026-01-05",
        "2026-01-05T12",
        "1767614400",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+05:00",
        "9999-12-31T23:59:59-05:00",
        "infinity",
        "now",
    ],
)
def test_what_is_no_instant_is_none(text: str) -> None:
    assert one(text, TIMESTAMP) is None


@pytest.mark.parametrize("text", ["2026-01-05T12:30Z", "2026-01-05 12:30", "2026-01-05T12:30:00.0000000Z"])
def test_seconds_may_be_left_out_and_have_seven_digits(text: str) -> None:
    assert one(text, TIMESTAMP) == datetime(2026, 1, 5, 12, 30, tzinfo=UTC)


def test_booleans_are_true_and_false_and_nothing_else() -> None:
    texts = ["true", "TRUE", "False", "1", "0", "yes", "t", "f", ""]
    assert cast(texts, BOOLEAN) == [True, True, False, None, None, None, None, None, None]


def test_arrays_hold_their_elements_as_text() -> None:
    texts = ['["a", "ž"]', "[]", '[1, null, {"b":2}]', '{"a":1}', '"a"', "a", "[1", None]
    assert cast(texts, ARRAY) == [["a", "ž"], [], ["1", None, '{"b":2}'], None, None, None, None, None]
