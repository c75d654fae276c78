"""`lake doctor --deep` finds every kind of damage, all in one go, and nothing in a lake that is as it was written."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dagster_lake.cli import app
from dagster_lake.cli.doctor.deep import pieces
from dagster_lake.storage.delta import write as delta
from tests.lake.lakes import TestLake, hours


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> TestLake:
    made = TestLake(tmp_path_factory.mktemp("deep") / "lake")
    made.run_data_set("pageviews", *hours(2))
    made.run_data_set("orders", *hours(2))
    return made


def told(lake: TestLake) -> list[str]:
    delta._held.clear()
    with lake.here():
        settings = lake.resource.settings
        return [
            f"{f.subject}: {f.says} -> {f.remedy}"
            for piece in pieces(lake.resource.lake, settings)
            for f in piece.look(lambda read: None)
        ]


def some(folder: Path, pattern: str) -> Path:
    return min(folder.glob(pattern))


FAULTS: dict[str, tuple[Callable[[TestLake], Path], Callable[[bytes], bytes | None], str, str]] = {
    "a missing file": (
        lambda lake: some(lake.table_folder("silver/pageviews"), "*/*.parquet"),
        lambda _: None,
        "silver.pageviews",
        "`lake repair silver.pageviews`",
    ),
    "a cut-off file": (
        lambda lake: some(lake.table_folder("bronze/pageviews"), "*/*.parquet"),
        lambda b: b[:-9],
        "bronze.pageviews",
        "`lake repair bronze.pageviews`",
    ),
    "a footer of zeros": (
        lambda lake: some(lake.table_folder("silver/orders"), "*/*.parquet"),
        lambda b: b[:-20] + bytes(20),
        "silver.orders",
        "`lake repair silver.orders`",
    ),
    "a cut-off commit": (
        lambda lake: max(lake.table_folder("bronze/orders").glob("_delta_log/*.json")),
        lambda b: b[:-9],
        "bronze.orders",
        "`lake repair bronze.orders`",
    ),
    "a flipped bit in raw": (
        lambda lake: some(lake.root, "**/raw/orders/*/*/*.parquet"),
        lambda b: b[:50] + bytes([b[50] ^ 1]) + b[51:],
        "raw.orders",
        "restore the file",
    ),
    "a manifest that is no JSON": (
        lambda lake: some(lake.root, "**/raw/pageviews/*/_manifest.json"),
        lambda b: b[:-9],
        "raw.pageviews",
        "restore it",
    ),
    "a segment of the hub": (
        lambda lake: some(lake.root, "sources/event_hub/*/*/*.parquet"),
        lambda b: b[:-9],
        "event hub",
        "from a copy",
    ),
}


def test_a_lake_that_is_as_it_was_written_has_no_fault_and_the_command_says_so(lake: TestLake) -> None:
    assert told(lake) == []
    delta._held.clear()
    result = CliRunner().invoke(app, ["doctor", "--deep"], env={**lake.environment, "COLUMNS": "200"})
    assert "everything is as it was written" in result.output


def test_every_fault_is_told_beside_every_other_one_with_its_file_and_what_mends_it(lake: TestLake) -> None:
    places = {what: find(lake) for what, (find, *_) in FAULTS.items()}
    contents = {place: place.read_bytes() for place in places.values()}
    try:
        for what, (_, damage, *_) in FAULTS.items():
            damaged = damage(contents[places[what]])
            places[what].unlink()
            if damaged is not None:
                places[what].write_bytes(damaged)
        found = told(lake)
        delta._held.clear()
        result = CliRunner().invoke(app, ["doctor", "--deep"], env={**lake.environment, "COLUMNS": "200"})
    finally:
        for place, content in contents.items():
            place.write_bytes(content)
    assert len(found) == len(FAULTS)
    for what, (_, _, subject, remedy) in FAULTS.items():
        (line,) = [line for line in found if str(places[what]) in line]
        assert line.startswith(f"{subject}: "), what
        assert remedy in line, what
    assert result.exit_code == 1
    assert f"{len(FAULTS)} faults" in result.output
    assert told(lake) == []


def test_a_database_whose_pages_are_damaged_is_told(lake: TestLake) -> None:
    file = lake.resource.lake.sources / "shop.db"
    before = file.read_bytes()
    with sqlite3.connect(file) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    file.write_bytes(before[: 2 * size] + bytes([255]) * size + before[3 * size :])
    try:
        found = told(lake)
    finally:
        file.write_bytes(before)
    assert found
    assert all(line.startswith(f"database: {file} ") for line in found)
