"""Production's processes on a real PostgreSQL: the queue, and what becomes of runs and ticks when one is killed."""

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import dagster as dg
import psycopg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.scheduler.instigation import InstigatorState, InstigatorTick, ScheduleInstigatorData, TickStatus
from dagster._grpc.__generated__.dagster_api_pb2 import StartRunRequest
from dagster._grpc.client import DagsterGrpcClient
from deltalake import DeltaTable

from dagster_lake.lake_hour import HOUR, KEY_FORMAT
from tests.production.database import Server
from tests.production.processes import Production, production
from tests.production.slim_lake import ROWS, rows_of

TABLES = ("numbers", "squares")


@pytest.fixture(scope="module")
def _started(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    folder = tmp_path_factory.mktemp("production")
    lake = {"LAKE_ROOT": str(folder / "lake")}
    with production(server, folder, "tests.production.slim_lake", lake) as made:
        yield made


@pytest.fixture
def running(_started: Production) -> Production:
    """All three processes, whatever a test before did to them."""
    missing = [name for name in ("code", "daemon", "webserver") if not _started.runs(name)]
    _started.start(*missing)
    return _started


def content(running: Production, table: str) -> dict[str, list[int]]:
    """The numbers of each hour."""
    rows = DeltaTable(f"{running.environment['LAKE_ROOT']}/slim/{table}").to_pyarrow_table().to_pylist()
    found: dict[str, list[int]] = {}
    for row in sorted(rows, key=lambda row: row["number"]):
        found.setdefault(row["_lake_hour"], []).append(row["number"])
    return found


def is_right(running: Production, *hours: str) -> None:
    """Both tables hold these hours, each row once."""
    numbers, squares = (content(running, table) for table in TABLES)
    for hour in hours:
        wanted = rows_of(hour).to_pylist()
        assert numbers[hour] == wanted
        assert squares[hour] == [number**2 for number in wanted]
        assert len(wanted) == ROWS


def steps(running: Production, run_id: str) -> list[str | None]:
    """The steps that a run did."""
    events = running.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_SUCCESS)
    return [event.step_key for event in events]


def runs_of(running: Production, hour: str) -> list[dg.DagsterRun]:
    return list(running.instance.get_runs(dg.RunsFilter(tags={"dagster/partition": hour})))


def takes_no_runs(running: Production) -> bool:
    """Whether the code server refuses runs because it is ending."""
    client = DagsterGrpcClient(host="127.0.0.1", port=int(running.environment["DAGSTER_CODE_PORT"]))
    reply = client._query("StartRun", StartRunRequest, serialized_execute_run_args="none")
    return "after telling it to shut down" in reply.serialized_start_run_result


def turn_on(running: Production, name: str, since: datetime) -> None:
    """Turns a schedule on, as of a moment in the past."""
    selector = {"repositoryLocationName": "dagster_lake", "repositoryName": "__repository__", "scheduleName": name}
    answer = running.ask(
        "mutation($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) { __typename } }",
        {"selector": selector},
    )
    assert answer["startSchedule"]["__typename"] == "ScheduleStateResult"
    state = schedule(running)
    assert isinstance(state.instigator_data, ScheduleInstigatorData)
    began = ScheduleInstigatorData(state.instigator_data.cron_schedule, since.timestamp())
    running.instance.update_instigator_state(state.with_data(began))


def schedule(running: Production) -> InstigatorState:
    """The one that is on."""
    [state] = running.instance.all_instigator_state(instigator_type=InstigatorType.SCHEDULE)
    return state


def ticks(running: Production) -> Sequence[InstigatorTick]:
    """The ticks of the schedule that is on, the newest first."""
    state = schedule(running)
    return running.instance.get_ticks(state.instigator_origin_id, state.selector_id)


@contextmanager
def no_note_of_ticks(running: Production, server: Server) -> Iterator[None]:
    """Nobody can write down what became of a tick; who waits for it is gone with its process."""
    database = running.environment["DAGSTER_POSTGRES_DB"]
    with psycopg.connect(host=str(server.socket), port=server.port, user="postgres", dbname=database) as connection:
        connection.execute("LOCK TABLE job_ticks IN SHARE ROW EXCLUSIVE MODE")
        yield
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'",
            [database],
        )


def test_two_runs_at_once_never_of_one_hour_and_else_in_order(running: Production) -> None:
    first, second, third, last = (f"2026-01-02T0{hour}" for hour in range(4))
    with (
        running.gate(f"numbers-{first}") as first_gate,
        running.gate(f"numbers-{second}") as second_gate,
        running.gate(f"numbers-{third}") as third_gate,
    ):
        runs = [running.launch("slim", hour) for hour in (first, second, first, third, last)]
        running.until(lambda: first_gate.waiting and second_gate.waiting, "two runs to be under way")
        assert [running.status(run) for run in runs] == ["STARTED", "STARTED", "QUEUED", "QUEUED", "QUEUED"]
        second_gate.open()
        running.until(lambda: third_gate.waiting, "the third hour to take the place of the second")
        assert running.status(runs[2]) == running.status(runs[4]) == "QUEUED"
        first_gate.open()
        running.until(lambda: running.status(runs[2]) != "QUEUED", "the first hour's second run to take its place")
        third_gate.open()
        for run in runs:
            running.is_now(run, "SUCCESS")
    records = {record.dagster_run.run_id: record for record in running.instance.get_run_records(limit=5)}
    spans = [(records[run].start_time or 0.0, records[run].end_time or 0.0) for run in runs]
    assert all(sum(start <= moment < end for start, end in spans) <= 2 for moment, _ in spans)
    assert spans[0][1] <= spans[2][0] <= spans[4][0]
    is_right(running, first, second, third, last)


