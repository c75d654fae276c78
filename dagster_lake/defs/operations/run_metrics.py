"""The sensors that tell of runs: they look at Dagster's history, so that a run that was killed is told of as well."""

from datetime import UTC, datetime

import dagster as dg

from dagster_lake.lake_resource import LakeResource
from dagster_lake.operations.telemetry.news import Cursor, runs_since
from dagster_lake.operations.telemetry.runs import FINISHED, read_run

LOOKS_SECONDS = 30
MOST_PRINTED = 20


@dg.sensor(
    name="run_metrics",
    minimum_interval_seconds=LOOKS_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Prints metrics of each run that has ended and of its assets as lines of JSON, with LAKE_METRICS=true.",
)
def run_metrics(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult:
    """Each line at least once: the cursor moves when they are printed. Switched off, it moves all the same."""
    now = Cursor(datetime.now(UTC))
    if not lake.settings.metrics:
        return dg.SensorResult(
            skip_reason="Metrics are not printed; LAKE_METRICS=true turns it on.", cursor=now.write()
        )
    from dagster_lake.operations.telemetry.metrics import lines
    from dagster_lake.operations.telemetry.secret_values import masker

    records, cursor = runs_since(context.instance, Cursor.read(context.cursor) or now, FINISHED, MOST_PRINTED)
    masked = masker()
    for record in records:
        for line in lines(read_run(context.instance, record)):
            print(masked(line), flush=True)
    told = ", ".join(record.dagster_run.run_id[:8] for record in records)
    return dg.SensorResult(skip_reason=f"Metrics of runs printed: {told or 'none'}.", cursor=cursor.write())
