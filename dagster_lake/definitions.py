"""The table of contents: everything Dagster knows of the lake."""

import dagster as dg

from dagster_lake.dbt_runner.manifest import manifest
from dagster_lake.defs.adls import adls_resources
from dagster_lake.defs.contracts.acceptance import accepted_checks
from dagster_lake.defs.contracts.assets import contract_assets
from dagster_lake.defs.contracts.checks import contract_checks
from dagster_lake.defs.contracts.database_checks import database_checks
from dagster_lake.defs.contracts.freshness_checks import freshness_checks
from dagster_lake.defs.contracts.landing_checks import landing_checks
from dagster_lake.defs.contracts.reconciliation import reconciliation_assets
from dagster_lake.defs.databricks_jobs.assets import databricks_job_assets, databricks_job_sensors
from dagster_lake.defs.dbt.assets import dbt_assets
from dagster_lake.defs.operations.failures_told import failures_told_sensor
from dagster_lake.defs.operations.lake_status import lake_status_asset
from dagster_lake.defs.operations.old_runs import forget_old_runs, old_runs_job
from dagster_lake.defs.operations.run_lineage import run_lineage_sensor
from dagster_lake.defs.operations.run_metrics import run_metrics
from dagster_lake.defs.reports import report_assets
from dagster_lake.defs.schedules import jobs, schedules, sensors
from dagster_lake.defs.shop import source_assets
from dagster_lake.defs.streams.alert_checks import alert_checks
from dagster_lake.defs.streams.alert_notices import alert_notices_assets
from dagster_lake.defs.streams.near_real_time import events_arriving, near_real_time_job
from dagster_lake.defs.streams.reference_data import reference_data_assets
from dagster_lake.defs.streams.sinks import sink_assets
from dagster_lake.defs.streams.stream_analytics import computed_there, stream_analytics_assets, stream_analytics_checks
from dagster_lake.defs.streams.tidy_tables import tidy_job, tidy_tables
from dagster_lake.lake_resource import LakeResource
from dagster_lake.streams.alerts.kinds import alert_kinds
from dagster_lake.streams.declarations import stream_declarations
from dagster_lake.streams.sinks.sink import sinks_of

streams = stream_declarations(manifest()).values()
alerts = alert_kinds(streams)
beside = computed_there(streams)


def _definitions() -> dg.Definitions:
    """For what looks at the whole graph that it is part of; asked for when it looks."""
    return defs


failures_told = failures_told_sensor(_definitions)
run_lineage = run_lineage_sensor(_definitions)

sources = source_assets()

defs = dg.Definitions(
    assets=[
        *sources,
        *contract_assets([key for source in sources for key in source.keys]),
        *reconciliation_assets(),
        *dbt_assets(),
        *alert_notices_assets(alerts),
        *sink_assets(sinks_of(streams)),
        *reference_data_assets(beside),
        *stream_analytics_assets(beside),
        *report_assets(),
        lake_status_asset(_definitions),
        *databricks_job_assets(),
    ],
    asset_checks=[
        *contract_checks(),
        *database_checks(),
        *accepted_checks(),
        *alert_checks(alerts),
        freshness_checks(),
        *landing_checks(),
        *stream_analytics_checks(beside),
    ],
    jobs=[*jobs, near_real_time_job, old_runs_job, tidy_job],
    schedules=[*schedules, forget_old_runs, tidy_tables],
    sensors=[*sensors, failures_told, events_arriving, run_metrics, run_lineage, *databricks_job_sensors()],
    resources={"lake": LakeResource(), **adls_resources()},
    executor=dg.in_process_executor,
)
