"""The sensor that tells of failures: it looks at Dagster's history, so that it tells of a run that was killed, too."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import dagster as dg

from dagster_lake import clock
from dagster_lake.lake_resource import LakeResource
from dagster_lake.operations.telemetry.news import Cursor as RunsSeen
from dagster_lake.operations.telemetry.news import runs_since
from dagster_lake.operations.telemetry.runs import read_run
from dagster_lake.streams.alerts.outbox import Versions

NAME = "failures_told"
LOOKS_SECONDS = 60
MOST_RUNS = 10
"""Runs in one look, which the daemon gives up after a minute; the next one finds the rest."""
SENDING_SECONDS = 15.0
_ENDED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE)


@dataclass(frozen=True)
class Cursor:
    """Which runs were seen, which checks are failing, since which run, which failures stood at the last look, and at
    which versions of the outbox nothing waited."""

    runs: RunsSeen
    failing: Mapping[str, str] = field(default_factory=dict)
    standing: Collection[str] = ()
    quiet: Versions | None = None

    @classmethod
    def read(cls, text: str | None) -> "Cursor | None":
        """The cursor as ``write`` gave it; None for none. Raises ValueError for any other text."""
        if not text:
            return None
        try:
            document = json.loads(text)
            seen = RunsSeen.read(document["runs"])
            assert seen is not None
            failing = {str(check): str(run) for check, run in document["failing"].items()}
            quiet = document["quiet"]
            return cls(seen, failing, tuple(map(str, document["standing"])), quiet and (quiet[0], quiet[1]))
        except (ValueError, LookupError, TypeError, AttributeError, AssertionError):
            raise ValueError(
                f"the cursor of {NAME} is none that it wrote; reset it in the UI: Automation, {NAME}, Reset cursor"
            ) from None

    def write(self) -> str:
        """The cursor as text."""
        return json.dumps(
            {
                "runs": self.runs.write(),
                "failing": dict(self.failing),
                "standing": [*self.standing],
                "quiet": self.quiet,
            }
        )


def failures_told_sensor(definitions: Callable[[], dg.Definitions]) -> dg.SensorDefinition:
    """The sensor ``failures_told``; ``definitions`` gives the ones that it is part of, when it looks."""

    @dg.sensor(
        name=NAME,
        minimum_interval_seconds=LOOKS_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells the owners of failed runs and checks, dead sensors, missed hours and data that stopped "
        "coming, once each; writes a page for each failed run into the lake's notices folder; sends what channels did "
        "not take.",
    )
    def failures_told(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult:
        return _tell(context, lake, definitions())

    return failures_told


def _tell(context: dg.SensorEvaluationContext, lake: LakeResource, definitions: dg.Definitions) -> dg.SensorResult:
    """Each failure at least once, and by its id not twice: the cursor moves when all were noted."""
    from dagster_lake.operations.failure_notice import write_notice
    from dagster_lake.operations.failures.data_sets import data_sets_by
    from dagster_lake.operations.failures.of_runs import check_failures, first_of_its_cause, run_failure
    from dagster_lake.operations.failures.standing import standing
    from dagster_lake.operations.failures.tell import tell_failures
    from dagster_lake.streams.alerts.sender import Sender

    cursor = Cursor.read(context.cursor) or Cursor(RunsSeen(datetime.now(UTC)))
    records, seen = runs_since(context.instance, cursor.runs, _ENDED, MOST_RUNS)
    stand = standing(lake.lake, context.instance, clock.utc_now(), context.log.warning, outside=False)
    failures = [failure for failure in stand if failure.key not in cursor.standing]
    failing = {**cursor.failing}
    data_sets = data_sets_by(definitions)
    for record in records:
        run = read_run(context.instance, record)
        found, failing = check_failures(run, failing, data_sets)
        failures += found
        if run.status == dg.DagsterRunStatus.FAILURE:
            write_notice(lake.lake, context.instance, record.dagster_run)
        failed, failing = first_of_its_cause(run, run_failure(run, data_sets), failing)
        if failed is not None:
            failures.append(failed)
    name = f"{NAME} {datetime.now(UTC).isoformat()}"
    noted = tell_failures(lake.lake, lake.settings, failures, name, context.log.warning)
    sender = Sender(lake.lake, lake.settings, name, context.log.warning, cursor.quiet)
    sent = sender.send(seconds=SENDING_SECONDS)
    new = sum(noted.states.values())
    return dg.SensorResult(
        skip_reason=f"{len(records)} runs seen; {new} failures are new; {sent.alerts} were sent.",
        cursor=Cursor(seen, failing, [failure.key for failure in stand], sender.quiet).write(),
    )
