"""Silver's latest rows: the rule, case by case and at random, with the embedded engine."""

from collections.abc import Collection
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_lake.engines.duckdb import newest
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.duckdb.scan import files_sql
from tests.depth import examples
from tests.lake.latest_cases import CASES, Make
from tests.lake.latest_world import (
    FIRST,
    ORDERS,
    USERS,
    LatestWorld,
    hour,
    latest_changes,
    latest_of_snapshots,
    not_valid,
    snapshot,
    strict,
)

EARLY = FIRST + timedelta(minutes=90)
DAY = FIRST + timedelta(days=1)
KEYS = st.integers(0, 2)
VALUES = st.sampled_from([None, 5, 15, 25])
LEAST = st.sampled_from([None, 10, 20])
QUIET = settings(
    max_examples=examples(12, 40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.data_too_large, HealthCheck.too_slow],
)


def worlds(folder: Path) -> Make:
    """Worlds in folders of their own."""
    return lambda contract: LatestWorld(folder / f"lake{len(list(folder.iterdir()))}", contract)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_case(tmp_path: Path, case) -> None:  # type: ignore[no-untyped-def]
    case(worlds(tmp_path))


def test_a_new_hour_opens_no_file_of_the_hours_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = worlds(tmp_path)(strict(ORDERS, 10))
    for number in range(6):
        world.change(number, (10 * number, 10, 20), (10 * number + 1, 10, 1), (10 * number + 2, 10, 20))
    world.make(*(hour(number) for number in range(6)))
    opened: list[str] = []

    def noting(pinned: delta.Pinned, files: Collection[str]) -> str:
        opened.extend(files)
        return files_sql(pinned, files)

    monkeypatch.setattr(newest, "files_sql", noting)
    monkeypatch.setattr(newest, "scan_sql", lambda pinned, hours: noting(pinned, pinned.files(hours)))
    world.change(6, (60, 10, 20), (61, 10, 1))
    world.make(hour(6))
    assert len(world.rows()) == 13
    assert opened
    assert all(f"_lake_hour={hour(6)}" in file for file in opened)


@QUIET
@given(st.data())
def test_changes_made_again_in_any_order_under_any_contract(tmp_path: Path, data: st.DataObject) -> None:
    world = worlds(tmp_path)(ORDERS)
    versions = st.lists(st.tuples(KEYS, st.integers(1, 4), VALUES), max_size=5, unique_by=lambda row: row[:2])
    made: dict[str, int | None] = {}
    deletions = {}
    for _ in range(data.draw(st.integers(1, 7))):
        least = data.draw(LEAST)
        world.under(strict(ORDERS, least))
        numbers = sorted(data.draw(st.sets(st.integers(0, 3), min_size=1, max_size=2)))
        for number in numbers:
            if hour(number) not in made or data.draw(st.booleans()):
                world.change(number, *data.draw(versions))
        if data.draw(st.integers(0, 3)) == 0 and made:
            now = latest_changes(world.bronze, made, deletions)
            gone = data.draw(st.sets(KEYS, max_size=2))
            deletions = {key: data.draw(st.sampled_from([DAY, EARLY])) for key in gone}
            world.delete(deletions)
            touched = {*gone, *(key for key, row in now.items() if row[2])}
            of_them = sorted({row[1] for key, row in now.items() if key in touched})
            if of_them:
                world.newest(*of_them)
        hours = [hour(number) for number in numbers]
        world.silver(*hours)
        made |= dict.fromkeys(hours, least)
        if data.draw(st.booleans()):
            world.newest(*hours)
        else:
            for each in reversed(hours):
                world.newest(each)
        assert world.rows() == latest_changes(world.bronze, made, deletions)


@QUIET
@given(st.data())
def test_snapshots_made_again_in_any_order_under_any_contract(tmp_path: Path, data: st.DataObject) -> None:
    world = worlds(tmp_path)(USERS)
    rows = st.lists(st.tuples(st.one_of(KEYS, st.just("x")), st.one_of(VALUES, st.just("bad"))), max_size=5)
    made: dict[str, int | None] = {}
    accepted: set[str] = set()
    for _ in range(data.draw(st.integers(1, 7))):
        least = data.draw(LEAST)
        world.under(strict(USERS, least))
        number = data.draw(st.integers(0, 3))
        if snapshot(number) not in made or data.draw(st.booleans()):
            world.export(number, data.draw(rows))
        withheld = world.silver(snapshot(number), accept_shrink=True).withheld
        made[snapshot(number)] = least
        bad = [not_valid(row, least) for row in world.bronze[snapshot(number)]]
        assert bool(withheld) == (bool(bad) and all(bad))
        (accepted.discard if withheld else accepted.add)(snapshot(number))
        if data.draw(st.integers(0, 2)):
            world.newest(snapshot(number))
            assert world.rows() == latest_of_snapshots(world.bronze, made, accepted)
