"""Lakes materialised by other processes, to be killed or run beside each other.

They are forked by a server that has everything imported but nothing started, so that one costs no second of imports.
"""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.synchronize import Barrier

from dagster_lake import commit
from dagster_lake.contract.model import contracts
from tests.lake.lakes import TestLake


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "dagster_lake.engines.duckdb.engine", "dagster_lake.sources.choice"])
    return context


def run_all(lake: TestLake, *hours: str) -> None:
    """Every data set, source to newest, without Dagster."""
    for data_set in contracts():
        lake.run_data_set(data_set, *hours)


def killed_after(lake: TestLake, hours: list[str], announcements: int, microseconds: int) -> bool:
    """Materialises through Dagster in a process that is killed a moment after its n-th commit announcement.

    False when it had ended by then.
    """
    here, there = _context().Pipe(duplex=False)
    process = _context().Process(target=_materialize, args=(lake, hours, there))
    process.start()
    there.close()
    try:
        for _ in range(announcements):
            here.recv()
    except EOFError:
        process.join()
        return False
    time.sleep(microseconds / 1e6)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    return process.exitcode == -signal.SIGKILL


def at_once(lake: TestLake, hours: list[str], processes: int) -> list[int | None]:
    """Runs all data sets in several processes that start together; gives their exit codes."""
    context = _context()
    barrier = context.Barrier(processes)
    started: list[ForkServerProcess] = [
        context.Process(target=_run_all_together, args=(lake, hours, barrier)) for _ in range(processes)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
    return [process.exitcode for process in started]


def _materialize(lake: TestLake, hours: list[str], announce: Connection) -> None:
    commit.observe(_sending(announce))
    lake.materialize(hours[0], hours[-1])


def _run_all_together(lake: TestLake, hours: list[str], barrier: Barrier) -> None:
    barrier.wait(timeout=60)
    run_all(lake, hours[0], hours[-1])


def _sending(announce: Connection) -> Callable[[str], None]:
    def send(point: str) -> None:
        announce.send(point)

    return send
