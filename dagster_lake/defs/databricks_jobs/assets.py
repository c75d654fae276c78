"""Existing Databricks jobs as assets: materialising one runs its job, or a sensor reports the runs of others."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_lake import clock
from dagster_lake.defs.databricks_jobs.file import Job, jobs_of
from dagster_lake.defs.partitions import hourly, hours_of, is_hour_of_lake
from dagster_lake.lake_resource import LakeResource

if TYPE_CHECKING:
    from databricks.sdk.service.jobs import BaseRun, Run

_DAY_MS = 24 * 3600 * 1000
_OVERLAP_MS = 10 * 60 * 1000
"""A run may show up in the list some time after it ended."""


def databricks_job_assets(jobs: Iterable[Job] | None = None) -> list[dg.AssetsDefinition | dg.AssetSpec]:
    """The assets of ``jobs``, by default of databricks_jobs.yaml; none when there is no such file."""
    found: list[dg.AssetsDefinition | dg.AssetSpec] = []
    for job in jobs_of() if jobs is None else jobs:
        if job.mode == "observe":
            found.extend(_specs(job, partitions_def=hourly if job.partitioned else None))
        else:
            found.append(_running(job))
    return found


def databricks_job_sensors(jobs: Iterable[Job] | None = None) -> list[dg.SensorDefinition]:
    """The sensor that watches the observed jobs, when there are any."""
    observed = [job for job in (jobs_of() if jobs is None else jobs) if job.mode == "observe"]
    return [_watching(observed)] if observed else []


def _specs(job: Job, **more: Any) -> list[dg.AssetSpec]:
    return [
        dg.AssetSpec(
            asset.key.split("/"),
            deps=[dg.AssetKey(dep.split("/")) for dep in job.deps],
            description=asset.description or f"Made by the Databricks {job.called}.",
            group_name=job.group,
            owners=list(job.owners),
            kinds={"databricks"},
            metadata={"databricks_job": job.name or str(job.id)},
            **more,
        )
        for asset in job.assets
    ]


# ---- run ----


def _running(job: Job) -> dg.AssetsDefinition:
    name = "databricks_job_" + hashlib.sha256(job.called.encode()).hexdigest()[:8]

    @dg.multi_asset(
        name=name,
        specs=_specs(job),
        partitions_def=hourly if job.partitioned else None,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def run_job(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[dg.MaterializeResult]:
        from dagster_lake.databricks.jobs import JobsWorkspace

        workspace = JobsWorkspace(lake.settings.databricks)
        job_id = job.id if job.id is not None else workspace.job_id(job.name or "")
        hours: list[str | None] = [*hours_of(context).keys] if job.partitioned else [None]
        runs = []
        for hour in hours:
            what = f"{job.called}, {hour}" if hour else job.called
            # The same attempt of the same step never starts a second run, whatever becomes of a connection.
            token = hashlib.sha256(f"{context.run_id} {name} {context.retry_number} {hour}".encode()).hexdigest()
            parameters = job.parameters_of(hour)
            runs.append(workspace.run_to_end(what, job_id, parameters, token, job.timeout_minutes, context.log.info))
        for spec in _specs(job):
            yield dg.MaterializeResult(asset_key=spec.key, metadata=_metadata(runs[-1], len(runs)))

    return run_job


def _metadata(run: "Run | BaseRun", runs: int = 1) -> dict[str, dg.MetadataValue]:
    from dagster_lake.databricks.jobs import state_of

    metadata: dict[str, dg.MetadataValue] = {
        "databricks_job_id": dg.MetadataValue.text(str(run.job_id)),
        "databricks_run_id": dg.MetadataValue.text(str(run.run_id)),
        "state": dg.MetadataValue.text(state_of(run)),
    }
    if run.run_page_url:
        metadata["databricks_url"] = dg.MetadataValue.url(run.run_page_url)
    if run.start_time and run.end_time:
        metadata["databricks_seconds"] = dg.MetadataValue.float((run.end_time - run.start_time) / 1000)
    if runs > 1:
        metadata["databricks_runs"] = dg.MetadataValue.int(runs)
    return metadata


# ---- observe ----


def _watching(jobs: list[Job]) -> dg.SensorDefinition:
    @dg.sensor(
        name="databricks_runs",
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Reports the runs of observed Databricks jobs, whoever started them, as materialisations.",
    )
    def databricks_runs(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
        from dagster_lake.databricks.jobs import JobsWorkspace

        workspace = JobsWorkspace(lake.settings.databricks)
        cursor: dict[str, Any] = json.loads(context.cursor or "{}")
        events: list[dg.AssetMaterialization | dg.AssetObservation] = []
        for job in jobs:
            seen = cursor.get(job.called, {"end": int(clock.utc_now().timestamp() * 1000) - _DAY_MS, "runs": []})
            job_id = job.id if job.id is not None else workspace.job_id(job.name or "")
            # A run is listed by its start, and may have taken as long as a job is allowed to.
            started_after = seen["end"] - _OVERLAP_MS - int(job.timeout_minutes * 60_000)
            listed = workspace.completed_runs(job_id, started_after)
            recent = [run for run in listed if (run.end_time or 0) > seen["end"] - _OVERLAP_MS]
            new = [run for run in recent if run.run_id not in seen["runs"]]
            for run in sorted(new, key=lambda run: run.end_time or 0):
                events.extend(_events(context, job, run))
            newest = max([seen["end"], *(run.end_time or 0 for run in recent)])
            kept = [run.run_id for run in recent if (run.end_time or 0) > newest - _OVERLAP_MS]
            cursor[job.called] = {"end": newest, "runs": kept}
        if not events:
            context.update_cursor(json.dumps(cursor))
            return dg.SkipReason("No observed job has run since the last look.")
        return dg.SensorResult(asset_events=events, cursor=json.dumps(cursor))

    return databricks_runs


def _events(
    context: dg.SensorEvaluationContext, job: Job, run: "BaseRun"
) -> Iterator[dg.AssetMaterialization | dg.AssetObservation]:
    from dagster_lake.databricks.jobs import state_of

    hour = None
    if job.partitioned:
        given = {parameter.name: parameter.value or parameter.default for parameter in run.job_parameters or []}
        hour = given.get(job.hour_parameter)
        if hour is None or not is_hour_of_lake(hour):
            context.log.warning(
                f"{job.called}: run {run.run_id} is left out: its parameter {job.hour_parameter} is {hour!r}, which is "
                "no lake hour such as 2026-01-05T12"
            )
            return
    # A failed run made nothing, but people look here for why there is nothing new.
    kind = dg.AssetMaterialization if state_of(run) == "SUCCESS" else dg.AssetObservation
    for spec in _specs(job):
        yield kind(asset_key=spec.key, partition=hour, metadata=_metadata(run))
