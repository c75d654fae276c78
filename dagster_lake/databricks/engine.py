"""The remote engine: each step is submitted to Databricks and runs there, by this very package, on SparkEngine."""

import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dagster_lake.compile.silver import uses_masking_key
from dagster_lake.contract.model import Contract, own_texts
from dagster_lake.databricks.compute import cost
from dagster_lake.databricks.failures import has_ended, is_ending, may_do_better, story, was_cancelled
from dagster_lake.databricks.pipes import StepFolder, current_context
from dagster_lake.databricks.remote.document import Work, read_result, written
from dagster_lake.databricks.runs import OwnRuns, Runs, SharedRun
from dagster_lake.databricks.workspace import Workspace, WorkspaceError
from dagster_lake.engines.landed import LandedPartition
from dagster_lake.engines.raw_files import landed_partitions
from dagster_lake.engines.step import Check, Step, StepResult
from dagster_lake.errors import LakeError
from dagster_lake.privacy.masking_keys import require_registered
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake

if TYPE_CHECKING:
    from databricks.sdk.service.jobs import Run

log = logging.getLogger(__name__)
MOST_LANDINGS = 3
SECONDS_TO_CANCEL = 60.0


class RemoteStepError(LakeError):
    """A step that failed on Databricks, or could not be run there; ``error_type`` is the remote exception's name."""

    def __init__(self, message: str, error_type: str | None = None) -> None:
        super().__init__(message)
        self.error_type = error_type


class _ComputeLost(Exception):
    """The run ended without a word from the step, for a reason that may pass."""


