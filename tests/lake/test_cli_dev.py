"""`lake dev` refuses what would run everything twice, and says where to look instead."""

import fcntl
import socket
from pathlib import Path

import pytest

from dagster_lake.cli.dev import serve as dev_run
from dagster_lake.cli.shared.errors import CommandError
from dagster_lake.settings.lake import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(root=str(tmp_path / "lake"))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that this process would have become."""
    found: list[list[str]] = []
    for name in ("DAGSTER_HOME", "DAGSTER_DISABLE_TELEMETRY", "DBT_SEND_ANONYMOUS_USAGE_STATS"):
        monkeypatch.setenv(name, "")  # put back afterwards
    monkeypatch.chdir(Path.cwd())
    monkeypatch.setattr(dev_run.os, "execv", lambda _, command: found.append(command))
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def test_a_port_in_use_is_refused_with_another_to_take(settings: Settings, started: list[list[str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(CommandError, match=f"port {port} .*make dev PORT={port + 1}"):
            dev_run.serve(settings, "127.0.0.1", port)
    assert started == []


def test_a_second_one_on_the_same_lake_is_refused_and_told_where_the_first_is(
    settings: Settings, started: list[list[str]]
) -> None:
    first, second = free_port(), free_port()
    dev_run.serve(settings, "127.0.0.1", first)
    with pytest.raises(CommandError, match=f"open already, at http://127.0.0.1:{first}"):
        dev_run.serve(settings, "127.0.0.1", second)
    other = settings.model_copy(update={"root": f"{settings.root}-2"})
    dev_run.serve(other, "127.0.0.1", second)
    assert [command[-1] for command in started] == [str(first), str(second)]


def test_a_lake_is_open_for_as_long_as_the_process_lives(settings: Settings, tmp_path: Path) -> None:
    assert dev_run.open_at(settings) is None
    folder = tmp_path / "lake" / ".dagster"
    folder.mkdir(parents=True)
    with (folder / "open").open("w") as held:
        held.write("at http://127.0.0.1:3000 (process 7)")
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        assert dev_run.open_at(settings) == "at http://127.0.0.1:3000 (process 7)"
    assert dev_run.open_at(settings) is None, "it was killed"
