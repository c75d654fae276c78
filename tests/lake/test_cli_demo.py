"""`lake demo`: what it refuses, what it builds, and how it fails."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dagster_lake.cli import demo_hours
from dagster_lake.cli.demo_hours import begin_with, wanted_hours
from dagster_lake.cli.demo_warnings import Warned, is_planted
from dagster_lake.cli.errors import CommandError
from dagster_lake.lake_hour import HourRange
from dagster_lake.settings import Settings
from dagster_lake.storage.paths import Lake

DAY = ("--day", "2026-01-01")
TINY = {"LAKE_USERS": "60", "LAKE_VIP_USERS": "5", "LAKE_PRODUCTS": "10", "LAKE_PAGEVIEWS_PER_HOUR": "50"}


def started(tmp_path: Path, *arguments: str) -> "subprocess.Popen[str]":
    """The command in a process of its own, with Dagster's history and the lake below ``tmp_path``."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").touch()
    own = {"LAKE_ROOT": str(tmp_path / "lake"), "DAGSTER_HOME": str(home), "COLUMNS": "120", **TINY}
    command = [sys.executable, "-c", "from dagster_lake.cli import app; app()", *arguments]
    environment, pipe = os.environ | own, subprocess.PIPE
    return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True)


def lake(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, when it has ended."""
    with started(tmp_path, *arguments) as process:
        said, failed = process.communicate()
    return subprocess.CompletedProcess(arguments, process.returncode, said, failed)


def test_the_hours_of_a_day_are_counted_from_midnight() -> None:
    assert wanted_hours("2026-01-05", 3).keys == ["2026-01-05T00", "2026-01-05T01", "2026-01-05T02"]


@pytest.mark.parametrize(
    ("day", "says"),
    [("yesterday", "2026-01-05"), ("2025-12-31", "before 2026-01-01"), ("2999-01-01", "has not ended yet")],
)
def test_a_day_that_cannot_be_built_is_refused_with_the_remedy(day: str, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        wanted_hours(day, 24)


def test_by_default_the_hours_that_ended_last_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_hours, "utc_now", lambda: datetime(2026, 3, 4, 1, 30, tzinfo=UTC))
    assert wanted_hours(None, 3).keys == ["2026-03-03T22", "2026-03-03T23", "2026-03-04T00"]


def test_a_new_lake_begins_with_the_first_hour_of_the_demo_and_no_day_is_before_that_of_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_FIRST_HOUR", "")  # put back afterwards
    monkeypatch.delenv("LAKE_FIRST_HOUR")
    settings = Settings(root=str(tmp_path / "lake"))
    wanted = HourRange.of("2026-03-03T22", "2026-03-04T00")
    begin_with(wanted, settings, None)
    assert Lake.of(Settings(root=settings.root)).first_hour() == "2026-03-03T22"
    monkeypatch.delenv("LAKE_FIRST_HOUR")
    with pytest.raises(CommandError, match=r"first hour, 2026-03-03T22; .* set LAKE_FIRST_HOUR=2026-02-01T00"):
        begin_with(HourRange.of("2026-02-01T00", "2026-02-01T05"), settings, "2026-02-01")
    begin_with(HourRange.of("2026-03-03T20", "2026-03-03T23"), settings, None)  # more of the last hours: moves back
    assert Lake.of(Settings(root=settings.root)).first_hour() == "2026-03-03T20"


def test_warnings_that_the_generated_data_is_made_for_are_explained_and_no_others() -> None:
    orphans = Warned("silver/order_items_changes", "product_id_exists", "")
    status = Warned("gold/lake_status", "nothing_needs_attention", "silver.order_items_changes fails product_id_exists")
    broken = Warned("silver/orders_changes", "rules_hold", "3 rows")
    repeated = Warned("gold/lake_status", "nothing_needs_attention", f"{status.said}; silver.users is damaged")
    assert [is_planted(one) for one in (orphans, status, broken, repeated)] == [True, True, False, False]
    assert orphans.told.endswith("(some items are of products that do not exist)")
    assert broken.told == "silver/orders_changes: rules_hold 3 rows"


def test_the_demo_builds_to_gold_and_says_how_to_look_at_it(tmp_path: Path) -> None:
    result = lake(tmp_path, "demo", *DAY, "--hours", "2")
    assert result.returncode == 0, result.stderr
    assert "gold/engagements" in result.stdout
    assert "gold.engagements, 60 rows" in result.stdout
    assert "open lake/reports/" in result.stdout
    assert result.stdout.count("silver/orders_changes ") == 1  # without a terminal: a line, and no table beside it
    assert "Warning" not in result.stdout + result.stderr
    from dagster_lake.cli.removal import lake_contents

    assert lake_contents(str(tmp_path / "lake")).foreign == ()  # `lake reset` knows all that a demo makes


def test_ctrl_c_says_how_to_go_on_and_exits_as_shells_expect(tmp_path: Path) -> None:
    with started(tmp_path, "demo", *DAY, "--hours", "1") as process:
        assert process.stdout is not None
        assert next(line for line in process.stdout if "sources/" in line)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert said.splitlines()[-1] == "Error: Interrupted; run it again to go on"
    assert process.returncode == 130
    assert "Traceback" not in said
    assert lake(tmp_path, "demo", *DAY, "--hours", "1").returncode == 0
