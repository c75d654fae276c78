"""What Azure's alerts rest on: metrics come out of the code location's own stdout, with its daemon elsewhere."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import dagster as dg
import pytest
import yaml

from dagster_lake.settings.lake import PROJECT_ROOT
from tests.telemetry.metrics_location import one
from tests.ui.webserver import BIN

LONGEST_SECONDS = 120


@contextmanager
def running(*command: object, environment: dict[str, str]) -> Iterator["Queue[str]"]:
    """A program of Dagster's, and the lines that it prints as they come."""
    lines: Queue[str] = Queue()
    program = subprocess.Popen(
        [str(part) for part in command],
        env=environment,
        cwd=PROJECT_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert program.stdout is not None
    reader = threading.Thread(target=lambda: [lines.put(line) for line in program.stdout or ()], daemon=True)
    reader.start()
    try:
        yield lines
    finally:
        program.terminate()
        program.wait(30)


def metrics(lines: "Queue[str]", count: int) -> list[dict[str, Any]]:
    """The first so many lines of metrics."""
    found: list[dict[str, Any]] = []
    said = []
    while len(found) < count:
        try:
            said.append(lines.get(timeout=LONGEST_SECONDS))
        except Empty:
            raise AssertionError(f"no metrics in {LONGEST_SECONDS} s; it said:\n{''.join(said)}") from None
        line = json.loads(said[-1]) if said[-1].startswith("{") else {}
        if line.get("logger") == "dagster_lake.metrics":
            found.append(line)
    return found


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump({"telemetry": {"enabled": False}}))
    own = {"DAGSTER_HOME": str(tmp_path), "LAKE_ROOT": str(tmp_path / "lake"), "LAKE_METRICS": "true"}
    return {**os.environ, **own, "PYTHONPATH": str(PROJECT_ROOT), "PYTHONUNBUFFERED": "1"}


def test_the_code_location_prints_what_the_daemon_has_it_look_for(tmp_path: Path, environment: dict[str, str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    workspace = tmp_path / "workspace.yaml"
    server = {"host": "127.0.0.1", "port": port, "location_name": "metrics"}
    workspace.write_text(yaml.safe_dump({"load_from": [{"grpc_server": server}]}))
    location = ["--host", "127.0.0.1", "--port", port, "--module-name", "tests.telemetry.metrics_location"]
    code = [BIN / "dagster", "api", "grpc", *location, "--log-format", "json"]
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance, running(*code, environment=environment) as said:
        assert json.loads(said.get(timeout=LONGEST_SECONDS))["level"] == "info"
        run = dg.materialize([one], instance=instance)
        daemon = [BIN / "dagster-daemon", "run", "--workspace", workspace, "--log-format", "json"]
        with running(*daemon, environment=environment):
            of_run, of_asset = metrics(said, 2)
    assert (of_run["metric"], of_run["run_id"], of_run["status"]) == ("run", run.run_id, "success")
    assert (of_asset["asset"], of_asset["table_rows"]) == ("one", 7)
