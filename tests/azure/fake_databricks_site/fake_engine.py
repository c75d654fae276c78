"""Stands in for Spark and for SparkEngine in a task: no JVM, and results and failures by data set."""

import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace

from dagster_lake.engines.step import Counts, Step, StepResult


def spark_session(settings):
    """Stands in for Spark itself."""
    return SimpleNamespace(version="0 (fake)")


class SparkEngine:
    """Does what the file named by ``FAKE_SCRIPT`` says, one line for each time it is asked: what is left of it then."""

    def __init__(self, lake, contracts, settings, *, spark, landed, key):
        self.lake, self.contracts, self.landed, self.key = lake, contracts, landed, key

    def run(self, step):
        self._act()
        rows = 1
        if step.layer == "bronze":
            rows = sum(partition.rows for partition in self.landed(self.contracts[step.data_set], step.partitions))
        name = self.contracts[step.data_set].name
        counts = {partition: Counts(rows, rows) for partition in step.partitions}
        reasons = {"of the key": 1 if self.key().id else 0} if step.layer == "silver" else {}
        return StepResult(f"{step.layer}.{name}", 7, rows, 100, counts, reasons)

    def check(self, check):
        assert not isinstance(check, Step)
        self._act()
        return {name: {} for name in check.names}

    def _act(self):
        script = os.environ.get("FAKE_SCRIPT", "")
        lines = Path(script).read_text().splitlines() if script and os.path.exists(script) else []
        if not lines:
            return
        Path(script).write_text("\n".join(lines[1:]))
        action, _, argument = lines[0].partition(" ")
        if action == "raise":
            raise ValueError(argument)
        if action == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if action == "sleep":
            time.sleep(float(argument))
        if action == "touch":
            Path(argument).touch()
