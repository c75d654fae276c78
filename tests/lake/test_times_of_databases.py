"""Whatever form and zone a database gives its times, a row lands in its hour, or is counted as being in none."""

# ruff: noqa: F811  # fixtures are imported

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import replace

import pytest

from dagster_lake.contract.model import Property
from dagster_lake.lake_hour import HourRange
from dagster_lake.landing.rows import untimed
from dagster_lake.sources.database import sqlite as database_sqlite
from dagster_lake.sources.database.database import DatabaseError

from .databases import AMOUNT, CHANGED_AT, KEY, Theirs, sales, their_postgres, their_sqlite, theirs  # noqa: F401
from .postgres import postgres_server, postgres_url  # noqa: F401  # fixtures


def table(theirs: Theirs, stamp: str = "", *, index: bool = True) -> None:
    kind = stamp or ("text" if theirs.is_sqlite else "timestamptz")
    theirs.run(f"CREATE TABLE orders (id int, amount numeric, changed_at {kind}, created_at {kind})")
    if index:
        theirs.run("CREATE INDEX by_time ON orders (changed_at)")


def rows(theirs: Theirs, *times: object) -> None:
    """A row for each time, numbered from 0."""
    theirs.run("INSERT INTO orders VALUES (?, 1, ?, NULL)", *((number, time) for number, time in enumerate(times)))


def landed(theirs: Theirs, first: str, last: str) -> dict[int, list[str]]:
    """The hours in which each row landed, by its number."""
    found: dict[int, list[str]] = {}
    theirs.land(first, last)
    for hour in HourRange.of(first, last).keys:
        for row in theirs.raw(hour):
            found.setdefault(row["id"], []).append(hour.removeprefix("2026-"))
    return found


def in_none(theirs: Theirs, hours: HourRange | None = None) -> int:
    return untimed(theirs.contract, theirs.database, hours).rows


FORMS = {
    "2026-01-02 10:30:00": "01-02T10",
    "2026-01-02T10:30:00.123456Z": "01-02T10",
    "2026-01-02T10:30:00+00:00": "01-02T10",
    "2026-01-02T10:30": "01-02T10",
    "2026-01-02 11:30:00+01:00": "01-02T10",
    "2026-01-02 11:30:00 +01:00": "01-02T10",
    "2026-01-02 10:30:00 ": "01-02T10",
    "2026-01-02T11:30:00+0100": "01-02T10",
    "2026-01-02 08:30:00-02": "01-02T10",
    "2026-01-03T00:15:00+14:00": "01-02T10",
    "2026-01-01T23:00:00-12:00": "01-02T10",
    1767349800: "01-02T10",
    "1767349800": "01-02T10",
    1767349800.5: "01-02T10",
    "2026-01-02 11:00:00": "01-02T10",  # (start, end]
    "2026-01-02 11:00:00.000001": "01-02T11",
    "2026-01-02 12:00:00+01:00": "01-02T10",
    "2026-01-02": "01-01T23",
    1767351600: "01-02T10",
    1767351601: "01-02T11",
}


@pytest.mark.parametrize("kind", ["text", "timestamp", "blob"])  # timestamp is numeric to SQLite, blob is nothing
@pytest.mark.parametrize("index", [True, False])
def test_in_sqlite_every_form_of_a_time_lands_in_its_hour_and_in_no_other(
    their_sqlite: Theirs, kind: str, index: bool
) -> None:
    table(their_sqlite, kind, index=index)
    rows(their_sqlite, *FORMS)
    # The hours that the texts name by whichever zone, and those beside them.
    found: dict[int, list[str]] = {}
    for first, last in (("01-01T22", "01-02T00"), ("01-02T07", "01-02T12"), ("01-02T23", "01-03T00")):
        for number, hours in landed(their_sqlite, f"2026-{first}", f"2026-{last}").items():
            found.setdefault(number, []).extend(hours)
    assert found == {n: [hour] for n, hour in enumerate(FORMS.values())}
    assert in_none(their_sqlite, HourRange.of("2026-01-02T00", "2026-01-02T23")) == 0


