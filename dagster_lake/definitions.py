"""The table of contents: everything Dagster knows of the lake."""

import dagster as dg

from dagster_lake.alert_checks import alert_checks
from dagster_lake.alerts.kinds import alert_kinds
from dagster_lake.assets.acceptance import accepted_checks
from dagster_lake.assets.alert_notices import alert_notices_assets
from dagster_lake.assets.contracts import contract_assets
from dagster_lake.assets.databricks_jobs import databricks_job_assets, databricks_job_sensors
from dagster_lake.assets.dbt import dbt_assets
from dagster_lake.assets.lake_status import lake_status_asset
from dagster_lake.assets.reconciliation import reconciliation_assets
from dagster_lake.assets.reference_data import reference_data_assets
from dagster_lake.assets.reports import report_assets
from dagster_lake.assets.sinks import sink_assets
from dagster_lake.assets.sources import source_assets
from dagster_lake.automation import jobs, schedules, sensors
from dagster_lake.checks import contract_checks
from dagster_lake.database_checks import database_checks
from dagster_lake.failures.sensor import failures_told_sensor
from dagster_lake.freshness_checks import freshness_checks
from dagster_lake.landing_checks import landing_checks
from dagster_lake.lineage.sensor import run_lineage_sensor
from dagster_lake.near_real_time import events_arriving, near_real_time_job
from dagster_lake.old_runs import forget_old_runs, old_runs_job
from dagster_lake.resources.adls import adls_resources
from dagster_lake.resources.dbt_manifest import manifest
from dagster_lake.resources.lake import LakeResource
from dagster_lake.sinks.sink import sinks_of
from dagster_lake.stream_analytics import computed_there, stream_analytics_assets, stream_analytics_checks
from dagster_lake.stream_declarations import stream_declarations
from dagster_lake.telemetry.sensors import run_metrics
from dagster_lake.tidy_tables import tidy_job, tidy_tables

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
