"""Free text from outside lies where only the owner of the lake reads it."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagster_lake.contract.model import contracts
from dagster_lake.engines.step import Step
from dagster_lake.landing.land import LandingError, land_snapshot
from dagster_lake.storage.listing import raw_data_sets, tables
from dagster_lake.storage.paths import FORMAT_VERSION, Lake, LakeFormatError
from tests.lake.lakes import TestLake, write

PHONE = "+420 777 123 456"
VIPS = f'{{"id": 1, "mobile": "{PHONE}"}}\n{{"id": 2, call {PHONE}\n{{"id": "{PHONE}"}}\n'
NOBODY = 65534

as_root = pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root becomes somebody else")


@pytest.fixture
def made() -> Iterator[TestLake]:
    """A lake of one data set without classified fields, in a folder that everybody may enter."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        lake = TestLake(Path(folder) / "lake")
        write(lake.root / "landing" / "vip_users" / "vips.jsonl", VIPS)
        lake.run_data_set("vip_users", sources=False)
        yield lake


def test_a_telephone_number_that_no_contract_knows_is_in_no_file_outside_the_sensitive_zone(made: TestLake) -> None:
    rows = [row for table in ("bronze", "quarantine") for row in made.rows(f"{table}/vip_users")]
    assert PHONE in json.dumps(rows, default=str), "the number was not kept at all"
    files = [f for f in made.root.rglob("*") if f.is_file() and not {"sensitive", "landing"} & {*f.parts}]
    assert len(files) > 5
    assert [str(f) for f in files if PHONE.encode() in f.read_bytes()] == []


def as_nobody(files: list[Path]) -> set[str]:
    """Whether another user of the machine could read the files."""
    look = 'for file; do head -c 1 "$file" >/dev/null 2>&1 && echo read || echo refused; done'
    told = subprocess.run(
        ["/bin/sh", "-c", look, "sh", *map(str, files)],
        **{"user": NOBODY, "group": NOBODY, "extra_groups": []},  # type: ignore[call-overload]
        **{"cwd": "/", "text": True, "capture_output": True, "check": True},
    ).stdout
    return set(told.split())


@as_root
def test_another_user_of_the_machine_reads_silver_and_no_file_of_the_sensitive_zone(made: TestLake) -> None:
    zone = made.root / "sensitive"
    sensitive = [f for f in zone.rglob("*") if f.is_file()]
    assert {f.relative_to(zone).parts[0] for f in sensitive} == {"raw", "bronze", "quarantine"}
    assert as_nobody(sensitive) == {"refused"}
    assert as_nobody(list((made.root / "silver").rglob("*.parquet"))) == {"read"}


@as_root
def test_whoever_may_not_enter_the_sensitive_zone_still_sees_the_other_tables(made: TestLake) -> None:
    os.seteuid(NOBODY)
    try:
        lake = Lake.at(str(made.root))
        found, raw = {table.name for table in tables(lake)}, raw_data_sets(lake)
    finally:
        os.seteuid(0)
    assert {"silver.vip_users", "silver.vip_users_snapshots"} <= found
    assert {name.split(".")[0] for name in found} == {"silver"}
    assert raw == []


@pytest.mark.parametrize("before", [None, 0o755])
def test_the_zone_is_shut_when_a_lake_is_opened_however_it_was_left(tmp_path: Path, before: int | None) -> None:
    if before is not None:
        (tmp_path / "sensitive").mkdir()
        (tmp_path / "sensitive").chmod(before)
    Lake.at(str(tmp_path))
    assert (tmp_path / "sensitive").stat().st_mode & 0o777 == 0o700


def test_a_lake_whose_text_lies_in_the_open_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "lake.json").write_text('{"format_version": 1}')
    with pytest.raises(LakeFormatError, match=rf"reads {FORMAT_VERSION}\. Since 2, .* below sensitive/.*lake upgrade"):
        Lake.at(str(tmp_path))


def test_a_data_set_whose_zone_changes_is_refused_until_its_folders_are_moved(made: TestLake) -> None:
    """Otherwise everything would begin again in the new place, and the old one be forgotten in the open."""
    moved = made.root / "raw" / "vip_users"
    moved.parent.mkdir()
    (made.root / "sensitive" / "raw" / "vip_users").rename(moved)
    with made.here():
        says = r"lake/raw/vip_users holds .* to .*lake/sensitive/raw/vip_users.* move that folder"
        with pytest.raises(LandingError, match=says):
            land_snapshot(contracts()["vip_users"], made.resource.lake)
        moved.rename(made.root / "sensitive" / "raw" / "vip_users")
        land_snapshot(contracts()["vip_users"], made.resource.lake)
        made.resource.engine.run(Step("vip_users", "bronze", ()))
