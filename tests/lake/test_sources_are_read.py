"""A source is only read: nothing in it changes, SELECT is enough, and one that is away stops no other."""

# ruff: noqa: F811  # fixtures are imported

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url
from typer.testing import CliRunner

from dagster_lake.shop.database import ShopDatabase
from dagster_lake.sources.database.database import DatabaseError
from generators.cli import app

from .databases import Theirs, their_postgres, their_sqlite, theirs  # noqa: F401  # fixtures
from .lakes import FIRST_HOUR, TestLake
from .postgres import postgres_server, postgres_url  # noqa: F401  # fixtures

HOUR = "2026-01-05T10"
TABLE = "CREATE TABLE orders (id bigint primary key, amount numeric(12, 2), changed_at {stamp})"
SALE = "INSERT INTO orders VALUES (1, 12.30, '2026-01-05 10:30:00Z')"


@pytest.fixture
def select_only(their_postgres: Theirs) -> Iterator[Theirs]:
    """Their PostgreSQL database as a role sees it that may only SELECT."""
    their_postgres.run(TABLE.format(stamp="timestamptz"))
    their_postgres.run(SALE)
    for statement in (
        "DROP ROLE IF EXISTS reader",
        "CREATE ROLE reader LOGIN",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "GRANT USAGE ON SCHEMA public TO reader",
        "GRANT SELECT ON orders TO reader",
    ):
        their_postgres.run(statement)
    reader = make_url(their_postgres.url).set(username="reader").render_as_string(hide_password=False)
    yield Theirs(reader, their_postgres.folder, their_postgres.contract)
    their_postgres.run("DROP OWNED BY reader")
    their_postgres.run("DROP ROLE reader")


def test_a_role_that_may_only_select_is_enough(select_only: Theirs) -> None:
    (landed,) = select_only.land(HOUR)
    assert landed.rows == 1
    assert select_only.late(HOUR) == []
    with psycopg.connect(select_only.url) as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert tables == [("orders",)]


def test_transactions_in_postgresql_are_read_only(their_postgres: Theirs) -> None:
    body = "INSERT INTO seen VALUES (1); SELECT 1::bigint"
    their_postgres.run("CREATE TABLE seen (n int)")
    their_postgres.run(f"CREATE FUNCTION touch() RETURNS bigint LANGUAGE sql AS '{body}'")
    columns = "touch() AS id, 1.0 AS amount, timestamptz '2026-01-05 10:30Z' AS changed_at"
    their_postgres.run(f"CREATE VIEW orders AS SELECT {columns}")
    with pytest.raises(DatabaseError, match="read-only transaction"):
        their_postgres.land(HOUR)


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_a_sqlite_file_is_as_it_was_with_what_lies_beside_it(their_sqlite: Theirs, mode: str) -> None:
    file = Path(their_sqlite.url.removeprefix("sqlite:///"))
    with closing(sqlite3.connect(file)) as owner:
        owner.execute(f"PRAGMA journal_mode = {mode}")
        owner.execute(TABLE.format(stamp="text"))
        owner.execute(SALE)
        owner.commit()  # in WAL mode this row stands in the file beside, while its writer is connected
        before = {path.name: path.read_bytes() for path in file.parent.glob("theirs*") if path.suffix != ".sqlite-shm"}
        assert len(before) == (2 if mode == "wal" else 1)
        (landed,) = their_sqlite.land(HOUR)
        assert landed.rows == 1
        assert their_sqlite.late(HOUR) == []
        after = {path.name: path.read_bytes() for path in file.parent.glob("theirs*") if path.suffix != ".sqlite-shm"}
        assert after == before
        assert owner.execute("PRAGMA journal_mode").fetchone() == (mode,)
        assert owner.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall() == [("orders",)]


def test_a_sqlite_file_where_nothing_can_be_written_is_read(
    their_sqlite: Theirs, monkeypatch: pytest.MonkeyPatch
) -> None:
    their_sqlite.run("PRAGMA journal_mode = wal")
    their_sqlite.run(TABLE.format(stamp="text"))
    their_sqlite.run(SALE)
    monkeypatch.setattr("os.access", lambda *_: False)  # as on a read-only file system; chmod does not bind root
    assert their_sqlite.land(HOUR)[0].rows == 1
    assert [path.name for path in their_sqlite.folder.glob("theirs*")] == ["theirs.sqlite"]


def test_a_sqlite_file_that_is_not_there_is_not_made(their_sqlite: Theirs) -> None:
    with pytest.raises(DatabaseError, match=r"there is no SQLite database .*theirs.sqlite; correct LAKE_DATABASE_URL"):
        their_sqlite.land(HOUR)
    assert not list(their_sqlite.folder.glob("theirs*"))


def test_a_table_orders_of_another_shape_is_landed_under_its_own_contract(theirs: Theirs) -> None:
    theirs.run(TABLE.format(stamp="text" if theirs.is_sqlite else "timestamptz"))
    theirs.run(SALE.replace("00Z", "00.000000Z"))
    assert theirs.land(HOUR)[0].rows == 1
    assert [(row["id"], str(row["amount"])) for row in theirs.raw(HOUR)] == [(1, "12.30")]


def test_the_generators_refuse_a_table_that_is_not_the_shop_s_and_leave_everything_as_it_is(theirs: Theirs) -> None:
    theirs.run(TABLE.format(stamp="text"))
    with pytest.raises(DatabaseError, match="has a table orders that is not the shop's: it lacks order_date"):
        ShopDatabase(theirs.url).create_tables()
    with closing(_connection(theirs.url)) as connection, pytest.raises((sqlite3.Error, psycopg.Error)):
        connection.execute("SELECT * FROM order_items")


def test_the_generators_fill_the_database_they_are_told_to(theirs: Theirs) -> None:
    told = ["database", "--url", theirs.url, "--hours", "2", "--first-hour", "2026-01-05T10"]
    done = CliRunner().invoke(app, told)
    assert done.exit_code == 0, done.stderr
    with closing(_connection(theirs.url)) as connection:
        (found,) = connection.execute("SELECT count(*) FROM order_items").fetchone()
    assert found > 10
    again = CliRunner().invoke(app, ["database", "--url", "mysql://root@localhost/x", "--hours", "1"])
    assert again.exit_code == 2
    assert "'mysql' cannot be filled" in again.stderr


def test_somebody_else_s_database_is_not_filled_by_the_hourly_run(theirs: Theirs, tmp_path: Path) -> None:
    theirs.run("CREATE TABLE cats (id int)")
    lake = TestLake(tmp_path / "lake", {"database_url": theirs.url})
    lake.run_sources(["orders"], FIRST_HOUR)
    with closing(_connection(theirs.url)) as connection, pytest.raises((sqlite3.Error, psycopg.Error)):
        connection.execute("SELECT count(*) FROM orders")


@pytest.mark.parametrize(
    "away", ["postgresql://nobody@127.0.0.1:1/shop", "sqlite:////no/such/folder/shop.db", "mssql://x/y"]
)
def test_events_land_while_the_database_is_away(tmp_path: Path, away: str) -> None:
    lake = TestLake(tmp_path / "lake", {"database_url": away})
    lake.run_data_set("stars", FIRST_HOUR)
    assert lake.rows("silver/stars")


def _connection(url: str) -> sqlite3.Connection | psycopg.Connection:
    if url.startswith("sqlite"):
        return sqlite3.connect(url.removeprefix("sqlite:///"))
    return psycopg.connect(url)
