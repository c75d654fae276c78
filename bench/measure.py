"""What the benchmarks share: a lake in a temporary folder, a fresh process a measurement, and Markdown tables."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from dagster_lake.settings.lake import PROJECT_ROOT

MEGABYTE = 1_000_000
RESULT = "result of the measurement: "


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder of its own below the system's temporary folder, removed at the end."""
    with tempfile.TemporaryDirectory(prefix="lake-bench-") as folder:
        yield Path(folder)


def measured_process(module: str, arguments: Sequence[object], environment: Mapping[str, object]) -> Any:
    """What ``report`` says in ``python -m <module> <arguments>``, run with ``environment`` added to ours.

    What else it prints passes through to standard error. Raises CalledProcessError when it fails.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    added = {name: str(value) for name, value in environment.items()}
    process = subprocess.Popen(
        command, env={**os.environ, **_quiet(), **added}, stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT
    )
    assert process.stdout is not None
    found = None
    for line in process.stdout:
        if line.startswith(RESULT):
            found = json.loads(line.removeprefix(RESULT))
        else:
            print(line, end="", file=sys.stderr, flush=True)
    if process.wait():
        raise subprocess.CalledProcessError(process.returncode, command)
    return found


def report(result: Any) -> None:
    """Hands ``result`` to the process that waits in ``measured_process``."""
    print(RESULT + json.dumps(result), flush=True)


def peak_megabytes() -> float:
    """The most memory this process ever held; Linux only.

    Not ru_maxrss: a process is born with its parent's, and the parent here is not small.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / MEGABYTE


class MemoryTrace:
    """Notes this process's memory ten times a second while it is open; Linux only."""

    def __init__(self) -> None:
        self.samples: list[tuple[float, float]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "MemoryTrace":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def between(self, start: float, end: float) -> float:
        """The most megabytes between two times (seconds since 1970), or at the sample nearest to them."""
        inside = [megabytes for at, megabytes in self.samples if start <= at <= end]
        return max(inside) if inside else min(self.samples, key=lambda sample: abs(sample[0] - start))[1]

    def _watch(self) -> None:
        import time

        import psutil

        process = psutil.Process()
        while not self._stop.wait(0.1):
            self.samples.append((time.time(), process.memory_info().rss / MEGABYTE))


def middle(values: Sequence[float]) -> float:
    """The median."""
    return float(median(values))


def markdown(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table; columns after the first are aligned to the right."""
    lines = [f"| {' | '.join(head)} |", "|---|" + "--:|" * (len(head) - 1)]
    return "\n".join([*lines, *(f"| {' | '.join(map(_cell, row))} |" for row in rows)])


def judged(missed: Sequence[str]) -> int:
    """Prints which aims were missed, if any, and gives the exit code: 0, or 1 when one was."""
    print("\n".join(["", *(f"Aim missed: {aim}" for aim in missed)] if missed else ["", "Every aim is met."]))
    return 1 if missed else 0


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}" if isinstance(value, float) else str(value)


def _quiet() -> dict[str, str]:
    return {"DAGSTER_DISABLE_TELEMETRY": "1", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "PYTHONWARNINGS": "ignore"}
