"""Runs the hourly job for a range of hours in this process, telling what happens while it works."""

import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from dagster_lake.cli.dagster_home import at_dagster_home
from dagster_lake.cli.errors import CommandError
from dagster_lake.clock import utc_now
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, parse_hour
from dagster_lake.settings import PROJECT_ROOT

if TYPE_CHECKING:
    from dagster import AssetMaterialization, DagsterEvent, DagsterInstance

JOBS = ("hourly", "lake_status")
"""In this order: how the tables are is looked at when all are there."""


@dataclass
class Built:
    """One materialised asset: the rows it holds (None where it does not count any) and the seconds it took."""

    asset: str
    rows: int | None
    seconds: float


@dataclass
class Outcome:
    """What a run did. ``late`` are the tables whose data is older than their contracts say: of a past day, those that
    come by the hour. That is no warning, for it is what was asked for."""

    run_id: str
    seconds: float = 0.0
    built: dict[str, Built] = field(default_factory=dict)
    checks_passed: int = 0
    warnings: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)


def wanted_hours(day: str, hours: int) -> HourRange:
    """The hours to build. Raises CommandError for a day that is none, or that has not been yet."""
    from dagster_lake.assets.partitions import FIRST_HOUR

    try:
        first = parse_hour(f"{datetime.strptime(day, '%Y-%m-%d'):%Y-%m-%d}T00")
    except ValueError:
        raise CommandError(f"--day {day!r} is not a date; write it as 2026-01-05") from None
    wanted = HourRange(first, first + (hours - 1) * HOUR)
    if first < parse_hour(FIRST_HOUR):
        raise CommandError(
            f"--day {day} is before the lake's first hour; take {FIRST_HOUR[:10]} or later, "
            f"or set LAKE_FIRST_HOUR={hour_key(first)}"
        )
    if wanted.end > utc_now():
        raise CommandError(
            f"{hour_key(wanted.last)} has not ended yet (it is {utc_now():%Y-%m-%dT%H:%M} UTC); "
            "take an earlier --day or fewer --hours"
        )
    return wanted


def build(hours: HourRange, console: Console) -> Outcome:
    """Materialises every asset for ``hours``. Raises CommandError, naming the asset, when a step fails."""
    _without_telemetry()
    # What libraries warn each other of helps nobody here.
    with at_dagster_home(), warnings.catch_warnings(action="ignore"):
        with console.status("Loading the definitions ..."):
            from dagster import DagsterInstance

            instance = DagsterInstance.get()
        with instance:
            return _build(instance, hours, console)


def _build(instance: "DagsterInstance", hours: HourRange, console: Console) -> Outcome:
    with console.status("Loading the definitions ..."):
        runs = [_new_run(instance, job, hours) for job in JOBS]
    outcome = Outcome(runs[0].run_id)
    started = time.monotonic()
    with _progress(console) as progress:
        task = progress.add_task("starting", total=sum(run.assets for run in runs))
        for run in runs:
            failures: list[str] = []
            for event in run.events:
                if event.is_step_start:
                    progress.update(task, description=_step_name(event))
                elif event.is_step_materialization:
                    _note(outcome, event, console)
                    progress.update(task, completed=len(outcome.built))
                elif event.event_type_value == "ASSET_CHECK_EVALUATION":
                    _note_check(outcome, event)
                elif event.is_step_failure or event.is_run_failure:
                    failures.extend(_why(event))
            if failures:
                again = f"Nothing is half done: mend the cause and run it again. (Dagster run {run.run_id})"
                raise CommandError(f"{failures[0]}\n{again}")
    outcome.seconds = time.monotonic() - started
    return outcome


@dataclass(frozen=True)
class _Run:
    """A new run: its number of assets, and the events it gives while they are iterated."""

    run_id: str
    assets: int
    events: "Iterator[DagsterEvent]"


def _new_run(instance: "DagsterInstance", name: str, hours: HourRange) -> _Run:
    """A run of the job, for ``hours`` where it has partitions; it starts when its events are iterated."""
    from dagster._core.definitions.reconstruct import ReconstructableRepository
    from dagster._core.execution.api import execute_run_iterator  # execute_job() tells nothing until it has ended
    from dagster._core.storage.tags import ASSET_PARTITION_RANGE_END_TAG, ASSET_PARTITION_RANGE_START_TAG

    repository = ReconstructableRepository.for_module("dagster_lake.definitions", "defs", str(PROJECT_ROOT))
    job = repository.get_reconstructable_job(name)
    definition = job.get_definition()
    span = {ASSET_PARTITION_RANGE_START_TAG: hours.keys[0], ASSET_PARTITION_RANGE_END_TAG: hours.keys[-1]}
    run = instance.create_run_for_job(
        definition,
        tags={**definition.run_tags, **(span if definition.partitions_def else {})},
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},  # we tell it ourselves
        job_code_origin=job.get_python_origin(),
    )
    assets = len(set(definition.asset_layer.executable_asset_keys))
    return _Run(run.run_id, assets, execute_run_iterator(job, run, instance))


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
    from dagster_lake.assets.lake_status import GOOD, LATE
    from dagster_lake.freshness_checks import FRESH

    evaluation = event.asset_check_evaluation_data
    said = evaluation.description or ""
    if evaluation.check_name == GOOD:
        said = "; ".join(trouble for trouble in said.split("; ") if not trouble.endswith(f" {LATE}"))
    if evaluation.passed:
        outcome.checks_passed += 1
    elif evaluation.check_name == FRESH:
        outcome.late.append(evaluation.asset_key.to_user_string())
    elif evaluation.check_name != GOOD or said:
        name = f"{evaluation.asset_key.to_user_string()}: {evaluation.check_name}"
        outcome.warnings.append(f"{name} {said}".strip())


def _rows(materialization: "AssetMaterialization") -> int | None:
    rows = _number(materialization, "dagster/row_count")
    rows = _number(materialization, "dagster/partition_row_count") if rows is None else rows
    return None if rows is None else int(rows)


def _number(materialization: "AssetMaterialization", name: str) -> float | None:
    entry = materialization.metadata.get(name)
    return None if entry is None else entry.value  # type: ignore[return-value]


def _step_name(event: "DagsterEvent") -> str:
    return str(event.step_key).replace("__", "/")


def _why(event: "DagsterEvent") -> list[str]:
    """The innermost cause of a failure, without the layers that Dagster wraps around it."""
    data = event.event_specific_data
    error = getattr(data, "error", None)
    if error is None:
        return [] if event.is_step_failure else [event.message or "the run failed"]
    while error.cause is not None:
        error = error.cause
    kind, separator, message = error.message.strip().partition(": ")
    if not separator or " " in kind:
        return [f"{_step_name(event)}: {error.message.strip()}"]
    name = "" if kind.startswith("dagster_lake.") else f"{kind.split('.')[-1]}: "
    return [f"{_step_name(event)}: {name}{message}"]


def _without_telemetry() -> None:
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
