"""OpenLineage events of a run: of the run itself, of each asset that it made, and of each asset that it checked.

An asset is a job of its own, whichever Dagster job it was made by: who looks for what writes a table finds one answer.
Ids are worked out from the id of Dagster's run, so that an event that is sent twice is the same event.
"""

import os
import uuid
from collections.abc import Iterator
from datetime import datetime
from importlib.metadata import version

import dagster as dg
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState, set_producer
from openlineage.client.facet_v2 import RunFacet, documentation_job, job_type_job

from dagster_lake.operations.lineage.datasets import Names
from dagster_lake.operations.lineage.facets import child_of, input_dataset, output_dataset, run_facets
from dagster_lake.operations.telemetry.runs import AssetWork, RunWork

_AD_HOC = {"__ASSET_JOB": "ad_hoc"}
"""What Dagster calls a run of assets that somebody chose by hand."""


class RunEvents:
    """Makes the events of runs. ``namespace`` of the jobs is OPENLINEAGE_NAMESPACE, ``dagster_lake`` without it."""

    def __init__(self, definitions: dg.Definitions, names: Names) -> None:
        self.graph = definitions.resolve_asset_graph()
        self.names = names
        self.namespace = os.environ.get("OPENLINEAGE_NAMESPACE", "dagster_lake")
        self.producer = f"urn:dagster-lake:{version('dagster-lake')}"
        set_producer(self.producer)  # of facets

    def of(self, run: RunWork) -> Iterator[RunEvent]:
        """The events of a run so far, in order: only its START while it is under way.

        A step that has not ended when the run has, because somebody killed it, ends with the run.
        """
        job = self._job(_AD_HOC.get(run.job, run.job), "JOB", None)
        yield self._event(RunState.START, run.started or run.asked, Run(run.run_id, run_facets(run, None)), job)
        if run.ended is None:
            return
        for asset in run.assets:
            if asset.started is not None:
                yield from self._asset_events(run, asset, run.ended)
            if asset.checks:
                yield from self._check_events(run, asset, run.ended)
        state = {
            dg.DagsterRunStatus.SUCCESS: RunState.COMPLETE,
            dg.DagsterRunStatus.CANCELED: RunState.ABORT,
        }.get(run.status, RunState.FAIL)
        yield self._event(state, run.ended, Run(run.run_id, run_facets(run, run.error)), job)

    def _asset_events(self, run: RunWork, asset: AssetWork, ended: datetime) -> Iterator[RunEvent]:
        assert asset.started is not None
        name = ".".join(asset.key.path)
        node = self.graph.get(asset.key) if self.graph.has(asset.key) else None
        job = self._job(name, "ASSET", node.description if node else None)
        inputs = self._inputs(asset.key)
        outputs = [output_dataset(asset, node, self.names)] if node else []
        yield self._event(RunState.START, asset.started, self._child(run, name, None), job, inputs)
        if asset.made is not None:
            yield self._event(RunState.COMPLETE, asset.made, self._child(run, name, None), job, inputs, outputs)
        elif run.status == dg.DagsterRunStatus.FAILURE:
            error = asset.error or run.error
            yield self._event(RunState.FAIL, ended, self._child(run, name, error), job, inputs)
        else:  # cancelled, or left out by its step
            yield self._event(RunState.ABORT, ended, self._child(run, name, None), job, inputs)

    def _check_events(self, run: RunWork, asset: AssetWork, ended: datetime) -> Iterator[RunEvent]:
        """Checks read: OpenLineage says what came of them of an input. That one failed is no failure of checking."""
        name = f"{'.'.join(asset.key.path)}.checks"
        job = self._job(name, "CHECK", f"Checks of {asset.name}.")
        inputs = [input_dataset(self.names.of(asset.key), list(asset.checks.values()))]
        since = asset.made or asset.started or run.started or run.asked
        yield self._event(RunState.START, since, self._child(run, name, None), job)
        yield self._event(RunState.COMPLETE, ended, self._child(run, name, None), job, inputs)

    def _inputs(self, key: dg.AssetKey) -> list[InputDataset]:
        upstream = self.graph.get(key).parent_keys if self.graph.has(key) else set()
        read = {self.names.of(parent) for parent in upstream} | {self.names.landed_by(key)} - {None}
        ordered = sorted((name for name in read if name is not None), key=lambda name: (name.namespace, name.name))
        return [input_dataset(name, []) for name in ordered]

    def _child(self, run: RunWork, name: str, error: str | None) -> Run:
        parent = child_of(run.run_id, self.namespace, _AD_HOC.get(run.job, run.job))
        facets: dict[str, RunFacet] = {**run_facets(run, error), "parent": parent}
        return Run(str(uuid.uuid5(uuid.UUID(run.run_id), name)), facets)

    def _job(self, name: str, kind: str, description: str | None) -> Job:
        job_type = job_type_job.JobTypeJobFacet(processingType="BATCH", integration="DAGSTER", jobType=kind)
        job = Job(self.namespace, name, {"jobType": job_type})
        if description and job.facets is not None:
            job.facets["documentation"] = documentation_job.DocumentationJobFacet(description=description)
        return job

    def _event(
        self,
        state: RunState,
        at: datetime,
        run: Run,
        job: Job,
        inputs: list[InputDataset] | None = None,
        outputs: list[OutputDataset] | None = None,
    ) -> RunEvent:
        return RunEvent(
            eventType=state,
            eventTime=at.isoformat(),
            run=run,
            job=job,
            inputs=inputs or [],
            outputs=outputs or [],
            producer=self.producer,
        )