class DatabricksEngine:
    """Runs steps on Databricks; their logs appear in Dagster as they are written.

    Raises RemoteStepError when a step fails there, and WorkspaceError when the workspace cannot be used.
    """

    name = "databricks"

    def __init__(self, lake: Lake, contracts: dict[str, Contract], settings: Settings) -> None:
        if settings.databricks.volume is None:
            raise WorkspaceError(
                "LAKE_ENGINE=databricks needs LAKE_DATABRICKS_VOLUME, a Unity Catalog volume for the wheel and the "
                "steps' messages: /Volumes/catalog/schema/volume"
            )
        self.lake = lake
        self.contracts = contracts
        self.settings = settings
        self.root = settings.databricks.volume
        self.workspace = Workspace(settings.databricks)

    def run(self, step: Step) -> StepResult:
        """Runs ``step``; see Step for what each layer does.

        Bronze is told what raw holds. When raw has moved on by the time that it is written, it is written again: a
        landing and its bronze may have overtaken it, and what it wrote may be older than theirs.
        """
        contract = self.contracts[step.data_set]
        partitions = sorted(step.partitions)
        for _ in range(MOST_LANDINGS):
            landed = self._landed(contract, partitions) if step.layer == "bronze" else ()
            result, extra = self._remote(self._work(replace(step, partitions=tuple(partitions)), landed))
            assert isinstance(result, StepResult)
            if step.layer != "bronze" or landed == self._landed(contract, partitions):
                return replace(result, extra=extra)
            self._say(f"raw of {contract.name} changed while bronze was made of it; making it again")
        raise RemoteStepError(
            f"bronze of {contract.name}: raw changed {MOST_LANDINGS} times while it was made; materialise it again "
            "when its landing has ended"
        )

    def check(self, check: Check) -> dict[str, dict[str, int]]:
        """How many rows break each of the named checks, by partition; one without any is left out."""
        result, _ = self._remote(self._work(check, ()))
        assert isinstance(result, dict)
        return result

    def close(self) -> None:
        """Ends the compute that waits for further steps."""
        try:
            self._runs.close()
        except WorkspaceError as error:  # the steps are done all the same
            log.warning("the worker on Databricks was not told to end, and will when it is idle: %s", error)

    def _landed(self, contract: Contract, partitions: list[str]) -> tuple[LandedPartition, ...]:
        return tuple(landed_partitions(self.lake, contract, partitions))

    def _work(self, task: Step | Check, landed: tuple[LandedPartition, ...]) -> Work:
        own, key_id = self.settings.databricks, self.settings.pii_key_id
        masks = isinstance(task, Step) and task.layer == "silver" and uses_masking_key(self.contracts[task.data_set])
        if masks and key_id:  # where the key is, the step cannot see the lake's list
            require_registered(self.lake, key_id)
        return Work(
            root=str(self.lake.root),
            task=task,
            landed=landed,
            catalog=self.settings.catalog,
            key_id=self.settings.pii_key_id,
            secret_scope=own.secret_scope,
            secret_key=own.secret_key if own.secret_scope else None,
            contracts=own_texts(),
        )

    @cached_property
    def _runs(self) -> Runs:
        if self.settings.databricks.compute == "serverless":
            return OwnRuns(self.workspace, self.root)
        context = current_context()
        return SharedRun(self.workspace, self.root, context.run_id if context else uuid.uuid4().hex)

    def _remote(self, work: Work) -> tuple[StepResult | dict[str, dict[str, int]], Mapping[str, str | float]]:
        attempts = self.settings.databricks.attempts
        for attempt in range(1, attempts + 1):
            try:
                return self._attempt(work)
            except _ComputeLost as lost:
                if attempt == attempts:
                    raise RemoteStepError(
                        f"{work.name} got no compute that lasted, in {attempts} attempts; the last: {lost}. Try again "
                        "later, or set another LAKE_DATABRICKS_NODE_TYPE, a pool, or LAKE_DATABRICKS_COMPUTE=serverless"
                    ) from None
                self._say(f"{work.name}: {lost}. Trying again ({attempt} of {attempts - 1})")
                self.workspace.pause(attempt)
        raise AssertionError("attempts is at least 1")

    def _attempt(self, work: Work) -> tuple[StepResult | dict[str, dict[str, int]], Mapping[str, str | float]]:
        """Runs the work once. Raises _ComputeLost when another attempt may do better."""
        started = time.monotonic()
        folder = StepFolder(self.workspace, f"{self.root}/steps")
        with folder.session(current_context(), {"work": written(work)}) as arguments:
            run_id = self._runs.start(work.name, arguments, uuid.uuid4().hex)
            run = self._wait(work, run_id, folder)
        if folder.error is not None:
            error_type, message = folder.error.get("name"), _last_line(folder.error)
            raise RemoteStepError(f"{work.name} failed on Databricks: {message} ({run.run_page_url})", error_type)
        if folder.result is None:
            raise RemoteStepError(f"{work.name} ended on Databricks without a result; see {run.run_page_url}")
        seconds = time.monotonic() - started
        extra: dict[str, str | float] = {
            "databricks_run_id": str(run_id),
            "databricks_url": run.run_page_url or "",
            "databricks_compute": self.settings.databricks.compute,
            "databricks_seconds": round(seconds, 3),
            **cost(self.settings.databricks, seconds, run_id),
        }
        return read_result(folder.result), extra

    def _wait(self, work: Work, run_id: int, folder: StepFolder) -> "Run":
        """Waits until the step has said how it ended. Whatever stops the waiting cancels the run."""
        try:
            return self._until_closed(work, run_id, folder)
        except (_ComputeLost, RemoteStepError):
            raise  # the run has ended, or was cancelled
        except BaseException:  # Dagster's run was terminated, or the workspace does not answer
            self._cancel(run_id)
            raise

    def _until_closed(self, work: Work, run_id: int, folder: StepFolder) -> "Run":
        own = self.settings.databricks
        deadline = time.monotonic() + own.timeout_minutes * 60
        told = ""
        while True:
            run = self.workspace.run(run_id)
            folder.pull()  # after the look: what a run that has ended had to say is all there
            if folder.closed:
                if folder.error is not None and own.compute == "serverless":
                    self._cancel(run_id)  # or Databricks starts a failed task again, and nobody watches it
                return run
            if has_ended(run):
                self._refuse(work, run, folder)
            state = f"Databricks run {run_id} is {_state(run)}"
            if state != told:
                self._say(f"{state}: {run.run_page_url}" if not told else state)
                told = state
            if time.monotonic() > deadline:
                self._cancel(run_id)
                raise RemoteStepError(
                    f"{work.name} took longer than {own.timeout_minutes:g} minutes on Databricks and was cancelled "
                    f"({run.run_page_url}); look there for what it waited for, or raise LAKE_DATABRICKS_TIMEOUT_MINUTES"
                )
            time.sleep(own.poll_seconds)

    def _refuse(self, work: Work, run: "Run", folder: StepFolder) -> None:
        """Raises what a run that ended too early comes to."""
        told = f"{story(run, self.workspace.output(run))} ({run.run_page_url})"
        if may_do_better(run, had_started=folder.started):
            raise _ComputeLost(f"run {run.run_id} was lost: {told}")
        if was_cancelled(run):
            raise RemoteStepError(f"{work.name} was cancelled on Databricks: {told}. Materialise it again when ready")
        raise RemoteStepError(f"{work.name} could not run on Databricks: {told}. docs/databricks.md lists usual causes")

    def _cancel(self, run_id: int) -> None:
        """Cancels the run and waits until its task has stopped: it must not write behind the next one's back."""
        self._say(f"cancelling Databricks run {run_id}")
        try:
            self.workspace.cancel(run_id)
            deadline = time.monotonic() + SECONDS_TO_CANCEL
            while not is_ending(self.workspace.run(run_id)) and time.monotonic() < deadline:
                time.sleep(min(self.settings.databricks.poll_seconds, 1))
        except Exception as error:  # what stopped the waiting is what the caller is to hear of
            self._say(f"Databricks run {run_id} could not be cancelled, do so by hand: {error}")

    def _say(self, line: str) -> None:
        context = current_context()
        (context.log if context else log).info(line)


def _state(run: "Run") -> str:
    return run.state.life_cycle_state.value.lower() if run.state and run.state.life_cycle_state else "unknown"


def _last_line(error: dict[str, Any]) -> str:
    """The exception without the traceback and without the module of its class."""
    text = str(error.get("message") or error.get("name") or "").strip()
    kind, colon, rest = text.partition(": ")
    return f"{kind.rpartition('.')[2]}{colon}{rest}"
