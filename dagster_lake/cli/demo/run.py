"""Runs the hourly job for a range of hours in this process, telling what happens while it works."""

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from dagster_lake.cli.demo.warnings import Warned
from dagster_lake.cli.shared.dagster_home import at_dagster_home, without_telemetry
from dagster_lake.cli.shared.errors import CommandError
from dagster_lake.lake_hour import HourRange
from dagster_lake.settings.lake import PROJECT_ROOT

if TYPE_CHECKING:
    from dagster import AssetMaterialization, DagsterEvent, DagsterInstance, JobDefinition
    from dagster._core.definitions.reconstruct import ReconstructableJob

JOBS = ("hourly", "lake_status")
"""In this order: how the tables are is looked at when all are there."""


@dataclass
class Built:
    """One materialised asset: the rows it holds (None where it does not count any) and the seconds it took."""

    asset: str
    rows: int | None
    seconds: float


@dataclass(frozen=True)
class Checked:
    """What a check found, of an hour where its table has hours; ``good`` is that there is nothing to warn of."""

    hour: str | None
    passed: bool
    good: bool
    said: str


@dataclass
class Outcome:
    """What a run did; its checks by asset and name."""

    seconds: float = 0.0
    built: dict[str, Built] = field(default_factory=dict)
    checks: dict[tuple[str, str], list[Checked]] = field(default_factory=dict)

    @property
    def checks_passed(self) -> int:
        """How many checks passed, those by the hour in every hour."""
        return sum(all(one.passed for one in found) for found in self.checks.values())

    @property
    def warnings(self) -> list[Warned]:
        """The checks that did not pass. That data is late is no warning."""
        from dagster_lake.operations.health.history import FRESH

        bad = {name: [one for one in found if not one.good] for name, found in self.checks.items() if name[1] != FRESH}
        return [Warned(*name, _said(found, len(self.checks[name]))) for name, found in bad.items() if found]

    @property
    def late(self) -> list[str]:
        """The tables whose data is older than their contracts say: of a past day, those that come by the hour, for that
        is what was asked for."""
        from dagster_lake.operations.health.history import FRESH

        return [asset for (asset, name), [one, *_] in self.checks.items() if name == FRESH and not one.passed]


def _said(found: list[Checked], of: int) -> str:
    first = found[0]
    if first.hour is None or of == 1:
        return first.said
    return f"in {len(found)} of {of} hours, first {first.hour}" + (f": {first.said}" if first.said else "")


def build(hours: HourRange, console: Console) -> Outcome:
    """Materialises every asset for ``hours``. Raises CommandError, naming the asset, when a step fails."""
    without_telemetry()
    # What libraries warn each other of helps nobody here.
    with at_dagster_home(), warnings.catch_warnings(action="ignore"):
        with console.status("Loading the definitions ..."):
            from dagster import DagsterInstance

            instance = DagsterInstance.get()
        with instance:
            return _build(instance, hours, console)


def _build(instance: "DagsterInstance", hours: HourRange, console: Console) -> Outcome:
    with console.status("Loading the definitions ..."):
        jobs = [_job(name) for name in JOBS]
    outcome = Outcome()
    started = time.monotonic()
    with _progress(console) as progress:
        task = progress.add_task("starting", total=sum(job.assets for job in jobs))
        for job in jobs:
            failures: list[str] = []
            # Made when its turn has come: a run that never starts would stand in the UI as one that is about to.
            run, events = job.run(instance, hours)
            for event in events:
                if event.is_step_start:
                    progress.update(task, description=job.step_name(event))
                elif event.is_step_materialization:
                    _note(outcome, event, console)
                    progress.update(task, completed=len(outcome.built))
                elif event.event_type_value == "ASSET_CHECK_EVALUATION":
                    _note_check(outcome, event)
                elif event.is_step_failure or event.is_run_failure:
                    failures.extend(_why(event, job))
            if failures:
                again = f"Nothing is half done: mend the cause and run it again. (Dagster run {run})"
                raise CommandError(f"{failures[0]}\n{again}")
    outcome.seconds = time.monotonic() - started
    return outcome


