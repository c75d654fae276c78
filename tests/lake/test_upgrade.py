"""A lake that an earlier version made goes on: `lake upgrade`, killed or not, ends in the tables of a lake made anew.

`format_1.tar.xz` is a lake of format 1: three hours of the generated shop, made by the code of commit 1c3e321 with
``OF_THE_FIXTURE``, up to gold, with this module's key and clock (`run_data_set` of every data set, then `build` of the
streams and of gold). It is never made again: that code wrote it.
"""

import json
import os
import shutil
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from dagster_lake.cli import app
from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.manifest import HOURLY_TAG, STREAMS, manifest
from dagster_lake.dbt_runner.run import build
from dagster_lake.lake_hour import HourRange
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.paths import FORMAT_VERSION, Lake, LakeFormatError
from dagster_lake.upgrade import remake, versions
from tests.lake.crashing import dying_at, dying_at_number, watching
from tests.lake.lakes import TINY, Row, TestLake, differences, hours

OF_THE_FIXTURE = {
    **TINY,
    **{"users": 40, "vip_users": 6, "products": 10, "orders_per_hour": 8, "pageviews_per_hour": 120, "dirt": "heavy"},
}
HOURS = hours(3)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MOVED = {"products", "stars", "vip_users"}
"""Of the fixture, what arrives as text and has no personal data: format 1 kept it beside the sensitive zone."""


def format_1(folder: Path) -> TestLake:
    """The fixture, as it was made."""
    with tarfile.open(Path(__file__).with_name("format_1.tar.xz")) as tar:
        tar.extractall(folder, filter="data")
    # tarfile keeps times as floats; raw knows them to the microsecond.
    (documents,) = folder.glob("lake/raw/products/*/*/*.parquet")
    rows = pq.read_table(documents, columns=["source_file", "modified"]).to_pylist()
    times = [("products", row["source_file"], row["modified"]) for row in rows]
    for landed in (json.loads(file.read_text()) for file in folder.rglob("_manifest.json")):
        files = [file for attempt in landed["attempts"] for file in attempt["files"] if "modified" in file]
        times += [(landed["data_set"], f["source"], datetime.fromisoformat(f["modified"])) for f in files]
    for data_set, name, modified in times:
        nanoseconds = (modified - EPOCH) // timedelta(microseconds=1) * 1000
        os.utime(folder / "lake" / "landing" / data_set / name, ns=(0, nanoseconds))
    delta._held.clear()
    return TestLake(folder / "lake", OF_THE_FIXTURE)


