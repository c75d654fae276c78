"""What silver shows of personal data: masked values that equal Python's hmac, and derived fields that equal the law."""

import hmac
import json
from datetime import date, timedelta

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dagster_lake.compile.derive import derived
from dagster_lake.contract.model import Property
from dagster_lake.privacy.masking_key import MaskingKey, MaskingKeyError
from tests.unit.compiled import DIALECT, KEY, evaluate, events, line_rows, pads, run

QUIET = settings(max_examples=80, deadline=None)
texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=100), min_size=1)


@QUIET
@given(texts, st.binary(min_size=32, max_size=64))
@example(["", "a\x00b", "ž" * 200, "\U0001f600"], b"\x00" * 32)
def test_hmac_in_sql_is_python_s_hmac(values: list[str], key: bytes) -> None:
    made = MaskingKey.of("k", key)
    parameters = {"inner_pad": made.inner_pad, "outer_pad": made.outer_pad}
    found = evaluate(DIALECT.hmac_sha256("x"), values, pa.string(), parameters)
    assert found == [hmac.new(key, value.encode(), "sha256").hexdigest() for value in values]


def test_masked_fields_show_a_keyed_hash_a_first_letter_or_nothing() -> None:
    contract = events(
        [
            Property("phone", "string", "d", masking="hmac"),
            Property("name", "string", "d", masking="partial"),
            Property("street", "string", "d", masking="redact"),
        ]
    )
    person = {"event_id": "a", "phone": " +420601000000 ", "name": "Žaneta Nová", "street": "Dlouhá 7"}
    nobody = {"event_id": "b", "phone": None, "name": "", "street": "  "}
    rows = {
        row["event_id"]: row
        for row in run(contract, line_rows(json.dumps(r).encode() for r in (person, nobody))).silver
    }
    digest = hmac.new(KEY, b"+420601000000", "sha256").hexdigest()
    assert [rows["a"][name] for name in ("phone", "name", "street")] == [f"test-1:{digest}", "Ž***", "***"]
    assert [rows["b"][name] for name in ("phone", "name", "street")] == [None, None, None]


@pytest.mark.parametrize("size", [0, 31, 65])
def test_a_key_of_a_wrong_size_is_refused_with_what_to_set(size: int) -> None:
    with pytest.raises(MaskingKeyError, match=f"has {size} bytes; it must have 32 to 64"):
        MaskingKey.of("k", b"x" * size)


def test_a_key_does_not_show_when_it_is_printed() -> None:
    key = MaskingKey.of("k", KEY)
    assert repr(key) == str(key) == "MaskingKey(id='k')"
    assert set(pads()) == {"key_id", "inner_pad", "outer_pad"}


births = st.dates(date(1900, 1, 1), date(2026, 1, 1))
days = st.dates(date(2026, 1, 1), date(2053, 12, 31))


@QUIET
@given(births, days, st.booleans(), st.booleans(), st.booleans())
@example(date(2013, 1, 5), date(2026, 1, 5), True, False, True)
@example(date(2013, 1, 6), date(2026, 1, 5), True, False, True)
@example(date(2008, 2, 29), date(2026, 2, 28), False, True, True)
@example(date(2008, 2, 29), date(2026, 3, 1), False, True, True)
def test_sex_and_age_band_are_those_of_the_calendar(
    born: date, on: date, woman: bool, numbers_ran_out: bool, slash: bool
) -> None:
    month = born.month + (50 if woman else 0) + (20 if numbers_ran_out and born.year >= 2004 else 0)
    serial = "123" if born.year < 1954 else "1234"
    number = f"{born.year % 100:02}{month:02}{born.day:02}{'/' if slash else ''}{serial}"
    as_of = f"'{on.isoformat()}T010203Z'"
    sex = evaluate(derived("sex_of_birth_number", "x", as_of, DIALECT), [number], pa.string())
    band = evaluate(derived("age_band_of_birth_number", "x", as_of, DIALECT), [number], pa.string())
    age = on.year - born.year - ((on.month, on.day) < (born.month, born.day))
    assert sex == ["female" if woman else "male"]
    assert band == ["child" if age < 13 else "teenager" if age < 18 else "adult"]


@pytest.mark.parametrize("number", [None, "", "abc", "85615/1234", "856105/12345", "856105-1234"])
def test_nothing_is_derived_from_what_is_no_birth_number(number: str | None) -> None:
    for name in ("sex_of_birth_number", "age_band_of_birth_number"):
        assert evaluate(derived(name, "x", "'2026-01-05T12'", DIALECT), [number], pa.string()) == [None]


def test_the_day_before_and_the_birthday_itself_are_told_apart() -> None:
    birthday = date(2026, 1, 5)
    bands = []
    for on in (birthday - timedelta(days=1), birthday):
        sql = derived("age_band_of_birth_number", "x", f"'{on.isoformat()}T23'", DIALECT)
        bands += evaluate(sql, ["080105/1234"], pa.string())
    assert bands == ["teenager", "adult"]