ODD = [
    None,
    "",
    "  2026-01-02 10:00",
    "soon",
    "02.01.2026 10:30",
    "2026/01/02 10:30",
    "20260102T103000Z",
    2461042.9,  # a Julian day
    1767349800000,  # milliseconds
    -1,
    b"2026-01-02 10:30:00",
    "2026-02-30 10:30:00",
    "2026-01-02 25:30:00",
    "2026-01-02 10:30:00z",
]


@pytest.mark.parametrize("index", [True, False])
def test_in_sqlite_what_is_no_time_is_in_no_hour_and_counted_with_its_key(their_sqlite: Theirs, index: bool) -> None:
    table(their_sqlite, "blob", index=index)
    rows(their_sqlite, *ODD, "2026-01-02 10:30:00")
    assert landed(their_sqlite, "2026-01-02T00", "2026-01-02T23") == {len(ODD): ["01-02T10"]}
    hours = HourRange.of("2026-01-01T00", "2026-03-05T00")
    found = untimed(their_sqlite.contract, their_sqlite.database, hours)
    assert found.rows == len(ODD)
    assert found.examples[0] == "id 0"
    assert "id 10, changed_at hex:323032362D30312D30322031303A33303A3030" in found.examples
    assert "id 11, changed_at 2026-02-30 10:30:00" in found.examples


def test_an_index_serves_the_hour_and_the_count_of_what_is_in_none(
    their_sqlite: Theirs, monkeypatch: pytest.MonkeyPatch
) -> None:
    table(their_sqlite)
    asked: list[str] = []
    select = database_sqlite._select
    monkeypatch.setattr(database_sqlite, "_select", lambda *given: asked.append(select(*given)) or asked[-1])
    their_sqlite.land("2026-01-02T10")
    assert in_none(their_sqlite, HourRange.of("2026-01-02T10")) == 0
    with closing(sqlite3.connect(their_sqlite.url.removeprefix("sqlite:///"))) as connection:
        for sql in asked:
            plan = connection.execute(f"EXPLAIN QUERY PLAN {database_sqlite._NAME.sub('1', sql)}").fetchall()
            assert [step for step in plan if "orders" in step[-1]]
            assert not [step for step in plan if "SCAN orders" in step[-1]], plan
    assert len(asked) == 3


# --- times without a zone ---------------------------------------------------------------------------------------------

SPRING = ["01:30", "01:59:59.999999", "02:00", "02:30", "03:00", "03:00:00.000001", "03:30", "04:00", "04:30"]
AUTUMN = ["01:30", "02:00", "02:00:00.000001", "02:30", "03:00", "03:00:00.000001", "03:30"]


@pytest.mark.parametrize(
    ("day", "walls", "hours"),
    [
        ("2026-03-29", SPRING, [0, 0, 0, 1, 0, 1, 1, 1, 2]),  # at 02:00, which is 01:00 UTC, it is 03:00
        ("2026-10-25", AUTUMN, [-1, 0, 1, 1, 1, 2, 2]),  # from 02:00 to 03:00 twice; which is meant nobody knows
    ],
)
def test_the_hours_around_a_change_of_clocks_lose_no_row_and_have_none_twice(
    theirs: Theirs, day: str, walls: list[str], hours: list[int]
) -> None:
    theirs = replace(theirs, contract=sales(time_zone="Europe/Prague"))
    table(theirs, "text" if theirs.is_sqlite else "timestamp")
    rows(theirs, *(f"{day} {wall}" for wall in walls))
    first, last = f"2026-{_before(day)}T20", f"{day}T06"
    found = landed(theirs, first, last)
    assert {n: len(where) for n, where in found.items()} == dict.fromkeys(range(len(walls)), 1)
    names = [f"{day[5:]}T{hour:02}" if hour >= 0 else f"{_before(day)}T23" for hour in hours]
    assert [found[n][0] for n in range(len(walls))] == names


def _before(day: str) -> str:
    return f"{day[5:8]}{int(day[8:]) - 1:02}"


def test_a_time_with_a_zone_is_not_moved_by_that_of_the_database(theirs: Theirs) -> None:
    theirs = replace(theirs, contract=sales(time_zone="America/New_York"))
    table(theirs)
    rows(theirs, "2026-01-02 10:30:00Z", "2026-01-02 11:30:00+01:00")
    assert landed(theirs, "2026-01-02T00", "2026-01-02T23") == {0: ["01-02T10"], 1: ["01-02T10"]}


