"""A text becomes the same value on every engine, the value that Python would give it, or none."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from dagster_lake.compile.derive import derived
from dagster_lake.contract.model import EventHubSource, Property
from tests.engines.dialects import Side, casts
from tests.engines.json_model import Members, parsed, text_of
from tests.unit.compiled import contract, line_rows

JSON_NUMBER = r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?"


def integer(text: str) -> int | None:
    exact = decimal(38, 0)(text)
    return int(exact) if exact is not None and -(2**63) <= exact < 2**63 else None


def number(text: str) -> float | None:
    if not re.fullmatch(JSON_NUMBER, text):
        return None
    return None if abs(value := float(text)) == float("inf") else value


def decimal(precision: int, scale: int) -> Callable[[str], Decimal | None]:
    def of(text: str) -> Decimal | None:
        if not re.fullmatch(JSON_NUMBER, text):
            return None
        units = Fraction(Decimal(text)) * 10**scale
        if units.denominator != 1 or abs(units) >= 10**precision:
            return None
        digits = str(abs(units.numerator)).zfill(scale + 1)
        return Decimal((int(units < 0), tuple(map(int, digits)), -scale))

    return of


def day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else None
    except ValueError:
        return None


def instant(text: str) -> datetime | None:
    match = re.fullmatch(
        r"([0-9-]{10})[T ]([0-9]{2}):([0-9]{2})(?::([0-9]{2})(?:\.([0-9]{1,9}))?)?"
        r"(?:(Z)|([+-])([0-9]{2}):?([0-9]{2})?)?",
        text,
    )
    if not match or (match[7] and (int(match[8]) > 14 or text.endswith(":"))):
        return None
    try:
        at = datetime.fromisoformat(match[1]).replace(
            hour=int(match[2]),
            minute=int(match[3]),
            second=int(match[4] or 0),
            microsecond=int((match[5] or "0").ljust(6, "0")[:6]),
            tzinfo=UTC,
        )
        if int(match[9] or 0) > 59:
            return None
        shift = timedelta(hours=int(match[8] or 0), minutes=int(match[9] or 0))
        return at + shift if match[7] == "-" else at - shift
    except (ValueError, OverflowError):
        return None


def boolean(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.lower())


def array(text: str) -> list[str | None] | None:
    value = parsed(text)
    return [text_of(item) for item in value] if isinstance(value, list) else None


SEEDS = {
    "integer": [
        "0",
        "-0",
        "+7",
        "007",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775808",
        "1.0",
        "-9223372036854775809",
        "1e3",
        "1E2",
        "1.0E7",
        "1.5e0",
        "-12e-1",
        "1200e-2",
        "0e999",
        "-0.0",
        "1e999",
        "1e-999",
        "9223372036854775807e0",
        "922337203685477580.7e1",
        "9223372036854775808e0",
        "1e18",
        "1e19",
        "1e0003",
        "1e",
        "1e+2",
        "00012",
        "012",
        "12",
        "-012",
        "00e1",
        "01e1",
        "1" + "0" * 60 + "e-60",
        "0x1F",
        "٣",
        "１",
        "1L",
        "1_0",
        "",
        "-",
        "true",
        " 1",
        "1\n",
        "00000000000000000001",
    ],
    "number": [
        "0",
        "-0",
        "-0.0",
        "1.",
        ".5",
        "1e400",
        "-1e999",
        "5e-324",
        "4.9E-324",
        "2e-324",
        "1e-400",
        "NaN",
        "1d",
        "1.7976931348623157e308",
        "1.7976931348623159e308",
        "2.2250738585072011e-308",
        "0.1",
        "1f",
        "Infinity",
        "0x1p3",
        "9007199254740993",
        "123456789012345678901234567890",
        "1e23",
        "8.41e21",
        "1e0001",
        "1e",
        "1e+05",
        "1,5",
        "1\n",
        "007.5",
        "+5",
    ],
    "decimal": [
        "12.345e1",
        "12.345e-1",
        "1e-3",
        "1e-2",
        "1.0E7",
        "1e8",
        "9999999999e-2",
        "9999999999e-3",
        "007.5",
        "07",
        "-0e5",
        "-0.5e0",
        "0.00001e5",
        "1e-38",
        "12e-39",
        "1e37",
        "1e38",
        "1.10",
        "1.100",
        "1.105",
        "1.005",
        "-0.00",
        "0",
        "+1",
        "99999999.99",
        "99999999.990",
        "100000000",
        "1.",
        ".5",
        "-99999999.99",
        "00000000000000000000000000000000000000000000000001.50",
        "1e2",
        "NaN",
        "1.5 ",
        "0." + "0" * 60,
        "12345678901234567890123456789012345678",
        "99999999999999999999999999999999999999.00",
        "1" * 39,
        "0." + "0" * 50 + "1",
    ],
    "date": [
        "2024-02-29",
        "2026-02-29",
        "1900-02-29",
        "2000-02-29",
        "0001-01-01",
        "0000-12-31",
        "9999-12-31",
        "2026-1-5",
        "2026-13-01",
        "2026-00-10",
        "2026-04-31",
        "1582-10-10",
        "20260105",
        "today",
        "epoch",
        "2026-01-05T00",
        "-001-01-01",
    ],
    "timestamp": [
        "2026-01-05T12:30Z",
        "2026-01-05 12:30",
        "2026-01-05T12:30:00.1234567Z",
        "2026-01-05T24:00:00Z",
        "2026-01-05T23:59:60Z",
        "2026-01-05T12:00:00+14:00",
        "2026-01-05T12:00:00-14",
        "2026-01-05T12:00:00+0100",
        "2026-01-05T12:00:00+15:00",
        "2026-01-05T12:00:00+14:59",
        "2026-01-05T12:00:00-1459",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59.9999999Z",
        "1582-10-10T00:00:00Z",
        "9999-12-31T23:59:59-00:01",
        "2024-02-29T00:00:00",
        "2026-02-29T00:00:00",
        "2026-01-05",
        "2026-01-05T12",
        "now",
        "2026-01-05T12:00:00 Europe/Prague",
        "2026-01-05T12:00:00 UTC",
        "2026-01-05T12:00:00+01:60",
        "2026-01-05t12:00:00Z",
        "1969-12-31T23:59:59.999999Z",
        "1900-01-01T00:00:00.000001-05:30",
        "2026-03-29T02:30:00",
        "2026-01-05T12:00:00z",
    ],
    "boolean": ["true", "TRUE", "False", "fAlSe", "1", "0", "t", "yes", "ｔｒｕｅ", "truе", "", "null", "true "],
    "array": [
        "[]",
        "[ ]",
        '["a"]',
        "[null]",
        '[1, 1.10, 1e2, -0, "1.10"]',
        '[[1, 2], {"a" : "b c"}]',
        '["|1","1|"]',
        "{}",
        '["a",]',
        "[NaN]",
        "['a']",
        '["a"] x',
        '["a"]]',
        '["a"]}',
        "[1,2",
        "a",
        "1",
        "null",
        '"[1]"',
        '["\\ud800"]',
        "[[[]]]",
        '["\\u0000", "\\ud83d\\ude00", "😀", {"😀": ["😀\\u005cuD83D"]}]',
        '[true,"true"]',
        "[\t1\n]",
        "[" * 1001 + "]" * 1001,
    ],
}
CASES = {
    "integer": (Property("x", "integer", "d"), integer),
    "number": (Property("x", "number", "d"), number),
    "decimal": (Property("x", "number", "d", precision=10, scale=2), decimal(10, 2)),
    "wide decimal": (Property("x", "number", "d", precision=38, scale=0), decimal(38, 0)),
    "deep decimal": (Property("x", "number", "d", precision=38, scale=38), decimal(38, 38)),
    "date": (Property("x", "date", "d"), day),
    "timestamp": (Property("x", "timestamp", "d"), instant),
    "boolean": (Property("x", "boolean", "d"), boolean),
    "array": (Property("x", "array", "d"), array),
}


@pytest.mark.parametrize("kind", CASES)
def test_hard_texts_and_their_mutations(side: Side, kind: str) -> None:
    prop, model = CASES[kind]
    seeds, draw = SEEDS[kind.split()[-1]], Random(kind)
    mutated = [_mutated(draw.choice(seeds), draw) for _ in range(400)]
    texts = [text for text in [*seeds, *mutated] if len(text) < 5000]
    found, wanted = casts(side, [*texts, None], prop), [*map(model, texts), None]
    differing = [(t, f, w) for t, f, w in zip([*texts, None], found, wanted, strict=True) if _exactly(f) != _exactly(w)]
    assert differing == []


def _exactly(value: Any) -> str:
    """What tells 0.0 from -0.0, and 1 from 1.0, but not one name of UTC from another."""
    return str(value) if isinstance(value, datetime) else repr(value)


def _mutated(text: str, draw: Random) -> str:
    at = draw.randrange(len(text) + 1)
    character = draw.choice('0123456789+-.eE:TZ [],"{}xn')
    return draw.choice(
        [text[:at] + character + text[at:], text[:at] + character + text[at + 1 :], text[:at] + text[at + 1 :]]
    )


def test_doubles_come_through_to_the_last_bit(side: Side) -> None:
    draw = Random(7)
    numbers = [float(f"{draw.uniform(-10, 10)!r}e{draw.randrange(-300, 300)}") for _ in range(300)]
    assert casts(side, map(repr, numbers), Property("x", "number", "d")) == numbers


def test_numbers_with_exponents_are_taken_where_they_are_exact_and_only_there(side: Side) -> None:
    draw = Random(11)

    def written() -> str:
        digits = str(draw.getrandbits(draw.choice([3, 30, 66, 130]))) + "0" * draw.choice([0, 0, 3, 20])
        point = draw.randrange(len(digits) + 1)
        whole = (digits[:point].lstrip("0") or "0") if draw.random() < 0.9 else digits[:point]
        fraction = f".{digits[point:]}" if digits[point:] else ""
        mark, sign = draw.choice("eE"), draw.choice(["", "+", "-"])
        return f"{draw.choice(['', '-'])}{whole}{fraction}{mark}{sign}{draw.choice([0, 1, 2, 7, 18, 25, 40, 999])}"

    texts = [written() for _ in range(1500)]
    for kind in ("integer", "decimal", "wide decimal", "deep decimal"):
        prop, model = CASES[kind]
        wanted = [model(text) for text in texts]
        assert sum(value is not None for value in wanted) > 30
        found = casts(side, texts, prop)
        assert [(t, f, w) for t, f, w in zip(texts, found, wanted, strict=True) if _exactly(f) != _exactly(w)] == []


def test_texts_with_leading_zeros_are_no_duplicates_of_the_integer(side: Side) -> None:
    key = Property("id", "integer", "d", required=True, key=True)
    of = contract(EventHubSource("products"), [key], [Property("price", "number", "d", precision=10, scale=2)])
    ids = ["00012", "012", 12, "12", "+12"]
    documents = [*({"id": one, "price": "7.5"} for one in ids), {"id": 13, "price": "007.5"}]
    outcome = side.run(of, line_rows(json.dumps(document).encode() for document in documents))
    assert [(row["id"], row["price"]) for row in outcome.silver] == [(12, Decimal("7.50"))]
    kept_out = {row["id"]: row["_reasons"] for row in outcome.quarantine}
    assert kept_out == {"+12": ["id:type"], "00012": ["id:type"], "012": ["id:type"], "13": ["price:type"]}
    assert len(outcome.losers) == 1


def test_only_json_s_white_space_is_trimmed(side: Side) -> None:
    texts = [
        " a ",
        "\t\r\n a\x0b",
        "\u00a0a\u00a0",
        "\u2003",
        "\x00",
        "a\x00 ",
        "",
        "  ",
        "\x1f",
        "!",
        " ! ",
        "ž ",
        " \u0085",
        None,
    ]
    wanted = [text.strip(" \t\r\n") or None if text is not None else None for text in texts]
    assert side.evaluate(side.dialect.trimmed("x"), texts, pa.string()) == wanted


def test_lengths_count_characters_and_texts_compare_by_bytes(side: Side) -> None:
    texts = ["", "ž", "z\u030c", "😀", "a😀b", "👨‍👩‍👧"]
    assert side.evaluate("length(x)", texts, pa.string()) == [len(text) for text in texts]
    assert side.evaluate("left(x, 1)", texts, pa.string()) == [text[:1] for text in texts]
    pairs = ["a", "B", "ž", "z", "\uffff", "😀", "", "a\x00"]
    for bound in ("a", "\uffff", "ž"):
        wanted = [text.encode() < bound.encode() for text in pairs]
        assert side.evaluate(f"x < {side.dialect.literal(bound)}", pairs, pa.string()) == wanted


def test_a_literal_is_the_text_itself(side: Side) -> None:
    texts = [
        "'",
        "''",
        "\\",
        "\\'",
        "\\n",
        "\\u0041",
        "\n",
        '"',
        "`",
        "${spark.app.name}",
        "${env:HOME}",
        "$x",
        ":x",
        "ž😀",
        "%_",
        "",
    ]
    for text in texts:
        assert side.evaluate(side.dialect.literal(text), ["x"], pa.string()) == [text]


def test_hours_between_lake_hours(side: Side) -> None:
    pairs = [
        "2026-01-05T12 2026-01-05T13",
        "2026-03-29T01 2026-03-29T04",
        "2025-12-31T23 2026-01-01T23",
        "2026-01-05T12 2026-01-04T12",
    ]
    expression = side.dialect.hours_between("substr(x, 1, 13)", "substr(x, 15, 13)")
    assert side.evaluate(expression, pairs, pa.string()) == [1, 3, 24, -24]


def test_derived_fields_agree(side: Side) -> None:
    numbers = [
        "855615/1234",
        "080105/1234",
        "135106/1234",
        "530101/123",
        "540101/1234",
        "087105/1234",
        "995231/123",
        "abc",
        None,
    ]
    as_of = side.dialect.literal("2026-01-05T010203Z")
    sexes = side.evaluate(derived("sex_of_birth_number", "x", as_of, side.dialect), numbers, pa.string())
    bands = side.evaluate(derived("age_band_of_birth_number", "x", as_of, side.dialect), numbers, pa.string())
    assert sexes == ["female", "male", "female", "male", "male", "female", "female", None, None]
    assert bands == ["adult", "adult", "child", "adult", "adult", "adult", "adult", None, None]


def test_the_model_reads_arrays_as_the_json_model_does() -> None:
    assert array(json.dumps(["a", None, {"b": 1}])) == ["a", None, '{"b":1}']
    assert array('{"a":1}') is None
    assert isinstance(parsed('{"a":1}'), Members)
