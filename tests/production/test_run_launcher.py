"""When a run is taken for dead, by what a code server says of it over a real connection."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import dagster as dg
import grpc
import pytest
from dagster._core.launcher.base import WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.test_utils import create_run_for_test
from dagster._grpc.__generated__ import dagster_api_pb2
from dagster._grpc.__generated__.dagster_api_pb2_grpc import DagsterApiServicer, add_DagsterApiServicer_to_server
from dagster._grpc.types import GetCurrentRunsResult
from dagster._serdes import serialize_value

from dagster_lake.operations.instance import run_launcher
from dagster_lake.operations.instance.run_launcher import WatchedRunLauncher


class CodeServer(DagsterApiServicer):
    """A code server that says which runs it has."""

    def __init__(self) -> None:
        self.runs: list[str] = []

    def GetCurrentRuns(self, request: Any, context: Any) -> Any:
        result = GetCurrentRunsResult(current_runs=self.runs, serializable_error_info=None)
        return dagster_api_pb2.GetCurrentRunsReply(serialized_current_runs=serialize_value(result))


Serve = Callable[[DagsterApiServicer], tuple[int, Callable[[], None]]]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server: gives its port, and what stops it."""
    servers = []

    def start(servicer: DagsterApiServicer) -> tuple[int, Callable[[], None]]:
        made = grpc.server(ThreadPoolExecutor(1))
        add_DagsterApiServicer_to_server(servicer, made)
        port = made.add_insecure_port("127.0.0.1:0")
        made.start()
        servers.append(made)
        return port, lambda: made.stop(None).wait()

    yield start
    for server in servers:
        server.stop(None).wait()


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clock, in seconds."""
    at = [0.0]
    monkeypatch.setattr(run_launcher.time, "monotonic", lambda: at[0])
    return lambda seconds: at.__setitem__(0, seconds)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def launcher(instance: dg.DagsterInstance) -> WatchedRunLauncher:
    made = WatchedRunLauncher(restarted_seconds=60, unreachable_seconds=600)
    made.register_instance(instance)
    return made


def a_run(instance: dg.DagsterInstance, port: int | None, status: Any = dg.DagsterRunStatus.STARTED) -> dg.DagsterRun:
    tags = {GRPC_INFO_TAG: json.dumps({"host": "127.0.0.1", "port": port})} if port else {}
    return create_run_for_test(instance, status=status, tags=tags)


def test_a_run_that_its_code_server_has_is_alive(
    launcher: WatchedRunLauncher, instance: dg.DagsterInstance, serve: Serve
) -> None:
    server = CodeServer()
    port, _ = serve(server)
    run = a_run(instance, port)
    server.runs = ["another", run.run_id]
    assert launcher.supports_check_run_worker_health
    assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING


def test_a_run_that_a_restarted_code_server_does_not_know_is_dead_after_a_while(
    launcher: WatchedRunLauncher, instance: dg.DagsterInstance, serve: Serve, now: Callable[[float], None]
) -> None:
    port, _ = serve(CodeServer())
    run = a_run(instance, port)
    now(1000)
    assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    now(1059)
    assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    now(1060)
    health = launcher.check_run_worker_health(run)
    assert health.status == WorkerStatus.NOT_FOUND
    assert health.msg is not None
    assert "restarted" in health.msg


def test_a_code_server_that_is_away_for_a_moment_costs_no_run(
    launcher: WatchedRunLauncher, instance: dg.DagsterInstance, serve: Serve, now: Callable[[float], None]
) -> None:
    server = CodeServer()
    port, stop = serve(server)
    run = a_run(instance, port)
    stop()
    now(0)
    health = launcher.check_run_worker_health(run)
    assert health.status == WorkerStatus.RUNNING
    assert health.transient
    now(599)
    assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    now(600)
    assert launcher.check_run_worker_health(run).status == WorkerStatus.NOT_FOUND


def test_the_time_begins_anew_when_a_run_has_been_seen_again(
    launcher: WatchedRunLauncher, instance: dg.DagsterInstance, serve: Serve, now: Callable[[float], None]
) -> None:
    server = CodeServer()
    port, _ = serve(server)
    run = a_run(instance, port)
    now(0)
    launcher.check_run_worker_health(run)
    server.runs = [run.run_id]
    now(50)
    assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    server.runs = []
    now(100)
    launcher.check_run_worker_health(run)
    now(159)
    assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    now(160)
    assert launcher.check_run_worker_health(run).status == WorkerStatus.NOT_FOUND


def test_each_run_is_missed_for_a_time_of_its_own(
    launcher: WatchedRunLauncher, instance: dg.DagsterInstance, serve: Serve, now: Callable[[float], None]
) -> None:
    port, _ = serve(CodeServer())
    early, late = a_run(instance, port), a_run(instance, port)
    now(0)
    launcher.check_run_worker_health(early)
    now(60)
    assert launcher.check_run_worker_health(late).status == WorkerStatus.RUNNING
    assert launcher.check_run_worker_health(early).status == WorkerStatus.NOT_FOUND


def test_a_code_server_that_cannot_say_which_runs_it_has_loses_none(
    launcher: WatchedRunLauncher, instance: dg.DagsterInstance, serve: Serve, now: Callable[[float], None]
) -> None:
    port, _ = serve(DagsterApiServicer())
    run = a_run(instance, port)
    now(0)
    launcher.check_run_worker_health(run)
    now(100_000)
    health = launcher.check_run_worker_health(run)
    assert health.status == WorkerStatus.RUNNING
    assert health.msg is not None
    assert "dagster api grpc" in health.msg


def test_a_run_that_nobody_launched_or_that_has_ended_is_left_alone(
    launcher: WatchedRunLauncher, instance: dg.DagsterInstance
) -> None:
    by_hand = a_run(instance, None)
    ended = a_run(instance, 1, status=dg.DagsterRunStatus.SUCCESS)
    assert launcher.check_run_worker_health(by_hand).status == WorkerStatus.RUNNING
    assert launcher.check_run_worker_health(ended).status == WorkerStatus.RUNNING
