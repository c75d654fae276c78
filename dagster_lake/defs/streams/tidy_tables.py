"""Once an hour, the files go that the runs of ``near_real_time`` have replaced. ``lake stream`` does so by itself."""

import dagster as dg

from dagster_lake.contract.model import EventHubSource, contracts
from dagster_lake.lake_resource import LakeResource
from dagster_lake.streams.declarations import stream_declarations
from dagster_lake.streams.sinks.sink import sinks_of


@dg.op(description="Deletes files of tables of events that were replaced an hour ago, and joins small ones.")
def tidy(context: dg.OpExecutionContext, lake: LakeResource) -> None:
    """Tidies; what could not be is warned of and tidied the next time. Tables of Spark have an upkeep of their own."""
    from dagster_lake.dbt_runner.manifest import manifest
    from dagster_lake.live.tidy import tidied, written_live

    if lake.settings.engine != "duckdb":
        return
    events = [contract for contract in contracts().values() if isinstance(contract.source, EventHubSource)]
    followed = {sink.table(lake.lake) for sink in sinks_of(stream_declarations(manifest()).values())}
    for table, failure in tidied(written_live(lake.lake, events), followed):
        if failure is not None:
            context.log.warning(f"{table} is left as it is: {type(failure).__name__}: {failure}")


@dg.job(executor_def=dg.in_process_executor, description="Deletes replaced files of tables of events; no row changes.")
def tidy_job() -> None:
    """See ``tidy``."""
    tidy()


tidy_tables = dg.ScheduleDefinition(
    name="tidy_tables",
    job=tidy_job,
    cron_schedule="50 * * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="At minute 50: deletes files of tables of events that were replaced more than an hour ago.",
)