@dataclass(frozen=True)
class _Job:
    """A job that can be run, with its number of assets."""

    reconstructable: "ReconstructableJob"
    definition: "JobDefinition"

    @property
    def assets(self) -> int:
        """How many assets it makes."""
        return len(set(self.definition.asset_layer.executable_asset_keys))

    def run(self, instance: "DagsterInstance", hours: HourRange) -> "tuple[str, Iterator[DagsterEvent]]":
        """A new run, for ``hours`` where the job has partitions: its id, and the events that running it gives."""
        from dagster._core.execution.api import execute_run_iterator  # execute_job() tells nothing until it has ended
        from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

        definition = self.definition
        span = {ASSET_PARTITION_RANGE_START_TAG: hours.keys[0], ASSET_PARTITION_RANGE_END_TAG: hours.keys[-1]}
        run = instance.create_run_for_job(
            definition,
            tags={**definition.run_tags, **(span if definition.partitions_def else {})},
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},  # we tell it ourselves
            job_code_origin=self.reconstructable.get_python_origin(),
        )
        return run.run_id, execute_run_iterator(self.reconstructable, run, instance)

    def step_name(self, event: "DagsterEvent") -> str:
        """What a step makes or checks, by the assets' names."""
        from dagster import AssetKey

        assert event.node_handle is not None
        made = self.definition.asset_layer.get_selected_entity_keys_for_node(event.node_handle)
        keys = sorted(key.to_user_string() for key in made if isinstance(key, AssetKey))
        checked = sorted({key.asset_key.to_user_string() for key in made if not isinstance(key, AssetKey)})
        if len(keys) == 1 or event.step_key is None:
            return keys[0] if keys else "the run"
        if keys:  # one step makes a group of them
            return event.step_key.replace("__", "/")
        return f"checks of {checked[0]}" if len(checked) == 1 else f"checks {event.step_key}"


def _job(name: str) -> _Job:
    from dagster._core.definitions.reconstruct import ReconstructableRepository

    repository = ReconstructableRepository.for_module("dagster_lake.definitions", "defs", str(PROJECT_ROOT))
    job = repository.get_reconstructable_job(name)
    return _Job(job, job.get_definition())


def _progress(console: Console) -> Progress:
    columns = (
        SpinnerColumn(),
        MofNCompleteColumn(),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _note(outcome: Outcome, event: "DagsterEvent", console: Console) -> None:
    """Notes a materialization. Of a range of hours there is one event an hour, all with the same numbers."""
    materialization = event.step_materialization_data.materialization
    asset = materialization.asset_key.to_user_string()
    known = asset in outcome.built
    built = Built(asset, _rows(materialization), float(_number(materialization, "seconds") or 0))
    outcome.built[asset] = built
    if not known and not console.is_terminal:
        rows = "" if built.rows is None else f"{built.rows:,} rows"
        console.print(f"{asset:<36} {rows:>16} {built.seconds:8.2f} s")


def _note_check(outcome: Outcome, event: "DagsterEvent") -> None:
    from dagster_lake.defs.operations.lake_status import GOOD, LATE

    evaluation = event.asset_check_evaluation_data
    said = evaluation.description or ""
    if evaluation.check_name == GOOD:
        said = "; ".join(trouble for trouble in said.split("; ") if not trouble.endswith(f" {LATE}"))
    name = (evaluation.asset_key.to_user_string(), evaluation.check_name)
    good = evaluation.passed or (evaluation.check_name == GOOD and not said)
    outcome.checks.setdefault(name, []).append(Checked(evaluation.partition, evaluation.passed, good, said))


def _rows(materialization: "AssetMaterialization") -> int | None:
    rows = _number(materialization, "dagster/row_count")
    rows = _number(materialization, "dagster/partition_row_count") if rows is None else rows
    return None if rows is None else int(rows)


def _number(materialization: "AssetMaterialization", name: str) -> float | None:
    entry = materialization.metadata.get(name)
    return None if entry is None else entry.value  # type: ignore[return-value]


def _why(event: "DagsterEvent", job: _Job) -> list[str]:
    """The innermost cause of a failure, without the layers that Dagster wraps around it. Raises KeyboardInterrupt where
    that is what somebody has done."""
    data = event.event_specific_data
    error = getattr(data, "error", None)
    if error is None:
        return [] if event.is_step_failure else [event.message or "the run failed"]
    # One of ours names the thing and the remedy; below it is what some library said.
    while error.cause is not None and not error.message.startswith("dagster_lake."):
        error = error.cause
    if error.cls_name in ("DagsterExecutionInterruptedError", "KeyboardInterrupt"):
        raise KeyboardInterrupt
    name = job.step_name(event) if event.is_step_failure else "the run"
    kind, separator, message = error.message.strip().partition(": ")
    if not separator or " " in kind:
        return [f"{name}: {error.message.strip()}"]
    of_ours = kind.startswith("dagster_lake.")
    return [f"{name}: {message}" if of_ours else f"{name}: {kind.split('.')[-1]}: {message}"]
