"""The lake's first hour: a setting that the lake keeps, and that only moves back."""

import json
import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import ValidationError

from dagster_lake.lake_resource import LakeResource
from dagster_lake.settings.lake import PROJECT_ROOT, Settings
from dagster_lake.storage import marker
from dagster_lake.storage.first_hour import FirstHourError, check_first_hour, first_hour
from dagster_lake.storage.paths import FORMAT_VERSION, Lake

REMOTE = "abfss://lake@shop.dfs.core.windows.net/a"


def settings(root: Path | str, first: str | None = None) -> Settings:
    return Settings(_env_file=None, root=str(root), first_hour=first)  # type: ignore[call-arg]


def test_a_lake_keeps_the_first_hour_that_it_was_made_with(tmp_path: Path) -> None:
    lake = Lake.of(settings(tmp_path, "2021-12-01T00"))
    assert lake.first_hour() == "2021-12-01T00"
    assert first_hour(settings(tmp_path)) == "2021-12-01T00"  # without the setting, as definitions load


def test_a_lake_without_the_field_begins_in_2026(tmp_path: Path) -> None:
    (tmp_path / "lake.json").write_text(json.dumps({"format_version": FORMAT_VERSION}))
    assert Lake.of(settings(tmp_path)).first_hour() == "2026-01-01T00"
    assert first_hour(settings(tmp_path / "no lake yet")) == "2026-01-01T00"


def test_an_earlier_setting_moves_the_first_hour_back_and_a_later_one_does_nothing_but_tell(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Lake.of(settings(tmp_path))
    earlier, later = settings(tmp_path, "2024-05-01T00"), settings(tmp_path, "2026-03-01T00")
    assert first_hour(earlier) == "2024-05-01T00"  # the definitions load before anything opens the lake
    lake = Lake.of(earlier)
    assert json.loads(lake.marker.read_text()) == {"format_version": FORMAT_VERSION, "first_hour": "2024-05-01T00"}
    assert first_hour(later) == "2024-05-01T00"
    with caplog.at_level(logging.WARNING):
        check_first_hour(Lake.of(later), later)
    assert "LAKE_FIRST_HOUR=2026-03-01T00 has no effect: the lake begins with 2024-05-01T00" in caplog.text
    assert lake.first_hour() == "2024-05-01T00"


def test_of_two_processes_that_move_it_at_once_the_earlier_hour_stays(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda year: Lake.of(settings(tmp_path, f"20{year}-01-01T00")), range(20, 9, -1)))
    assert Lake.of(settings(tmp_path)).first_hour() == "2010-01-01T00"


def test_a_crash_while_the_marker_is_replaced_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake.of(settings(tmp_path))

    def dies(*paths: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(marker.os, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        lake.move_first_hour_back("2020-01-01T00")
    monkeypatch.undo()
    assert Lake.of(settings(tmp_path)).first_hour() == "2026-01-01T00"


def test_a_first_hour_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="write it as 2026-01-05T12"):
        settings(tmp_path, "2021-12-01")


def test_a_remote_lake_is_not_asked_while_definitions_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(root: object) -> str:
        raise AssertionError("a code location must load without the lake")

    monkeypatch.setattr("dagster_lake.storage.paths.read_marker", asked)
    assert first_hour(settings(REMOTE)) == "2026-01-01T00"
    assert first_hour(settings(REMOTE, "2021-12-01T00")) == "2021-12-01T00"


def test_a_remote_lake_that_begins_earlier_than_the_definitions_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake.of(settings(tmp_path, "2021-12-01T00"))
    with pytest.raises(FirstHourError, match="Set LAKE_FIRST_HOUR=2021-12-01T00 wherever Dagster runs"):
        check_first_hour(lake, settings(REMOTE))
    check_first_hour(lake, settings(REMOTE, "2021-12-01T00"))


def test_a_run_opens_a_lake_with_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "lake"))
    monkeypatch.setenv("LAKE_FIRST_HOUR", "2022-01-01T05")
    assert LakeResource().lake.first_hour() == "2022-01-01T05"


def test_definitions_of_four_years_of_hours_begin_with_the_lakes_and_load_as_fast(tmp_path: Path) -> None:
    Lake.of(settings(tmp_path / "long", "2021-12-01T00"))
    seconds = {}
    for name, begins in (("short", "2026-01-01T00"), ("long", "2021-12-01T00")):
        code = "from dagster_lake.definitions import defs; from dagster_lake.defs.partitions import hourly; " + (
            "defs.get_repository_def(); print(hourly.get_first_partition_key())"
        )
        started = time.monotonic()
        found = subprocess.run(
            [sys.executable, "-c", code],
            cwd=PROJECT_ROOT,
            env={**os.environ, "LAKE_ROOT": str(tmp_path / name)},
            capture_output=True,
            text=True,
            check=True,
        )
        seconds[name] = time.monotonic() - started
        assert found.stdout.split() == [begins]
    assert seconds["long"] < 2 * seconds["short"] + 5
