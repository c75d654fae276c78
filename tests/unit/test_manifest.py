"""A manifest says on disk what it says in memory, and a bad one teaches."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from dagster_lake.storage.manifest import (
    Attempt,
    Manifest,
    ManifestError,
    RawFile,
    read_manifest,
    write_manifest,
)

INSTANTS = st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
TEXT = st.text(st.characters(codec="utf-8"))
FILES = st.builds(
    RawFile, TEXT, st.integers(0), st.integers(0), TEXT, source=st.none() | TEXT, modified=st.none() | INSTANTS
)
ATTEMPTS = st.builds(Attempt, st.integers(1), INSTANTS, st.lists(FILES, max_size=3).map(tuple))
MANIFESTS = st.builds(
    Manifest,
    data_set=st.just("users"),
    partition=TEXT,
    kind=TEXT,
    attempts=st.lists(ATTEMPTS, max_size=3).map(tuple),
    complete=st.booleans(),
    landed_at=INSTANTS,
    start=st.none() | INSTANTS,
    end=st.none() | INSTANTS,
    last_sequence=st.none() | st.dictionaries(TEXT, st.integers(0)),
    source_state=st.none() | TEXT,
    content=st.none() | TEXT,
)
MANIFEST = Manifest("users", "2026-01-05T12", "files", (), True, datetime(2026, 1, 5, tzinfo=UTC))


@given(MANIFESTS)
def test_a_manifest_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, manifest: Manifest) -> None:
    folder = UPath(tmp_path_factory.mktemp("partition"))
    write_manifest(folder, manifest, replacing=None)
    assert read_manifest(folder) == manifest
    document = json.loads((folder / "_manifest.json").read_text())
    assert (document["version"], document["rows"], document["bytes"]) == (1, manifest.rows, manifest.bytes)


def test_no_manifest_is_none(tmp_path: Path) -> None:
    assert read_manifest(UPath(tmp_path)) is None
    assert read_manifest(UPath(tmp_path / "absent")) is None


def test_a_manifest_replaces_only_the_one_it_was_made_from(tmp_path: Path) -> None:
    folder = UPath(tmp_path)
    write_manifest(folder, MANIFEST, replacing=None)
    with pytest.raises(ManifestError, match="replaced by another landing"):
        write_manifest(folder, MANIFEST, replacing=None)
    write_manifest(folder, MANIFEST, replacing=MANIFEST)
    assert [path.name for path in tmp_path.iterdir()] == ["_manifest.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"version": 1}', '{"version": 1, "attempts": 3}'])
def test_a_damaged_manifest_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "_manifest.json").write_text(text)
    with pytest.raises(ManifestError, match=r"_manifest\.json is damaged .*land it again"):
        read_manifest(UPath(tmp_path))


def test_a_manifest_of_another_version_is_refused(tmp_path: Path) -> None:
    (tmp_path / "_manifest.json").write_text('{"version": 2}')
    with pytest.raises(ManifestError, match="has version 2; this dagster_lake reads 1"):
        read_manifest(UPath(tmp_path))


def test_a_lake_elsewhere_is_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match="only a folder on this machine or in ADLS Gen2"):
        write_manifest(UPath("memory://lake/raw"), MANIFEST, replacing=None)
