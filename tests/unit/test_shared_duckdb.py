"""Databases in memory that share one DuckDB, and yet nothing else."""

import os
import tempfile
from pathlib import Path

import duckdb
import pytest

from dagster_lake.storage.duckdb.shared import database, own_database

LIMIT = "60MB"  # of no other database of this process
LARGE = "SELECT range AS id, hash(range)::VARCHAR || repeat('x', 40) AS name FROM range(1500000)"


@pytest.fixture
def spills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where folders for what spills are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_two_that_are_open_at_once_do_not_see_each_others_tables_and_both_are_in_utc(spills: Path) -> None:
    with database(LIMIT) as one, database(LIMIT) as other:
        for con, value in ((one, 1), (other, 2)):
            con.execute(f"CREATE TABLE kept AS SELECT {value} AS v; CREATE TEMP TABLE scratch AS FROM kept")
            con.execute("CREATE SCHEMA silver; CREATE VIEW silver.seen AS FROM kept")
        for con, value in ((one, 1), (other, 2)):
            for relation in ("kept", "scratch", "silver.seen"):
                assert con.execute(f"FROM {relation}").fetchall() == [(value,)]
            assert con.execute("SELECT current_setting('TimeZone')").fetchall() == [("UTC",)]
        assert len([*spills.iterdir()]) == 1, "they share one DuckDB"


def test_one_that_is_opened_while_another_stays_open_is_empty_and_gone_afterwards(spills: Path) -> None:
    with database(LIMIT) as kept:
        databases = "SELECT count(*) FROM duckdb_databases() WHERE NOT internal"
        before = kept.execute(databases).fetchall()
        for _ in range(3):
            with database(LIMIT) as con:
                con.execute("CREATE TABLE t AS SELECT 1")
                rows = con.sql("FROM range(10000)").to_arrow_reader(10)  # left half read
                rows.read_next_batch()
        assert kept.execute(databases).fetchall() == before
        kept.execute("SELECT 1")
    assert [*spills.iterdir()] == []


def test_an_error_within_ends_it_too(spills: Path) -> None:
    with pytest.raises(duckdb.CatalogException), database(LIMIT) as con:
        con.execute("FROM nowhere")
    assert [*spills.iterdir()] == []


def test_what_does_not_fit_is_spilled_where_only_this_user_may_look_and_is_gone_afterwards(spills: Path) -> None:
    with database(LIMIT, 1) as con:
        con.execute(f"CREATE TABLE large AS {LARGE}")
        (folder,) = spills.iterdir()
        assert [*folder.iterdir()] != []
        assert folder.stat().st_mode & 0o077 == 0
    assert [*spills.iterdir()] == []


def test_what_one_of_its_own_changes_of_duckdb_as_a_whole_changes_no_other(spills: Path) -> None:
    with database(LIMIT) as shared:
        with own_database(LIMIT) as con:
            con.execute("SET enable_external_access = false; SET lock_configuration = true")
        with database(LIMIT) as con:
            con.execute("SET threads = 1")
        shared.execute("SET threads = 1")


def test_a_forked_process_makes_one_of_its_own(spills: Path) -> None:
    with database(LIMIT):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                with database(LIMIT) as con:
                    code = 0 if con.execute("SELECT count(*) FROM range(1000000)").fetchall() == [(1000000,)] else 2
            finally:
                os._exit(code)
        assert os.waitpid(pid, 0)[1] == 0
