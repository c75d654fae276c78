"""Becomes ``dagster dev`` on one lake, once no other is open on it and the port is free."""

import fcntl
import os
import socket
import sys
from pathlib import Path

from dagster_lake.cli.shared.dagster_home import name_dagster_home, without_telemetry
from dagster_lake.cli.shared.errors import CommandError
from dagster_lake.operations.instance.place import history_folder
from dagster_lake.settings.lake import PROJECT_ROOT, Settings

_OPEN = "open"
"""A file in the folder of a history, locked for as long as a daemon is at work on it; it says where."""


def serve(settings: Settings, host: str, port: int) -> None:
    """Becomes Dagster's pages and daemon; does not return.

    Raises CommandError where a daemon is at work on the lake, or the port is taken.
    """
    folder = history_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / _OPEN, os.O_RDWR | os.O_CREAT, 0o600)
    if (where := _held(lock)) is not None:
        raise CommandError(
            f"this lake is open already, {where}; two daemons would run everything twice. "
            "Look there, stop it first, or name another lake: lake --lake PATH dev"
        )
    _check_port(host, port)
    os.truncate(lock, 0)
    os.write(lock, f"at http://{host}:{port} (process {os.getpid()})".encode())
    os.set_inheritable(lock, True)  # held by what this process becomes, and gone with it
    name_dagster_home()
    without_telemetry()
    os.chdir(PROJECT_ROOT)
    workspace = ["-w", "workspace.yaml"] if Path("workspace.yaml").is_file() else ["-m", "dagster_lake.definitions"]
    command = [sys.executable, "-m", "dagster", "dev", *workspace, "--host", host, "--port", str(port)]
    os.execv(command[0], command)


def open_at(settings: Settings) -> str | None:
    """Where ``lake dev`` is open on the lake; None where it is not."""
    try:
        file = os.open(history_folder(settings) / _OPEN, os.O_RDWR)
    except OSError:
        return None
    try:
        return _held(file)
    finally:
        os.close(file)


def _held(lock: int) -> str | None:
    """Who holds the lock; None when it is ours now."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return os.pread(lock, 200, 0).decode(errors="replace") or "by a process that is just starting"
    return None


def _check_port(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CommandError(
                f"port {port} of {host} cannot be had ({error.strerror or error}); take another: "
                f"make dev PORT={port + 1}, or lake dev --port {port + 1}"
            ) from None
