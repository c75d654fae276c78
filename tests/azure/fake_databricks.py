"""A Databricks workspace on a local socket: the REST API that databricks-sdk calls, with runs as local processes.

What is faithful: requests and answers as the SDK makes and reads them, errors with their codes, idempotency tokens,
what a submission must say, the life cycle of a run, the installation of the wheel that it names. What is not: there is
no cluster, no isolation, no Unity Catalog, and nothing has the speed or the limits of the real one.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from configparser import ConfigParser
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from databricks.sdk.service.jobs import JobEnvironment, SubmitTask

SITE = Path(__file__).with_name("fake_databricks_site")
TOKEN = "a-token-that-only-the-fake-knows"
ERROR_CODES = {400: "INVALID_PARAMETER_VALUE", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
LAUNCH_FAILURE = (
    "Unexpected failure while waiting for the cluster (0101-000000-fake) to be ready: Cluster 0101-000000-fake is in "
    "unexpected state Terminated: CLOUD_PROVIDER_LAUNCH_FAILURE(CLOUD_FAILURE): azure_error_code:SkuNotAvailable"
)


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong with the next request whose method and path match.

    ``status`` answers with an error; without it the connection is dropped, ``after`` the request was carried out or
    before.
    """

    method: str
    path: str
    status: int | None = None
    after: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Request:
    """A request that came in."""

    method: str
    path: str
    body: bytes


@dataclass
class Run:
    """A one-time run, as its tasks' compute would know it."""

    run_id: int
    payload: dict[str, Any]
    state: str = "PENDING"
    result: str | None = None
    code: str | None = None
    message: str = ""
    process: subprocess.Popen[bytes] | None = None
    started: float = field(default_factory=time.time)
    log: Path | None = None

    @property
    def ended(self) -> bool:
        """Whether it is over."""
        return self.state in ("TERMINATED", "INTERNAL_ERROR")


