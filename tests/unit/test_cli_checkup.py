"""Every finding of `lake doctor`, good and bad."""

import json
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dagster_lake.cli.doctor import machine as checkup
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import FORMAT_VERSION

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg, arg-type]


@pytest.mark.parametrize(("version", "level"), [((3, 10), "fail"), ((3, 11), "ok"), ((3, 13), "ok"), ((3, 14), "fail")])
def test_only_pinned_pythons_are_in_order(version: tuple[int, int], level: str) -> None:
    assert checkup.python_version(version).level == level


def test_a_package_at_another_version_than_its_pin_is_named(tmp_path: Path) -> None:
    pins = tmp_path / "py311.txt"
    pins.write_text("typer==0.25.1\nnot-installed==1.0\n")
    installed = dict.fromkeys(checkup._required(), "1") | {"typer": "0.26.0"}
    finding = checkup.packages(pins, installed)
    assert finding.level == "warn"
    assert "typer 0.26.0 (pinned 0.25.1)" in finding.says
    assert "not-installed" not in finding.says


def test_a_missing_package_fails(tmp_path: Path) -> None:
    pins = tmp_path / "py311.txt"
    pins.write_text("typer==0.25.1\n")
    finding = checkup.packages(pins, {"typer": "0.25.1"})
    assert finding.level == "fail"
    assert "dagster" in finding.says


def test_a_port_in_use_is_told_with_another_to_take() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        finding = checkup.port(server.getsockname()[1])
    assert finding.level == "warn"
    assert "make dev PORT=" in finding.remedy


def test_a_free_port_is_in_order() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        number = server.getsockname()[1]
    assert checkup.port(number).level == "ok"


def test_a_relative_dagster_home_fails() -> None:
    assert checkup.dagster_home("somewhere", Path()).level == "fail"


def test_a_dagster_home_without_its_file_is_a_warning(tmp_path: Path) -> None:
    assert checkup.dagster_home(str(tmp_path), Path()).level == "warn"
    (tmp_path / "dagster.yaml").touch()
    assert checkup.dagster_home(str(tmp_path), Path()).level == "ok"


def test_a_remote_lake_without_its_masking_key_fails() -> None:
    finding = checkup.masking_key_present(settings(root="abfss://lake@account.dfs.core.windows.net/"))
    assert finding.level == "fail"
    assert "LAKE_PII_KEY" in finding.remedy


def test_a_short_masking_key_fails_and_is_not_shown() -> None:
    finding = checkup.masking_key_present(settings(pii_key="a-secret"))
    assert finding.level == "fail"
    assert "a-secret" not in finding.says + finding.remedy


def test_a_masking_key_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    key = tmp_path / "sources" / "pii.key"
    key.parent.mkdir()
    key.write_text("k" * 64)
    key.chmod(0o644)
    assert checkup.masking_key_present(settings(root=str(tmp_path))).remedy == f"chmod 600 {key}"
    key.chmod(0o600)
    assert checkup.masking_key_present(settings(root=str(tmp_path))).level == "ok"


@pytest.mark.parametrize(("free", "level"), [(10**8, "fail"), (2 * 10**9, "warn"), (10**11, "ok")])
def test_little_disk_space_is_told_before_it_runs_out(tmp_path: Path, free: int, level: str) -> None:
    assert checkup.disk_space(tmp_path, free).level == level


def test_a_lake_is_made_below_the_nearest_folder_that_exists(tmp_path: Path) -> None:
    assert checkup.nearest_folder(tmp_path / "a" / "b") == tmp_path
    assert checkup.writable(tmp_path / "a" / "b").level == "ok"


@pytest.mark.parametrize(
    ("version", "level", "remedy"),
    [
        (FORMAT_VERSION, "ok", ""),
        (FORMAT_VERSION - 1, "fail", "lake upgrade"),
        (FORMAT_VERSION + 1, "fail", "git pull"),
    ],
)
def test_a_lake_of_another_format_fails_with_its_remedy(tmp_path: Path, version: int, level: str, remedy: str) -> None:
    (tmp_path / "lake.json").write_text(json.dumps({"format_version": version}))
    finding = checkup.lake_format(tmp_path)
    assert finding.level == level
    assert remedy in finding.remedy


def test_a_damaged_marker_fails(tmp_path: Path) -> None:
    (tmp_path / "lake.json").write_text("{")
    assert checkup.lake_format(tmp_path).level == "fail"


def test_a_lake_written_after_now_questions_the_clock(tmp_path: Path) -> None:
    log = tmp_path / "silver" / "users" / "_delta_log"
    log.mkdir(parents=True)
    written = (NOW + timedelta(days=1)).timestamp()
    os.utime(log, (written, written))
    assert checkup.clock(tmp_path, NOW).level == "warn"
    assert checkup.clock(tmp_path, NOW + timedelta(days=2)).level == "ok"


def test_old_temporary_files_are_leftovers_and_young_ones_are_at_work(tmp_path: Path) -> None:
    file = tmp_path / "raw" / "stars" / "part.tmp"
    file.parent.mkdir(parents=True)
    file.touch()
    os.utime(file, (NOW.timestamp(), NOW.timestamp()))
    assert checkup.leftovers(tmp_path, NOW).level == "ok"
    finding = checkup.leftovers(tmp_path, NOW + timedelta(hours=2))
    assert finding.level == "warn"
    assert str(file) in finding.says
