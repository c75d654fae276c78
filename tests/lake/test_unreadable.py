"""Files that are no JSON are refused by name; those that are, in another form, keep their bytes in raw."""

import gzip
import json
from pathlib import Path

import pytest

from dagster_lake.contract.model import contracts
from dagster_lake.landing.land import land_snapshot
from dagster_lake.landing.result import LandingError
from dagster_lake.storage.manifest import read_manifest, verify
from tests.lake.lakes import TestLake, write
from tests.lake.test_hand_made_input import MONDAY, drop_users, person

USERS = contracts()["users"]


@pytest.fixture
def lake(tmp_path: Path) -> TestLake:
    return TestLake(tmp_path / "lake")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"id,name\n1,Eva\n2,Jan\n", "looks like CSV"),
        (b"<html><body>503</body></html>", "looks like HTML"),
        (b"<users><user/></users>", "looks like XML"),
        (gzip.compress(person(1).encode()), "looks like gzip"),
        (b"PK\x03\x04 xlsx", "looks like a zip archive"),
        (b"PAR1 and more", "looks like Parquet"),
        (b"Obj\x01 and more", "looks like Avro"),
        (bytes(range(256)), "looks like a binary file"),
        (f"[{person(1)}, {person(2)}".encode(), "cannot be read to its end: the array has no end"),
        (f"[{person(1)}, {person(2)[:40]}".encode(), "cannot be read to its end: row 2 is no JSON"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_name_and_nothing_lands(
    lake: TestLake, content: bytes, what: str
) -> None:
    drop_users(lake, person(1), name="good.jsonl")
    drop_users(lake, content, name="partner.jsonl")
    with lake.here(), pytest.raises(LandingError) as refused:
        land_snapshot(USERS, lake.resource.lake)
    assert f"partner.jsonl {what}" in str(refused.value)
    assert "take it out of the landing folder" in str(refused.value)
    assert list(lake.root.rglob("_manifest.json")) == []


def test_a_folder_with_other_files_only_is_refused_and_names_them(lake: TestLake) -> None:
    write(lake.root / "landing" / "users" / "export.csv", "id,name\n1,Eva\n", MONDAY)
    with lake.here(), pytest.raises(LandingError, match=r"export\.csv.*does not end in \.jsonl or \.ndjson or \.json"):
        land_snapshot(USERS, lake.resource.lake)


def test_raw_keeps_the_bytes_of_a_file_whose_rows_it_writes_as_lines(lake: TestLake) -> None:
    content = json.dumps([json.loads(person(i)) for i in range(3)], indent=2).encode("utf-16")
    drop_users(lake, content)
    with lake.here():
        landed = land_snapshot(USERS, lake.resource.lake)
        folder = lake.resource.lake.raw_partition("users", landed.partition, sensitive=USERS.sensitive)
        manifest = read_manifest(folder)
        assert manifest is not None
        [file] = manifest.files
        assert (file.rows, file.source) == (3, "users.jsonl")
        assert file.original is not None
        original = folder / file.original.path
        assert original.read_bytes() == content
        assert verify(folder, manifest) == []
        original.write_bytes(content[:-2])
        assert len(verify(folder, manifest)) == 1
        assert not land_snapshot(USERS, lake.resource.lake).changed
