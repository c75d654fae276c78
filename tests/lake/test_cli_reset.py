"""`lake reset` removes a lake, all of it, and nothing else."""

import fcntl
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from dagster_lake.cli import app
from dagster_lake.cli.reset import local as removal
from dagster_lake.operations.instance import place as history_place
from dagster_lake.storage.paths import Lake


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder, instead of the real one."""
    monkeypatch.setattr(history_place, "PROJECT_ROOT", tmp_path / "project")
    return tmp_path / "project"


@pytest.fixture
def root(project: Path) -> Path:
    root = project / ".lake"
    Lake.at(str(root))
    for folder in removal.FOLDERS:
        (root / folder / "inside").mkdir(parents=True)
        (root / folder / "inside" / "file").write_text("x")
    return root


def reset(lake: Path | str, *arguments: str, answer: str = "") -> Result:
    return CliRunner(env={"LAKE_ROOT": "", "COLUMNS": "200"}).invoke(
        app, ["--lake", str(lake), "reset", *arguments], input=answer, catch_exceptions=False
    )


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_ROOT", "")  # put back afterwards: --lake sets it


def test_reset_removes_the_lake_with_its_history_and_no_other_lake(root: Path, project: Path) -> None:
    other = project / "elsewhere"
    shutil.copytree(root, other)
    before = sorted(other.rglob("*"))
    assert reset(root, "--yes").exit_code == 0
    assert list(project.iterdir()) == [other]
    assert sorted(other.rglob("*")) == before


def test_a_lake_that_is_open_in_dagster_is_not_removed(root: Path) -> None:
    with (root / ".dagster" / "open").open("w") as held:
        held.write("at http://127.0.0.1:3000 (process 7)")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        result = reset(root, "--yes")
    assert result.exit_code == 1
    assert "open on this lake, at http://127.0.0.1:3000 (process 7)" in result.output
    assert (root / "silver").exists()


def test_reset_shows_what_will_go_and_asks(root: Path, project: Path) -> None:
    before = sorted(project.rglob("*"))
    result = reset(root, answer="n\n")
    assert result.exit_code == 1
    assert str(root / "silver") in result.output
    assert str(root / ".dagster") in result.output
    assert sorted(project.rglob("*")) == before


def test_reset_removes_after_a_yes(root: Path) -> None:
    assert reset(root, answer="y\n").exit_code == 0
    assert not root.exists()


def test_a_folder_without_a_marker_is_refused(tmp_path: Path, project: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "silver").mkdir()
    result = reset(tmp_path / "photos", "--yes")
    assert result.exit_code == 1
    assert "is not a lake" in result.output
    assert (tmp_path / "photos" / "silver").exists()


def test_a_whole_container_is_refused() -> None:
    result = reset("abfss://lake@account.dfs.core.windows.net/", "--yes")
    assert result.exit_code == 1
    assert "whole container" in result.output


def test_a_link_to_a_lake_is_refused(root: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(root)
    assert reset(tmp_path / "link", "--yes").exit_code == 1
    assert (root / "lake.json").exists()


def test_what_a_link_in_the_lake_points_at_stays(root: Path, tmp_path: Path) -> None:
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "file").write_text("mine")
    (root / "silver" / "inside" / "link").symlink_to(treasure)
    (root / "gold" / "link").symlink_to(treasure / "file")
    assert reset(root, "--yes").exit_code == 0
    assert (treasure / "file").read_text() == "mine"


def test_what_is_no_part_of_a_lake_stays_and_is_named(root: Path) -> None:
    (root / "notes.txt").write_text("mine")
    result = reset(root, "--yes")
    assert result.exit_code == 0
    assert "notes.txt" in result.output
    assert [entry.name for entry in root.iterdir()] == ["notes.txt"]
