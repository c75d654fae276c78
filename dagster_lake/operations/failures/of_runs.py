"""Failures of one run: that it failed, and the checks that did not pass."""

import re
from collections.abc import Callable, Iterator, Mapping

import dagster as dg

from dagster_lake.operations.failures.failure import Failure
from dagster_lake.operations.health.history import FRESH
from dagster_lake.operations.telemetry.runs import AssetWork, CheckWork, RunWork
from dagster_lake.streams.alerts.check_names import DELIVERED, NO_ALERTS
from dagster_lake.streams.sinks.sink import DELIVERED as SINKS_DELIVERED

DataSets = Callable[[dg.AssetKey], tuple[str, ...]]
"""Which data sets an asset concerns."""

_TOLD_OTHERWISE = {NO_ALERTS, DELIVERED, SINKS_DELIVERED, FRESH}
"""Alerts are told themselves, a channel that fails cannot be told of there, a sink is told of by its note, which
``lake stream`` writes too, and late data is ``stopped_delivery``."""
_NAMED = 3
MOST_REMEMBERED = 1_000
_STEPS_FAILED = "Steps failed"
"""What Dagster says of a run whose steps failed, a check's own step among them."""
_CLASS = re.compile(r"^[A-Za-z_][\w.]*(?=:|$)")


def run_failure(run: RunWork, data_sets: DataSets) -> Failure | None:
    """That the run failed; None when it did not, when Dagster runs it again by itself, or when checks that failed say
    all there is to say."""
    if run.status != dg.DagsterRunStatus.FAILURE or run.will_retry:
        return None
    failed = [asset for asset in run.assets if asset.error is not None]
    checked = [asset for asset in run.assets if any(_is_error(check) for check in asset.checks.values())]
    by_steps = bool(failed) or _STEPS_FAILED in (run.error or "")  # a process that was killed is another matter
    if checked and by_steps and all(asset in checked for asset in failed):
        return None
    names = ", ".join(asset.name for asset in failed[:_NAMED])
    more = f" and {len(failed) - _NAMED} more" if len(failed) > _NAMED else ""
    of = f" of {run.partition}" if run.partition else ""
    where = f", at {names}{more}: {_error_class(failed[0].error)}" if failed else f": {_error_class(run.error)}"
    concerned = failed or list(run.assets)
    return Failure(
        "failed_run",
        run.run_id,
        run.ended or run.asked,
        tuple(sorted({name for asset in concerned for name in data_sets(asset.key)})),
        f"run {run.run_id[:8]} of {run.job}{of} failed{where}",
        f"read the error in Dagster (Runs, {run.run_id[:8]}) or in the lake's notices/{run.run_id}.md, mend it, then "
        "Re-execute from failure; every step can run again",
    )


def first_of_its_cause(
    run: RunWork, failure: Failure | None, failing: Mapping[str, str]
) -> tuple[Failure | None, dict[str, str]]:
    """The run's failure, unless the same hour failed of the same cause before and has not succeeded since; and what is
    ``failing`` after the run, by job and hour. A schedule that retries an hour tells of it once."""
    after = dict(failing)
    if run.partition is None:
        return failure, after
    hour = f"run of {run.job} {run.partition}"
    if run.status == dg.DagsterRunStatus.SUCCESS:
        after.pop(hour, None)
    if failure is None:
        return None, after
    cause = failure.what.replace(run.run_id[:8], "")
    known = after.pop(hour, None) == cause
    after[hour] = cause
    return None if known else failure, after


def check_failures(
    run: RunWork, failing: Mapping[str, str], data_sets: DataSets
) -> tuple[list[Failure], dict[str, str]]:
    """The checks of the run that did not pass and had passed before, and which are ``failing`` after the run.

    ``failing`` has the run in which each began to fail. A warning is told once until the check passes; an error once
    for each partition, those of one run together.
    """
    after, told = dict(failing), []
    for asset, check in _checks(run):
        name = f"{asset.name} {check.name}"
        outcomes = check.found or {run.partition or "": "passed" if check.passed else check.severity}
        for hour in (hour for hour, outcome in outcomes.items() if outcome == "passed"):
            after.pop(f"{name} {hour}".strip(), None)
        if check.passed:
            after.pop(name, None)
        failed = [hour for hour, outcome in outcomes.items() if outcome == "error"]
        places = {f"{name} {hour}".strip(): hour for hour in failed}
        if not failed and not check.passed:
            places = {name: next(hour for hour, outcome in outcomes.items() if outcome == "warn")}
        if new := [place for place in places if place not in after]:
            after |= dict.fromkeys(new, run.run_id)
            told.append(_check_failure(run, asset, check, new[0], [places[place] for place in new], data_sets))
    return told, dict(list(after.items())[-MOST_REMEMBERED:])


def _checks(run: RunWork) -> Iterator[tuple[AssetWork, CheckWork]]:
    for asset in run.assets:
        for check in asset.checks.values():
            if check.name not in _TOLD_OTHERWISE:
                yield asset, check


def _check_failure(
    run: RunWork, asset: AssetWork, check: CheckWork, place: str, hours: list[str], data_sets: DataSets
) -> Failure:
    of = f" of {hours[0]}" if hours[0] else ""
    more = f" and {len(hours) - 1} more" if len(hours) > 1 else ""
    warns = "failed" if _is_error(check) else "warns"
    return Failure(
        "failed_check",
        f"{place} {run.run_id}",
        run.ended or run.asked,
        data_sets(asset.key),
        f"the check {check.name} of {asset.name}{of}{more} {warns}, in run {run.run_id[:8]}",
        f"see Dagster, Assets, {asset.name}, Checks: what it found and the rows; docs/operations.md says what to do",
    )


def _is_error(check: CheckWork) -> bool:
    return not check.passed and check.severity == "error"


def _error_class(error: str | None) -> str:
    """The class of an error alone: its message may quote data."""
    found = _CLASS.match(error or "")
    return found[0] if found else "its process ended"
