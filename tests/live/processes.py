"""``lake stream`` in a process of its own, with a clock that the test moves, to be killed or stopped."""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from ctypes import c_longlong
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from types import TracebackType
from typing import Any

from dagster_lake import clock, commit

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PATIENCE = 120.0


@cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    modules = ["dagster_lake.live.loop", "dagster_lake.live.plan", "dagster_lake.cli.stream.run", "dbt.cli.main"]
    context.set_forkserver_preload([__name__, *modules, "dagster_lake.engines.duckdb.engine", "azure.eventhub.aio"])
    return context


class Clock:
    """What time it is, here and in the processes."""

    def __init__(self, now: datetime) -> None:
        self.shared: Synchronized[int] = _context().Value(c_longlong, 0)
        self.set(now)

    def set(self, now: datetime) -> None:
        """Moves the clock."""
        self.shared.value = (now - EPOCH) // timedelta(microseconds=1)

    def __call__(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.shared.value)


class Stream:
    """A process that runs ``lake stream`` until it is killed or stopped; what it says goes to ``output``."""

    def __init__(self, environment: Mapping[str, str], now: Clock, output: Path) -> None:
        self.output = output
        self._points, there = _context().Pipe(duplex=False)
        self._process = _context().Process(target=_run, args=(dict(environment), now.shared, output, there))
        self._process.start()
        there.close()

    def passes(self, point: str) -> None:
        """Waits until the commit point has been passed, from now on."""
        while self._points.poll():
            self._points.recv()
        seen: list[str] = []
        while not seen or seen[-1] != point:
            assert self._points.poll(PATIENCE), f"{point} was not passed; the last were {seen[-5:]}\n{self.said}"
            seen.append(self._next())

    def kill(self) -> None:
        """SIGKILL, at once."""
        assert self._process.pid
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()
        assert self._process.exitcode == -signal.SIGKILL, self.said

    def stop(self) -> int | None:
        """SIGTERM; the exit code."""
        self._process.terminate()
        self._process.join(PATIENCE)
        return self._process.exitcode

    @property
    def said(self) -> str:
        """What it printed so far."""
        return self.output.read_text() if self.output.exists() else ""

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _next(self) -> str:
        try:
            point: str = self._points.recv()
        except EOFError:
            raise AssertionError(f"lake stream has ended\n{self.said}") from None
        return point


def until(holds: Callable[[], bool], stream: Stream) -> None:
    """Waits until the condition holds."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < PATIENCE, stream.said
        time.sleep(0.02)  # of a look at a file, not of anything that must take its time


def _run(environment: dict[str, str], now: Any, output: Path, points: Connection) -> None:
    sys.stdout = sys.stderr = output.open("a", buffering=1)
    os.environ.update(environment)
    clock.utc_now = lambda: EPOCH + timedelta(microseconds=now.value)  # type: ignore[assignment]
    commit.observe(points.send)
    from dagster_lake.cli.stream import run as stream_run
    from dagster_lake.live import plan

    planned = plan.plan
    plan.plan = lambda *given: replace(planned(*given), tables_every=0.0)  # type: ignore[assignment]
    stream_run.run(None, 0.05, [], False)