def run(lake: TestLake, *arguments: str) -> str:
    with lake.here():
        result = CliRunner().invoke(app, ["upgrade", *arguments], env={"COLUMNS": "200"}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def made_anew(folder: Path, like: TestLake) -> TestLake:
    """A lake of today's code from the same sources."""
    lake = TestLake(folder / "lake", OF_THE_FIXTURE)
    for part in ("sources", "landing"):
        shutil.copytree(like.root / part, lake.root / part)
    for name, contract in contracts().items():
        if name in {path.name for path in like.root.rglob("raw/*")}:
            lake.land(name, *(HOURS if contract.cadence == "hourly" else ()))
            lake.run_data_set(name, *HOURS, sources=False)
    models = [node for node in manifest()["nodes"].values() if node["resource_type"] == "model"]
    streams = [node["unique_id"] for node in models if node["schema"] == STREAMS]
    gold = [node["unique_id"] for node in models if node["schema"] != STREAMS]
    hourly = [id for id in gold if HOURLY_TAG in manifest()["nodes"][id]["tags"]]
    span = HourRange.of(HOURS[0], HOURS[-1])
    with lake.here():
        for ids, of in ((streams, span), (hourly, span), ([id for id in gold if id not in hourly], None)):
            list(build(ids, of, lake.resource.lake, lake.resource.settings))
    return lake


def content(lake: TestLake) -> dict[str, list[Row]]:
    return {table: rows for table, rows in lake.content().items() if remake.ASIDE not in table}


def tree(root: Path) -> set[str]:
    return {
        str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and not path.name.endswith(".lock")
    }


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> TestLake:
    """The fixture, upgraded; the first time it is killed while it makes silver."""
    lake = format_1(tmp_path_factory.mktemp("upgraded"))
    with lake.here(), dying_at("silver.orders_changes:after"):
        CliRunner().invoke(app, ["upgrade"], catch_exceptions=False)
    assert json.loads((lake.root / "lake.json").read_text())["format_version"] == f"1 to {FORMAT_VERSION}"
    with pytest.raises(LakeFormatError, match="`lake upgrade` goes on"):
        Lake.at(str(lake.root))
    run(lake)
    return lake


def test_every_earlier_format_has_steps_to_the_next_one() -> None:
    assert sorted(versions.STEPS) == list(range(1, FORMAT_VERSION))
    names = [step.name for steps in (*versions.STEPS.values(), remake.STEPS) for step in steps]
    assert len(names) == len({*names})


def test_a_lake_of_the_format_before_is_refused_with_the_command(tmp_path: Path) -> None:
    lake = format_1(tmp_path)
    with pytest.raises(LakeFormatError, match="`lake upgrade --dry-run` says"):
        Lake.at(str(lake.root))


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(tmp_path: Path) -> None:
    lake = format_1(tmp_path)
    before = {file: (lake.root / file).read_bytes() for file in tree(lake.root)}
    told = run(lake, "--dry-run")
    assert {file: (lake.root / file).read_bytes() for file in tree(lake.root)} == before
    for name in MOVED:
        assert f"move {lake.root}/raw/{name} to {lake.root}/sensitive/raw/{name}" in told
    assert "make streams and gold again" in told


def test_an_upgraded_lake_has_the_tables_of_one_made_anew(
    upgraded: TestLake, tmp_path_factory: pytest.TempPathFactory
) -> None:
    wanted = made_anew(tmp_path_factory.mktemp("anew"), upgraded)
    assert differences(content(upgraded), content(wanted)) == ""
    assert json.loads((upgraded.root / "lake.json").read_text())["format_version"] == FORMAT_VERSION
    assert {path.name for path in (upgraded.root / "sensitive" / "raw").iterdir()} >= MOVED


def test_raw_is_what_it_was_and_landing_it_again_finds_nothing_new(upgraded: TestLake, tmp_path: Path) -> None:
    old = {Path(place).parts[-2:]: m for place, m in _by_partition(format_1(tmp_path))}
    assert {Path(place).parts[-2:]: m for place, m in _by_partition(upgraded)} == old
    for name in ("orders", "stars", "users"):
        upgraded.land(name, *(HOURS if contracts()[name].cadence == "hourly" else ()))
    assert {Path(place).parts[-2:]: m for place, m in _by_partition(upgraded)} == old


def test_an_upgraded_lake_is_upgraded_no_further(upgraded: TestLake) -> None:
    assert "nothing to do" in run(upgraded)


def test_killed_at_any_point_of_its_moves_it_ends_the_same_when_run_again(tmp_path: Path) -> None:
    moves = [*versions.STEPS[1], remake.STEPS[0]]
    with patch.dict(versions.STEPS, {1: tuple(moves)}), patch.object(remake, "STEPS", ()):
        whole = format_1(tmp_path / "whole")
        with watching() as points:
            run(whole)
        assert len(points) > 2 * len(MOVED)
        killed = format_1(tmp_path / "killed")
        # One lake is killed further and further on, as each run begins where the last one was killed.
        for number in range(len(points)):
            with killed.here(), dying_at_number(number % 5):
                CliRunner().invoke(app, ["upgrade"], catch_exceptions=False)
        run(killed)
        assert tree(killed.root) == tree(whole.root)
        assert (killed.root / "lake.json").read_text() == (whole.root / "lake.json").read_text()


def _by_partition(lake: TestLake) -> list[tuple[str, list[str]]]:
    """The files of each partition of raw, with their checksums, by its manifest's folder."""
    found = []
    for file in sorted(lake.root.rglob("_manifest.json")):
        document = json.loads(file.read_text())
        found.append((str(file.parent), [one["sha256"] for a in document["attempts"] for one in a["files"]]))
    return found