def test_a_run_whose_process_is_killed_is_done_again_from_where_it_was(running: Production) -> None:
    hour = "2026-01-03T00"
    with running.gate(f"squares-{hour}") as gate:
        run = running.launch("slim", hour)
        os.kill(running.until(lambda: gate.waiting, "the run to come to its gate"), signal.SIGKILL)
    again = running.done_again(run)
    assert (steps(running, run), steps(running, again)) == (["numbers"], ["squares"])
    assert len(runs_of(running, hour)) == 2
    is_right(running, hour)


def test_a_code_server_that_is_killed_takes_its_runs_along_and_they_are_done_again(running: Production) -> None:
    hour = "2026-01-04T00"
    with running.gate(f"squares-{hour}") as gate:
        run = running.launch("slim", hour)
        running.until(lambda: gate.waiting, "the run to come to its gate")
        running.kill("code")
    running.start("code")
    again = running.done_again(run)
    assert (steps(running, run), steps(running, again)) == (["numbers"], ["squares"])
    [failure] = running.instance.all_logs(run, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert "its code server does not know it; it was restarted" in failure.message
    is_right(running, hour)


def test_a_code_server_that_is_told_to_end_lets_its_runs_end(running: Production) -> None:
    hour = "2026-01-05T00"
    with running.gate(f"squares-{hour}") as gate:
        run = running.launch("slim", hour)
        running.until(lambda: gate.waiting, "the run to come to its gate")
        code = running.process("code")
        code.tell_to_end()
        running.until(lambda: takes_no_runs(running), "the code server to take no more runs")
        assert running.status(run) == "STARTED"
    running.is_now(run, "SUCCESS")
    running.until(lambda: code.ended, "the code server to end")
    assert len(runs_of(running, hour)) == 1
    is_right(running, hour)


def test_a_database_that_cuts_all_connections_costs_no_run(running: Production, server: Server) -> None:
    hour = "2026-01-07T00"
    with running.gate(f"squares-{hour}") as gate:
        run = running.launch("slim", hour)
        running.until(lambda: gate.waiting, "the run to come to its gate")
        server.cut_connections()
    running.is_now(run, "SUCCESS")
    assert all(running.runs(name) for name in ("code", "daemon", "webserver"))
    assert len(runs_of(running, hour)) == 1
    is_right(running, hour)


def test_while_the_daemon_is_gone_runs_go_on_and_the_queue_waits(running: Production) -> None:
    hours = [f"2026-01-06T0{hour}" for hour in range(3)]
    with running.gate(f"numbers-{hours[0]}"), running.gate(f"numbers-{hours[1]}"):
        runs = [running.launch("slim", hour) for hour in hours]
        for run in runs[:2]:
            running.is_now(run, "STARTED")
        running.kill("daemon")
    for run in runs[:2]:
        running.is_now(run, "SUCCESS")
    assert running.status(runs[2]) == "QUEUED"
    running.start("daemon")
    running.is_now(runs[2], "SUCCESS")
    assert [len(runs_of(running, hour)) for hour in hours] == [1, 1, 1]
    assert steps(running, runs[2]) == ["numbers", "squares"]
    is_right(running, *hours)


def test_a_daemon_that_is_killed_in_a_tick_neither_loses_nor_doubles_it(running: Production, server: Server) -> None:
    """It is killed after it has made the tick's run, and before it has noted that: the worst moment there is.

    And it was away when the tick was due.
    """
    running.kill("daemon")
    now = datetime.now(UTC)
    minute = next(minute for minute in (5, 35) if 2 <= (now.minute - minute) % 60 <= 50)
    due = (now - timedelta(minutes=(now.minute - minute) % 60)).replace(second=0, microsecond=0)
    hour = (due - HOUR).strftime(KEY_FORMAT)
    turn_on(running, f"at_{minute}", since=due - timedelta(minutes=1))
    with running.gate(f"tick-{hour}") as gate:
        running.start("daemon")
        running.until(lambda: gate.waiting, "the schedule to be evaluated")
        with no_note_of_ticks(running, server):
            gate.open()
            [run] = running.until(lambda: runs_of(running, hour), "the tick's run")
            running.kill("daemon")
    assert [tick.status for tick in ticks(running)] == [TickStatus.STARTED]
    running.start("daemon")
    running.until(lambda: ticks(running)[0].status == TickStatus.SUCCESS, "the tick to end")
    [tick] = ticks(running)
    assert (tick.timestamp, tick.run_ids) == (due.timestamp(), [run.run_id])
    running.is_now(run.run_id, "SUCCESS")
    assert len(runs_of(running, hour)) == 1
    is_right(running, hour)
