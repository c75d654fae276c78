"""A throwaway PostgreSQL server, for tests that hold the SQL source against a real one.

Import the fixture where it is used: ``from .postgres import postgres_url``.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The address of a server on a free loopback port, stopped and removed at the end."""
    with running_postgres("timezone=Europe/Prague") as (port, _):
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"


@contextmanager
def running_postgres(*settings: str) -> Iterator[tuple[int, Path]]:
    """The port of a server with settings (``name=value``), and the folder of its socket; postgres needs no password."""
    programs = _programs()
    if programs is None:
        pytest.skip("needs a PostgreSQL server (apt-get install postgresql)")
    # Not below pytest's folder: that is closed to other users, and a socket's path may have 107 characters only.
    home = Path(tempfile.mkdtemp(prefix="lake-postgres-"))
    if os.getuid() == 0:
        shutil.chown(home, "postgres")
    port = _free_port()
    data = str(home / "data")
    _run(
        programs / "initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"
    )
    own = ["listen_addresses=127.0.0.1", "fsync=off", *settings]
    options = " ".join([f"-p {port} -k {home}", *(f"-c {setting}" for setting in own)])
    try:
        _run(programs / "pg_ctl", "-D", data, "-o", options, "-l", str(home / "log"), "-w", "start")
        try:
            yield port, home
        finally:
            _run(programs / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: str) -> str:
    """The address of an empty database of its own."""
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS shop")
        connection.execute("CREATE DATABASE shop")
    return make_url(postgres_server).set(database="shop").render_as_string(hide_password=False)


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


def _run(program: Path, *arguments: str) -> None:
    as_postgres = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    # The server inherits these streams; a pipe would keep this call waiting until the server ends.
    subprocess.run(
        [*as_postgres, str(program), *arguments],
        check=True,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
