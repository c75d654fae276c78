"""Production as it runs: code server, daemon and webserver as processes of their own over one PostgreSQL."""

import contextlib
import ctypes
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from dagster_lake.settings.lake import PROJECT_ROOT
from tests.production.database import Server
from tests.production.gates import FOLDER, Gate
from tests.production.instances import DEPLOY, opened, put, shipped

BIN = Path(sys.executable).parent
PATIENCE = 180.0
_PR_SET_PDEATHSIG = 1


def with_short_intervals(document: dict[str, Any]) -> dict[str, Any]:
    """An instance file whose daemon looks every second; limits and retries stay as they are shipped."""
    document["run_launcher"]["config"]["restarted_seconds"] = 1
    document["run_queue"] |= {"dequeue_interval_seconds": 1, "user_code_failure_retry_delay": 2}
    document["run_monitoring"] |= {"poll_interval_seconds": 1, "free_slots_after_run_end_seconds": 1}
    return document


class Process:
    """One process with its children: what kills it kills them, as the end of a container does."""

    def __init__(self, command: str, folder: Path, environment: Mapping[str, str]) -> None:
        program, *arguments = command.split()
        self._output = folder / f"{program}-{time.monotonic_ns()}.log"
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [BIN / program, *arguments],
                cwd=folder,
                env=dict(environment),
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=_die_with_the_test,
            )

    @property
    def ended(self) -> bool:
        """Whether it has ended by itself."""
        return self._process.poll() is not None

    @property
    def said(self) -> str:
        """What it printed."""
        return self._output.read_text()

    def kill(self) -> None:
        """SIGKILL, to its children too."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def tell_to_end(self) -> None:
        """SIGTERM, to it alone."""
        self._process.terminate()


@dataclass
class Production:
    """The processes, and the instance as they see it."""

    folder: Path
    module: str
    environment: Mapping[str, str]
    instance: dg.DagsterInstance
    _running: dict[str, Process] = field(default_factory=dict)

    def start(self, *names: str) -> None:
        """Starts what does not run of ``code``, ``daemon`` and ``webserver``, and waits until it is ready."""
        code, web = int(self.environment["DAGSTER_CODE_PORT"]), int(self.environment["WEB_PORT"])
        workspace = f"--workspace {DEPLOY / 'workspace.yaml'}"
        commands = {
            "code": f"dagster api grpc --host 127.0.0.1 --port {code} --module-name {self.module} "
            "--location-name dagster_lake",
            "daemon": f"dagster-daemon run {workspace}",
            "webserver": f"dagster-webserver --host 127.0.0.1 --port {web} {workspace}",
        }
        ready: dict[str, Callable[[], bool]] = {
            "code": lambda: _listens(code),
            "daemon": lambda: "Instance is configured with the following daemons" in self._running["daemon"].said,
            "webserver": lambda: _listens(web),
        }
        # The others ask the code server what there is when they start, and some time later again.
        for together in (["code"], ["daemon", "webserver"]):
            wanted = [name for name in together if name in names]
            for name in wanted:
                self._running[name] = Process(commands[name], self.folder, self.environment)
            for name in wanted:
                self.until(ready[name], f"{name} to be ready")

    def runs(self, name: str) -> bool:
        """Whether it has been started and has not ended."""
        return name in self._running and not self._running[name].ended

    def kill(self, name: str) -> None:
        """kill -9."""
        self._running.pop(name).kill()

    def process(self, name: str) -> Process:
        """One of those that run."""
        return self._running[name]

    def stop(self) -> None:
        """Kills whatever runs."""
        for name in list(self._running):
            self.kill(name)

    def until(self, holds: Callable[[], Any], what: str) -> Any:
        """Waits until the condition holds; gives what it gave."""
        deadline = time.monotonic() + PATIENCE
        while not (found := holds()):
            if time.monotonic() > deadline:
                said = "\n".join(f"--- {name}\n{one.said[-6000:]}" for name, one in self._running.items())
                raise AssertionError(f"waited in vain for {what}\n{said}")
            time.sleep(0.05)  # of a look, not of anything that must take its time
        return found

    def gate(self, name: str) -> Gate:
        """A gate that is shut."""
        return Gate(Path(self.environment[FOLDER]), name)

    def launch(self, job: str, hour: str) -> str:
        """Puts a run into the queue as the UI does; its id."""
        parameters = {
            "selector": {"repositoryLocationName": "dagster_lake", "repositoryName": "__repository__", "jobName": job},
            "runConfigData": {},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": hour}]},
        }
        answer = self.ask(
            """mutation($parameters: ExecutionParams!) { launchRun(executionParams: $parameters) {
                 __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }""",
            {"parameters": parameters},
        )["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        run_id: str = answer["run"]["runId"]
        return run_id

    def ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        """What the webserver answers."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.environment['WEB_PORT']}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            answer: dict[str, Any] = json.load(response)
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    def status(self, run_id: str) -> str:
        """QUEUED, STARTED, ..."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.status.value

    def is_now(self, run_id: str, status: str) -> None:
        """Waits until a run has this status."""
        self.until(lambda: self.status(run_id) == status, f"run {run_id} to be {status}")

    def started_again(self, run_id: str) -> str:
        """Waits until a run has failed and another one does its work; that one's id."""
        self.is_now(run_id, "FAILURE")
        followed = dg.RunsFilter(tags={"dagster/parent_run_id": run_id})
        [again] = self.until(lambda: self.instance.get_runs(followed), "the run to be started again")
        found: str = again.run_id
        return found

    def done_again(self, run_id: str) -> str:
        """Waits until a run has failed and another one has done its work; that one's id."""
        again = self.started_again(run_id)
        self.is_now(again, "SUCCESS")
        return again


@contextmanager
def production(server: Server, folder: Path, module: str, lake: Mapping[str, str]) -> Iterator[Production]:
    """deploy/postgresql in a folder of its own, with short intervals; nothing runs yet, and nothing does afterwards."""
    password = secrets.token_hex(8)
    server.set_password(password)
    home, gates = put(with_short_intervals(shipped("postgresql")), folder), folder / "gates"
    gates.mkdir()
    environment = {
        **os.environ,
        **lake,
        **server.environment(server.new_database(), password),
        FOLDER: str(gates),
        "PYTHONPATH": str(PROJECT_ROOT),
        "DAGSTER_HOME": str(home),
        "DAGSTER_CODE_HOST": "127.0.0.1",
        "DAGSTER_CODE_PORT": str(_free_port()),
        "DAGSTER_EVENT_LOG_CONSUMER_DAEMON_INTERVAL_SECONDS": "1",
        "WEB_PORT": str(_free_port()),
    }
    with ExitStack() as stack:
        instance = stack.enter_context(opened(home, environment))
        made = Production(folder, module, environment, instance)
        stack.callback(made.stop)
        yield made


def _die_with_the_test() -> None:
    """In the child: the kernel kills it when the test's process is gone, whatever became of that."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
