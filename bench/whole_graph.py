"""Runs the whole graph for a range of hours in one Dagster run, and tells seconds and peak memory by step.

Run by the benchmarks in a process of its own: python -m bench.whole_graph FIRST_HOUR LAST_HOUR. The lake and its size
come from LAKE_*.
"""

import sys
import time
from dataclasses import dataclass

from bench.measure import MemoryTrace, measured_process, peak_megabytes, report
from dagster_lake.lake_hour import HourRange


@dataclass(frozen=True)
class StepCost:
    """One step of the run."""

    name: str
    seconds: float
    megabytes: float

    @property
    def layer(self) -> str:
        """The group its assets are in, by the step's name."""
        return self.name.split("__")[0]


@dataclass(frozen=True)
class GraphCost:
    """The whole run: ``seconds`` of the job alone, without starting Python and loading the definitions."""

    seconds: float
    megabytes: float
    steps: list[StepCost]


def measure(hours: HourRange, settings: dict[str, object]) -> GraphCost:
    """Runs the job ``hourly`` for ``hours`` in a fresh process, with ``settings`` as its environment."""
    found = measured_process("bench.whole_graph", [hours.keys[0], hours.keys[-1]], settings)
    return GraphCost(found["seconds"], found["megabytes"], [StepCost(*step) for step in found["steps"]])


def main() -> None:
    """Runs the job and reports."""
    import dagster as dg

    from dagster_lake.definitions import defs

    first, last = sys.argv[1:3]
    job = defs.resolve_job_def("hourly")
    tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
    quiet = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
    with dg.DagsterInstance.ephemeral() as instance, MemoryTrace() as trace:
        started = time.perf_counter()
        run = job.execute_in_process(run_config=quiet, instance=instance, tags=tags)
        seconds = time.perf_counter() - started
        starts, steps = {}, []
        for entry in instance.all_logs(run.run_id):
            event = entry.dagster_event
            if event is None or event.step_key is None:
                continue
            if event.is_step_start:
                starts[event.step_key] = entry.timestamp
            elif event.is_step_success:
                start = starts[event.step_key]
                steps.append((event.step_key, entry.timestamp - start, trace.between(start, entry.timestamp)))
    report({"seconds": seconds, "megabytes": peak_megabytes(), "steps": steps})


if __name__ == "__main__":
    main()