class Refused(Exception):
    """An error that the API answers with."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code or ERROR_CODES[status]


class FakeDatabricks:
    """The workspace. ``environment`` is what a process needs to find it; ``task_environment`` what its tasks get.
    ``lets_in`` says of a token whether it is a good one.

    ``faults`` and ``fates`` are used up in order: of requests, and of runs as they are submitted (``launch_failure``,
    ``hang``, ``leaves``, ``cancelled``, ``denied``, anything else being a run that just runs).
    """

    def __init__(self, folder: Path, task_environment: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.volumes = folder / "Volumes"
        self.volumes.mkdir(parents=True)
        self.task_environment = dict(task_environment or {})
        self.requests: list[Request] = []
        self.runs: dict[int, Run] = {}
        self.faults: list[Fault] = []
        self.fates: list[str] = []
        self.secrets: dict[tuple[str, str], str] = {}
        self.lets_in: Callable[[str], bool] = lambda token: token == TOKEN
        self._tokens: dict[str, int] = {}
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> "FakeDatabricks":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        for run in self.runs.values():
            _kill(run)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def environment(self) -> dict[str, str]:
        """What leads the SDK here."""
        return {"DATABRICKS_HOST": f"http://127.0.0.1:{self._server.server_port}", "DATABRICKS_TOKEN": TOKEN}

    def make_volume(self, path: str) -> None:
        """Makes the volume at /Volumes/catalog/schema/volume."""
        self._local(path).mkdir(parents=True)

    def submissions(self) -> list[dict[str, Any]]:
        """The bodies of the submissions that started a run."""
        return [run.payload for run in self.runs.values()]

    def files(self) -> list[str]:
        """What the volumes hold."""
        return sorted(str(p.relative_to(self.volumes)) for p in self.volumes.rglob("*") if p.is_file())

    def logs(self) -> str:
        """What all tasks wrote to their standard output and error."""
        return "".join(run.log.read_text() for run in self.runs.values() if run.log)

    # ---- the API ----

    def answer(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> tuple[Any, dict[str, str]]:
        """The answer to one request: what to send as JSON or bytes, and headers."""
        if path.startswith("/api/2.0/fs/"):
            return self._file(method, path, query, body)
        document = json.loads(body or b"{}")
        calls: dict[tuple[str, str], Callable[[], Any]] = {
            ("POST", "/api/2.2/jobs/runs/submit"): lambda: self._submit(document),
            ("GET", "/api/2.2/jobs/runs/get"): lambda: self._get(int(query["run_id"])),
            ("GET", "/api/2.2/jobs/runs/get-output"): lambda: self._output(int(query["run_id"])),
            ("POST", "/api/2.2/jobs/runs/cancel"): lambda: self._cancel(int(document["run_id"])),
            ("GET", "/api/2.0/secrets/get"): lambda: self._secret(query["scope"], query["key"]),
            ("GET", "/api/2.0/preview/scim/v2/Me"): lambda: {"id": "1", "userName": "dagster", "active": True},
        }
        call = calls.get((method, path))
        if call is None:
            raise Refused(404, f"the fake has no {method} {path}", "ENDPOINT_NOT_FOUND")
        return call(), {}

    def _submit(self, document: dict[str, Any]) -> dict[str, Any]:
        token = document.pop("idempotency_token", "")
        if not 0 < len(token) <= 64:
            raise Refused(400, "idempotency_token must have 1 to 64 characters")
        with self._lock:
            if token in self._tokens:
                return {"run_id": self._tokens[token]}
            self._refuse_wrong(document)
            run = Run(run_id=1000 + len(self.runs), payload=document)
            self._tokens[token] = run.run_id
            self.runs[run.run_id] = run
            fate = self.fates.pop(0) if self.fates else "run"
        if fate == "launch_failure":
            self._end(run, "INTERNAL_ERROR", "FAILED", "CLUSTER_ERROR", LAUNCH_FAILURE)
        elif fate == "denied":
            self._end(run, "INTERNAL_ERROR", "FAILED", "UNAUTHORIZED_ERROR", "the principal may not create clusters")
        elif fate == "cancelled":
            self._end(run, "TERMINATED", "CANCELED", "USER_CANCELED", "Run cancelled by someone@example.com.")
        elif fate in ("hang", "leaves"):
            run.state = "RUNNING"
            if fate == "leaves":
                threading.Timer(0.3, self._end, (run, "TERMINATED", "SUCCESS", "SUCCESS", "")).start()
        else:
            self._start(run)
        return {"run_id": run.run_id}

    def _refuse_wrong(self, document: dict[str, Any]) -> None:
        """What the real one would not take."""
        known = {"run_name", "tasks", "queue", "timeout_seconds", "environments", "budget_policy_id"}
        if set(document) - known:
            raise Refused(400, f"unknown fields {sorted(set(document) - known)}")
        environments = {e["environment_key"]: e["spec"] for e in document.get("environments", [])}
        for environment in document.get("environments", []):
            if JobEnvironment.from_dict(environment).as_dict() != environment:
                raise Refused(400, f"the environment is malformed: {environment}")
        for task in document["tasks"]:
            if SubmitTask.from_dict(task).as_dict() != task:
                raise Refused(400, f"the task is malformed: {task}")
            if ("environment_key" in task) == ("new_cluster" in task):
                raise Refused(400, "a task runs on an environment or on a cluster")
            if "environment_key" in task and task["environment_key"] not in environments:
                raise Refused(400, f"there is no environment {task['environment_key']}")
            if sum(len(p) for p in task["python_wheel_task"]["parameters"]) > 10_000:
                raise Refused(400, "parameters are longer than 10000 bytes")

    def _start(self, run: Run) -> None:
        task = run.payload["tasks"][0]
        listed = [e["spec"]["dependencies"] for e in run.payload.get("environments", [])]
        dependencies = listed[0] if listed else [one.get("whl") for one in task["libraries"]]
        wheels = [d for d in dependencies if d and d.endswith(".whl")]
        try:
            folder = self._installed(wheels[0])
            script = _entry_point(folder, task["python_wheel_task"])
        except (OSError, KeyError) as error:
            message = f"Library installation failed: {error}"
            return self._end(run, "INTERNAL_ERROR", "FAILED", "LIBRARY_INSTALLATION_ERROR", message)
        run.log = self.folder / f"run-{run.run_id}.log"
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME", "JAVA_HOME", "LANG") if name in os.environ},
            **self.environment,
            "PYTHONPATH": f"{SITE}:{folder}",
            "FAKE_VOLUMES": str(self.volumes),
            "DATABRICKS_RUNTIME_VERSION": "17.3",
            "PYSPARK_PYTHON": sys.executable,  # a cluster's workers have the runtime's packages, pyarrow among them
            **self.task_environment,
        }
        with open(run.log, "wb") as log:
            run.process = subprocess.Popen(
                [sys.executable, "-P", "-c", script, *task["python_wheel_task"]["parameters"]],
                cwd=self.folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        run.state = "RUNNING"
        threading.Thread(target=self._watch, args=(run, run.process), daemon=True).start()
        if (seconds := run.payload.get("timeout_seconds")) is not None:
            timer = threading.Timer(seconds, self._stop, (run, "TIMEDOUT", "CANCELED", "Timed out."))
            timer.daemon = True
            timer.start()

    def _installed(self, wheel: str) -> Path:
        """The wheel as pip would lay it out. Its own requirements are not looked at: it must have none."""
        target = Path(tempfile.mkdtemp(prefix="wheel-", dir=self.folder))
        with zipfile.ZipFile(self._local(wheel)) as archive:
            archive.extractall(target)
        metadata = next(target.glob("*.dist-info/METADATA")).read_text()
        if "Requires-Dist" in metadata:
            raise OSError(f"{wheel} requires more than the cluster has")
        return target

    def _watch(self, run: Run, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a JVM may outlive its Python for a moment
        if code == 0:
            self._end(run, "TERMINATED", "SUCCESS", "SUCCESS", "")
        else:
            self._end(run, "TERMINATED", "FAILED", "RUN_EXECUTION_ERROR", f"Python process ended with code {code}")

    def _stop(self, run: Run, result: str, code: str, message: str) -> None:
        self._end(run, "TERMINATED", result, code, message)
        _kill(run)

    def _end(self, run: Run, state: str, result: str, code: str, message: str) -> None:
        with self._lock:
            if not run.ended:
                run.state, run.result, run.code, run.message = state, result, code, message

    def _get(self, run_id: int) -> dict[str, Any]:
        run = self._run(run_id)
        state = {"life_cycle_state": run.state, "state_message": run.message}
        status: dict[str, Any] = {"state": "TERMINATED" if run.ended else run.state}
        if run.ended:
            state["result_state"] = str(run.result)
            status["termination_details"] = {"code": run.code, "type": "CLIENT_ERROR", "message": run.message}
        return {
            "run_id": run_id,
            "run_page_url": f"https://fake.azuredatabricks.net/jobs/runs/{run_id}",
            "state": state,
            "status": status,
            "start_time": int(run.started * 1000),
            "tasks": [{"run_id": run_id + 500_000, "task_key": "step", "state": state}],
        }

    def _output(self, task_run_id: int) -> dict[str, Any]:
        run = self._run(task_run_id - 500_000)
        trace = run.log.read_text() if run.log and run.result == "FAILED" else ""
        return {"error": run.message, "error_trace": trace, "metadata": self._get(run.run_id)}

    def _cancel(self, run_id: int) -> dict[str, Any]:
        self._stop(self._run(run_id), "CANCELED", "USER_CANCELED", "Run cancelled.")
        return {}

    def _run(self, run_id: int) -> Run:
        if run_id not in self.runs:
            raise Refused(400, f"Run {run_id} does not exist.")
        return self.runs[run_id]

    def _secret(self, scope: str, key: str) -> dict[str, str]:
        if (scope, key) not in self.secrets:
            raise Refused(404, f"no secret {key} in scope {scope}", "RESOURCE_DOES_NOT_EXIST")
        return {"key": key, "value": base64.b64encode(self.secrets[scope, key].encode()).decode()}

    # ---- the Files API ----

    def _local(self, path: str) -> Path:
        if not path.startswith("/Volumes/") or ".." in path:
            raise Refused(400, f"{path} is not below /Volumes")
        return self.volumes / path.removeprefix("/Volumes/")

    def _file(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> tuple[Any, dict[str, str]]:
        kind, _, rest = path.removeprefix("/api/2.0/fs/").partition("/")
        place = self._local(f"/{rest}")
        if kind == "directories":
            return self._directory(method, place), {}
        if method == "PUT":
            if not place.parent.is_dir():
                raise Refused(404, f"{rest}: the folder does not exist")
            temporary = place.with_name(f".{place.name}.{threading.get_ident()}")
            temporary.write_bytes(body)
            temporary.replace(place)
            return b"", {}
        if not place.is_file():
            raise Refused(404, f"/{rest} does not exist")
        if method == "DELETE":
            place.unlink()
            return b"", {}
        modified = format_datetime(datetime.fromtimestamp(place.stat().st_mtime, UTC), usegmt=True)
        return place.read_bytes(), {"last-modified": modified, "content-type": "application/octet-stream"}

    def _directory(self, method: str, place: Path) -> Any:
        if method == "PUT":
            catalog, schema, volume = place.relative_to(self.volumes).parts[:3]
            if not (self.volumes / catalog / schema / volume).is_dir():
                raise Refused(404, f"Volume '{catalog}.{schema}.{volume}' does not exist.")
            place.mkdir(parents=True, exist_ok=True)
            return b""
        if not place.is_dir():
            raise Refused(404, f"{place.name} does not exist")
        entries = sorted(p for p in place.iterdir() if not p.name.startswith("."))
        if method == "DELETE":
            if entries:
                raise Refused(400, f"{place.name} is not empty", "FAILED_PRECONDITION")
            place.rmdir()
            return b""
        listed = [
            {"name": p.name, "is_directory": p.is_dir(), "path": f"/Volumes/{p.relative_to(self.volumes)}"}
            for p in entries
        ]
        return {"contents": listed}

    def fault_for(self, method: str, path: str) -> Fault | None:
        """The fault that is due for a request, used up by it."""
        with self._lock:
            for fault in self.faults:
                if fault.method == method and fault.path in path:
                    self.faults.remove(fault)
                    return fault
        return None


def _entry_point(folder: Path, task: Mapping[str, Any]) -> str:
    """Python that does what a python_wheel_task does."""
    info = next(folder.glob("*.dist-info"))
    if info.name.partition("-")[0] != task["package_name"].replace("-", "_"):
        raise KeyError(f"no package {task['package_name']}")
    scripts = ConfigParser()
    scripts.optionxform = str  # type: ignore[assignment,method-assign]
    scripts.read(info / "entry_points.txt")
    module, _, function = scripts["console_scripts"][task["entry_point"]].partition(":")
    return f"import sys; from {module} import {function}; {function}()"


def _kill(run: Run) -> None:
    if run.process is not None and run.process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()


def _handler(fake: FakeDatabricks) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            path, query = unquote(parts.path), {k: v[0] for k, v in parse_qs(parts.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fake.requests.append(Request(self.command, self.path, body))
            fault = fake.fault_for(self.command, path)
            if fault is not None and not fault.after:
                return self._fail(fault)
            try:
                if not fake.lets_in(self.headers.get("Authorization", "").removeprefix("Bearer ")):
                    raise Refused(403, "Invalid access token.")
                content, headers = fake.answer(self.command, path, query, body)
                status = 200
            except Refused as error:
                content, headers = {"error_code": error.code, "message": str(error)}, {}
                status = error.status
            if fault is not None:
                return self._fail(fault)
            self._send(status, content, headers)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve

        def _fail(self, fault: Fault) -> None:
            if fault.status is None:
                self.close_connection = True
                self.connection.close()
                return
            code = {429: "RESOURCE_EXHAUSTED", 503: "TEMPORARILY_UNAVAILABLE"}.get(fault.status, "INTERNAL_ERROR")
            self._send(fault.status, {"error_code": code, "message": "injected"}, fault.headers)

        def _send(self, status: int, content: Any, headers: Mapping[str, str]) -> None:
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {
                "Content-Length": str(len(data)),
                "Content-Type": "application/json",
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            """Nothing: what came in is in ``requests``."""

    return Handler