def test_postgresql_s_own_zone_moves_nothing(their_postgres: Theirs) -> None:
    their_postgres.run("ALTER DATABASE shop SET timezone TO 'Asia/Tokyo'")
    table(their_postgres, "timestamp")
    rows(their_postgres, "2026-01-02 10:30:00")
    assert landed(their_postgres, "2026-01-02T00", "2026-01-02T23") == {0: ["01-02T10"]}


def test_a_column_of_postgresql_that_holds_no_times_is_refused(their_postgres: Theirs) -> None:
    table(their_postgres, "text")
    with pytest.raises(DatabaseError, match="column changed_at is TEXT, which PostgreSQL does not compare as a time"):
        their_postgres.land("2026-01-02T10")


def test_in_postgresql_rows_without_a_time_are_counted(their_postgres: Theirs) -> None:
    table(their_postgres)
    rows(their_postgres, None, "infinity", "-infinity", "2026-01-02 10:30Z")
    found = untimed(their_postgres.contract, their_postgres.database, None)
    assert found.rows == 3
    assert set(found.examples) == {"id 0", "id 1, changed_at infinity", "id 2, changed_at -infinity"}


# --- a fallback -------------------------------------------------------------------------------------------------------


def test_a_row_never_updated_lands_by_when_it_was_created(theirs: Theirs) -> None:
    created = Property("created_at", "timestamp", "Made.")
    contract = sales(KEY, AMOUNT, CHANGED_AT, created, fallback=("created_at",))
    theirs = replace(theirs, contract=contract)
    table(theirs)
    theirs.run("INSERT INTO orders VALUES (0, 1, NULL, '2026-01-02 10:30Z')")
    theirs.run("INSERT INTO orders VALUES (1, 1, '2026-01-02 11:30Z', '2026-01-02 10:30Z')")
    theirs.run("INSERT INTO orders VALUES (2, 1, NULL, NULL)")
    assert landed(theirs, "2026-01-02T08", "2026-01-02T14") == {0: ["01-02T10"], 1: ["01-02T11"]}
    assert in_none(theirs) == 1
    assert theirs.late("2026-01-02T08", "2026-01-02T14") == []
    theirs.silver("2026-01-02T10", "2026-01-02T11")
    assert _times(theirs.rows("silver")) == {0: "10:30", 1: "11:30"}


def _times(found: Iterable[dict]) -> dict[int, str]:
    return {row["id"]: f"{row['changed_at']:%H:%M}" for row in found}


# --- what is late, and what is not ------------------------------------------------------------------------------------


def test_a_row_that_left_an_hour_does_not_make_it_run_again_and_one_that_came_does(theirs: Theirs) -> None:
    table(theirs)
    rows(theirs, "2026-01-02 10:10:00Z", "2026-01-02 10:20:00Z", "2026-01-02 10:30:00Z")
    theirs.land("2026-01-02T10", "2026-01-02T12")
    theirs.run("UPDATE orders SET changed_at = '2026-01-02 13:10:00Z' WHERE id = 1")
    assert theirs.late("2026-01-02T10", "2026-01-02T12") == []
    theirs.run("DELETE FROM orders WHERE id = 2")
    assert theirs.late("2026-01-02T10", "2026-01-02T12") == []
    theirs.run("UPDATE orders SET amount = 2 WHERE id = 0")
    assert theirs.late("2026-01-02T10", "2026-01-02T12") == ["2026-01-02T10"]
    theirs.land("2026-01-02T10")
    assert theirs.late("2026-01-02T10", "2026-01-02T12") == []
    theirs.run("INSERT INTO orders VALUES (9, 1, '2026-01-02 11:10:00Z', NULL)")
    assert theirs.late("2026-01-02T10", "2026-01-02T12") == ["2026-01-02T11"]


def test_a_table_without_a_key_of_its_own_lands_its_rows_once(theirs: Theirs) -> None:
    table(theirs)
    for amount in (1, 2, 2):
        theirs.run(f"INSERT INTO orders VALUES (1, {amount}, '2026-01-02 10:10:00Z', NULL)")
    theirs.land("2026-01-02T10")
    assert not theirs.land("2026-01-02T10", refresh=True)[0].changed
    theirs.run("DELETE FROM orders WHERE amount = 1")
    assert theirs.late("2026-01-02T10") == []
