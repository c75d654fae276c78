"""The table of contents: everything Dagster knows of the lake."""

import dagster as dg

from dagster_lake.assets.contracts import contract_assets
from dagster_lake.assets.databricks_jobs import databricks_job_assets, databricks_job_sensors
from dagster_lake.assets.dbt import dbt_assets
from dagster_lake.assets.reports import engagement_report
from dagster_lake.assets.sources import source_assets
from dagster_lake.automation import jobs, schedules, sensors
from dagster_lake.checks import contract_checks
from dagster_lake.resources.adls import adls_resources
from dagster_lake.resources.lake import LakeResource

defs = dg.Definitions(
    assets=[*source_assets(), *contract_assets(), *dbt_assets(), engagement_report, *databricks_job_assets()],
    asset_checks=contract_checks(),
    jobs=jobs,
    schedules=schedules,
    sensors=[*sensors, *databricks_job_sensors()],
    resources={"lake": LakeResource(), **adls_resources()},
    executor=dg.in_process_executor,
)
