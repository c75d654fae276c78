"""What a newcomer does in the first hour, as commands without a terminal, 80 columns wide: two demos at once, a look
around, and one mistake after the other. Each says what happened and what to do, and none spoils the lake."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import pytest

from dagster_lake.cli.doctor import machine as checkup
from dagster_lake.cli.reset.local import lake_contents
from dagster_lake.cli.shared.dagster_home import name_dagster_home
from dagster_lake.cli.shared.errors import CommandError
from dagster_lake.definitions import defs
from dagster_lake.defs.partitions import hourly
from dagster_lake.settings.lake import PROJECT_ROOT, Settings

TINY = {"LAKE_USERS": "60", "LAKE_VIP_USERS": "5", "LAKE_PRODUCTS": "10", "LAKE_PAGEVIEWS_PER_HOUR": "50"}
DEMO = ("demo", "--day", "2026-01-01", "--hours", "1")
WIDTH = 80


class Newcomer:
    """Somebody in a folder, with a Dagster home of the project's configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "dagster.yaml").write_text((PROJECT_ROOT / "dagster.yaml").read_text())
        self.environment = {**os.environ, **TINY, "DAGSTER_HOME": str(self.home), "COLUMNS": str(WIDTH)}
        self.interrupted = self.built = ""
        """What was said by a demo that Ctrl-C stopped, and by one that went on with it."""

    def starts(self, *arguments: str, lake: str = "lake", **environment: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", "from dagster_lake.cli import app; app()", *arguments]
        pipe = subprocess.PIPE
        own = {**self.environment, "LAKE_ROOT": str(self.folder / lake), **environment}
        return subprocess.Popen(command, cwd=self.folder, env=own, stdout=pipe, stderr=pipe, text=True)

    def types(self, *arguments: str, lake: str = "lake", **environment: str) -> tuple[int, str]:
        """The exit code, and all that was said."""
        with self.starts(*arguments, lake=lake, **environment) as process:
            said, failed = process.communicate(timeout=300)
        assert "Traceback" not in said + failed
        assert "Telemetry" not in said + failed
        return process.returncode, said + failed

    def failures_of(self, lake: str) -> list[str]:
        """The ids of the failed runs that the UI would show."""
        with self.history_of(lake) as instance:
            runs = instance.get_runs()
            assert runs
            return [run.run_id for run in runs if run.status != dg.DagsterRunStatus.SUCCESS]

    @contextmanager
    def history_of(self, lake: str) -> Iterator[dg.DagsterInstance]:
        """What the UI shows a lake's tables and runs from."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LAKE_ROOT", str(self.folder / lake))
            patch.setenv("DAGSTER_HOME", str(self.home))
            patch.chdir(self.home)
            with dg.DagsterInstance.get() as instance:
                yield instance


@pytest.fixture(scope="module")
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Newcomer:
    """With a lake that a first demo began, which Ctrl-C stopped, and that two at once have built."""
    somebody = Newcomer(tmp_path_factory.mktemp("newcomer"))
    with somebody.starts(*DEMO) as demo:
        assert demo.stdout is not None
        assert next(line for line in demo.stdout if "sources/" in line)
        demo.send_signal(signal.SIGINT)
        _, somebody.interrupted = demo.communicate(timeout=300)
    assert demo.returncode == 130
    with somebody.starts(*DEMO) as first, somebody.starts(*DEMO) as second:
        said = [process.communicate(timeout=300) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], said
    somebody.built = said[0][0] + said[0][1]
    return somebody


def test_ctrl_c_says_how_to_go_on(newcomer: Newcomer) -> None:
    assert newcomer.interrupted.splitlines()[-1] == "Error: Interrupted; run it again to go on"
    assert "Traceback" not in newcomer.interrupted
    assert len(newcomer.failures_of("lake")) == 1  # the interrupted run, and none waits for ever


def test_the_demo_builds_to_gold_and_says_how_to_look_at_it(newcomer: Newcomer) -> None:
    said = " ".join(newcomer.built.split())
    assert "gold.engagements, 60 rows" in said
    assert "open lake/reports/" in said
    assert newcomer.built.count("silver/orders_changes ") == 1  # without a terminal: a line, and no table beside it
    assert "Warning" not in newcomer.built
    assert lake_contents(str(newcomer.folder / "lake")).foreign == ()  # `lake reset` knows all that a demo makes


def test_after_the_demo_every_table_has_every_hour_that_has_ended(newcomer: Newcomer) -> None:
    hours = {"2026-01-01T00"}
    with dg.partition_loading_context(effective_dt=datetime(2026, 1, 1, 1, 59, tzinfo=UTC)):
        assert {*hourly.get_partition_keys()} == hours
    graph = defs.resolve_asset_graph()
    tables = [key for key in graph.materializable_asset_keys if graph.get(key).partitions_def is not None]
    with newcomer.history_of("lake") as instance:
        made = {key.to_user_string(): instance.get_materialized_partitions(key) for key in tables}
    assert len(made) > 20
    assert {name: found for name, found in made.items() if found != hours} == {}


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("preview", "gold/engagements"),
        ("query", "select * from gold.engagements limit 2"),
        ("query", "select * from gold.lake_status limit 2"),
    ],
)
def test_tables_fit_into_80_columns(newcomer: Newcomer, command: tuple[str, ...]) -> None:
    code, said = newcomer.types(*command)
    assert code == 0, said
    sentences = ("late ", "warn ")  # which the terminal wraps
    assert [line for line in said.splitlines() if len(line) > WIDTH and not line.startswith(sentences)] == []


def test_a_wrong_flag_is_told_with_the_right_one(newcomer: Newcomer) -> None:
    code, said = newcomer.types("demo", "--hour", "2")
    assert code == 2
    assert "--hours" in said


def test_a_port_in_use_starts_nothing(newcomer: Newcomer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code, said = newcomer.types("dev", "--port", str(port))
    assert code == 1
    assert f"port {port}" in said
    assert f"make dev PORT={port + 1}" in said


@pytest.mark.parametrize("place", ["/proc/lake", "a-file/lake"])
def test_a_folder_that_cannot_be_written_is_told_before_anything_runs(newcomer: Newcomer, place: str) -> None:
    (newcomer.folder / "a-file").touch()
    code, said = newcomer.types(*DEMO, lake=place)
    assert code == 1
    assert "lake folder: " in said
    assert "cannot be written" in said
    assert "--lake" in said
    assert "sources/" not in said


def test_a_full_disk_is_told_before_anything_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1_000_000}))
    with pytest.raises(CommandError, match=r"disk: 0\.0 GB free .* make room"):
        checkup.refuse_unfit(Settings(root=str(tmp_path / "lake")))


def test_a_dagster_home_without_a_configuration_is_told_to_be_quiet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    name_dagster_home()
    with dg.DagsterInstance.get() as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled


def test_a_demo_elsewhere_that_fails_and_its_reset_leave_this_lake_and_its_history_whole(newcomer: Newcomer) -> None:
    before = newcomer.failures_of("lake")
    (newcomer.folder / "elsewhere" / "sensitive").mkdir(parents=True)
    (newcomer.folder / "elsewhere" / "sensitive" / "raw").write_text("a file where a folder should be")
    code, said = newcomer.types(*DEMO, lake="elsewhere")
    assert code == 1
    assert re.search(r"Error: (sources|raw)/(users|vip_users|products)", said)
    assert "run it again" in said
    assert newcomer.failures_of("elsewhere")
    assert newcomer.failures_of("lake") == before
    assert newcomer.types("reset", "--yes", lake="elsewhere")[0] == 0
    assert not (newcomer.folder / "elsewhere").exists()
    assert newcomer.failures_of("lake") == before
    assert newcomer.types("status")[0] == 0


def test_a_delivery_that_breaks_its_contract_is_withheld_by_name_until_it_is_mended(newcomer: Newcomer) -> None:
    file = newcomer.folder / "lake" / "landing" / "users" / "more.jsonl"
    file.write_text("this is no JSON\n" * 100)
    code, said = newcomer.types(*DEMO)
    assert code == 1
    told = " ".join(said.split())
    assert re.search(r"silver/users_snapshots: \S+ withheld: 10\d of 16\d rows are bad: malformed", told)
    assert "when a corrected file is dropped, or users.odcs.yaml" in told
    assert newcomer.types("query", "select count(*) from silver.users", "--format", "csv")[1].split()[-1] == "60"
    file.unlink()
    code, said = newcomer.types(*DEMO)
    assert code == 0, said
    assert "withheld" not in said
