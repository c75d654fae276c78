"""A value that does not fit its column sends its row to quarantine, with its text; the other rows of the hour go on."""

# ruff: noqa: F811  # fixtures are imported

import json
from dataclasses import replace
from typing import Any

import pytest

from dagster_lake.contract.model import Property

from .databases import AMOUNT, CHANGED_AT, KEY, Theirs, sales, their_postgres, their_sqlite, theirs  # noqa: F401
from .postgres import postgres_server, postgres_url  # noqa: F401  # fixtures

HOUR = "2026-01-05T10"
STAMP = "2026-01-05 10:30:00"


def column(logical_type: Any, **more: Any) -> Property:
    return Property("given", logical_type, "A value.", **more)


def outcome(theirs: Theirs) -> tuple[dict[int | None, Any], dict[str, list[str]]]:
    """What became of each row: its value in silver by key, or its reasons by what was rescued."""
    hour = theirs.land(HOUR)[0].partition
    theirs.silver(hour)
    silver = {row["id"]: row.get("given") for row in theirs.rows("silver")}
    quarantine = {row["_rescued_data"]: row["_reasons"] for row in theirs.rows("quarantine")}
    return silver, quarantine


CENTS = column("number", precision=12, scale=2)
SQLITE: list[tuple[Property, list[str], list[str]]] = [
    (CENTS, ["12.3", "5", "'7.10'", "-0.01", "''"], ["12.345", "'abc'", "99999999999"]),
    (
        column("integer"),
        ["5", "'6'", "-9223372036854775808"],
        ["5.5", "'abc'", "'0x10'", "'9223372036854775808'", "x'05'"],
    ),
    (column("number"), ["0.1", "1e300", "3"], ["'NaN'", "9e999", "-9e999", "'1,5'"]),
    (column("boolean"), ["1", "0", "'true'"], ["2", "'yes'"]),
    (column("date"), ["'2026-01-05'"], ["'5.1.2026'", "'2026-02-30'", "20260105"]),
    (column("timestamp"), ["'2026-01-05 10:00'", "1767349800"], ["'2026-01-05 25:00'", "'soon'", "1767349800000"]),
    (column("string"), ["'x'", "''", "5", "' 0'"], ["x'00ff'", "CAST(x'ff41' AS TEXT)"]),
]


def named(value: object) -> str:
    return str(getattr(value, "logical_type", ""))


@pytest.mark.parametrize(("prop", "good", "bad"), SQLITE, ids=named)
def test_in_sqlite_any_value_in_any_column(
    their_sqlite: Theirs, prop: Property, good: list[str], bad: list[str]
) -> None:
    theirs = replace(their_sqlite, contract=sales(KEY, prop, CHANGED_AT))
    theirs.run("CREATE TABLE orders (id, given, changed_at text)")
    for number, value in enumerate([*good, *bad]):
        theirs.run(f"INSERT INTO orders VALUES ({number}, {value}, '{STAMP}')")
    silver, quarantine = outcome(theirs)
    assert sorted(silver) == list(range(len(good)))
    assert list(quarantine.values()) == [["given:type"]] * len(bad)
    assert all(list(json.loads(rescued)) == ["given"] for rescued in quarantine)


POSTGRES = [
    (CENTS, "numeric", ["12.3", "-0.01", "1e3"], ["12.345", "'NaN'", "99999999999"]),
    (column("integer"), "numeric", ["5"], ["5.5", "9223372036854775808"]),
    (column("integer"), "text", ["'5'"], ["'abc'"]),
    (column("integer"), "smallint", ["-5"], []),
    (column("number"), "float8", ["0.1", "1e300"], ["'NaN'", "'Infinity'", "'-Infinity'"]),
    (column("boolean"), "boolean", ["true", "false"], []),
    (column("date"), "date", ["'2026-01-05'"], ["'infinity'", "'20000-01-01'", "'0044-03-15 BC'"]),
    (column("timestamp"), "timestamptz", ["'2026-01-05 10:00+02'"], ["'infinity'", "'20000-01-01'", "'0044-03-15 BC'"]),
    (column("timestamp"), "timestamp", ["'2026-01-05 10:00'"], ["'-infinity'"]),
    (column("string"), "jsonb", ["'{}'"], []),
]


@pytest.mark.parametrize(("prop", "kind", "good", "bad"), POSTGRES, ids=named)
def test_in_postgresql_what_its_types_hold_and_the_lake_s_do_not(
    their_postgres: Theirs, prop: Property, kind: str, good: list[str], bad: list[str]
) -> None:
    theirs = replace(their_postgres, contract=sales(KEY, prop, CHANGED_AT))
    theirs.run(f"CREATE TABLE orders (id int, given {kind}, changed_at timestamptz)")
    for number, value in enumerate([*good, *bad]):
        theirs.run(f"INSERT INTO orders VALUES ({number}, {value}, '{STAMP}Z')")
    silver, quarantine = outcome(theirs)
    assert sorted(silver) == list(range(len(good)))  # type: ignore[type-var]
    assert list(quarantine.values()) == [["given:type"]] * len(bad)


def test_one_amount_with_three_decimals_leaves_the_hour_s_other_orders_alone_and_says_what_it_was(
    theirs: Theirs,
) -> None:
    stamp = "text" if theirs.is_sqlite else "timestamptz"
    amounts = ((number, "12.345" if number == 7 else "12.30", f"{STAMP}Z") for number in range(100))
    theirs.run(f"CREATE TABLE orders (id int, amount numeric, changed_at {stamp})")
    theirs.run("INSERT INTO orders VALUES (?, ?, ?)", *amounts)
    _, quarantine = outcome(theirs)
    assert len(theirs.rows("silver")) == 99
    assert quarantine == {'{"amount":"12.345"}': ["amount:type"]}
    (row,) = theirs.rows("quarantine")
    assert row["id"] == 7
    assert theirs.late(HOUR) == []
    assert not theirs.land(HOUR, refresh=True)[0].changed


def test_a_key_that_is_none_is_quarantined_for_its_type_alone_and_landed_once(their_sqlite: Theirs) -> None:
    their_sqlite.run("CREATE TABLE orders (id, amount, changed_at text)")
    their_sqlite.run(f"INSERT INTO orders VALUES ('abc', 1, '{STAMP}'), ('def', 1, '{STAMP}'), (1, 1, '{STAMP}')")
    silver, quarantine = outcome(their_sqlite)
    assert list(silver) == [1]
    assert quarantine == {'{"id":"abc"}': ["id:type"], '{"id":"def"}': ["id:type"]}
    assert not their_sqlite.land(HOUR, refresh=True)[0].changed


def test_a_column_added_to_the_contract_is_read_though_older_files_lack_it(theirs: Theirs) -> None:
    stamp = "text" if theirs.is_sqlite else "timestamptz"
    theirs.run(f"CREATE TABLE orders (id int, amount numeric, note text, changed_at {stamp})")
    theirs.run(f"INSERT INTO orders VALUES (1, 1, 'hello', '{STAMP}Z')")
    theirs.land(HOUR)
    theirs = replace(theirs, contract=sales(KEY, AMOUNT, Property("note", "string", "A note."), CHANGED_AT))
    assert theirs.land(HOUR)[0].rows == 2
    theirs.silver(HOUR)
    assert [(row["id"], row["note"]) for row in theirs.rows("silver")] == [(1, "hello")]
