"""The sensor that sends lineage: from Dagster's history, so that of a run that was killed the end is sent as well."""

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg

from dagster_lake.lake_resource import LakeResource
from dagster_lake.operations.telemetry.news import Cursor, runs_since
from dagster_lake.operations.telemetry.runs import FINISHED, read_run

LOOKS_SECONDS = 30
MOST_SENT = 4
"""Runs in one look: a whole hour's run is some two hundred events, and the daemon gives a look up after a minute."""


def run_lineage_sensor(definitions: Callable[[], dg.Definitions]) -> dg.SensorDefinition:
    """The sensor ``run_lineage``; ``definitions`` gives the ones that it is part of, when it looks."""

    @dg.sensor(
        name="run_lineage",
        minimum_interval_seconds=LOOKS_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Sends OpenLineage events of each run that has begun or ended, where OPENLINEAGE_URL or "
        "OPENLINEAGE_CONFIG says where to.",
    )
    def run_lineage(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult:
        return _send(context, lake, definitions)

    return run_lineage


def _send(
    context: dg.SensorEvaluationContext, lake: LakeResource, definitions: Callable[[], dg.Definitions]
) -> dg.SensorResult:
    """Each event at least once: the cursor moves when all were taken, and a failed look is repeated as it was.

    Raises LineageError, which the UI shows, when a receiver does not take them. Not configured, nothing is saved up.
    """
    from dagster_lake.operations.lineage.emit import NOT_CONFIGURED, is_configured, require_library, send

    now = Cursor(datetime.now(UTC))
    if not is_configured():
        return dg.SensorResult(skip_reason=NOT_CONFIGURED, cursor=now.write())
    require_library()
    from dagster_lake.operations.lineage.datasets import Names
    from dagster_lake.operations.lineage.events import RunEvents

    statuses = [dg.DagsterRunStatus.STARTED, *FINISHED]
    records, cursor = runs_since(context.instance, Cursor.read(context.cursor) or now, statuses, MOST_SENT)
    events = RunEvents(definitions(), Names(lake.lake, lake.settings, lake.contracts))
    sent = send(event for record in records for event in events.of(read_run(context.instance, record)))
    return dg.SensorResult(skip_reason=f"{sent} events of {len(records)} runs were sent.", cursor=cursor.write())
