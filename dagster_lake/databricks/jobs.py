"""Jobs that exist in a Databricks workspace: finding them, running them to their end, and seeing what ran."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from dagster_lake.databricks.failures import has_ended, is_ending, story
from dagster_lake.databricks.workspace import Workspace, WorkspaceError
from dagster_lake.errors import LakeError

if TYPE_CHECKING:
    from databricks.sdk.service.jobs import BaseRun, Run

SLOWEST = 10
"""A run that takes long is looked at ever less often, down to once in this many poll intervals."""

_SECONDS_TO_CANCEL = 60.0


class JobRunError(LakeError):
    """A job's run that did not succeed; the message says why, where to look and what to do."""


class JobsWorkspace(Workspace):
    """A workspace with the jobs in it."""

    def job_id(self, name: str) -> int:
        """The id of the job ``name``. Raises WorkspaceError when none, or more than one, is called so."""
        found = self._patiently("list jobs", lambda: list(self.client.jobs.list(name=name)))
        ids = [job.job_id for job in found if job.job_id is not None]
        if not ids:
            raise WorkspaceError(
                f"{self.client.config.host} shows us no job named {name!r}: mend the name (the bundle's target dev "
                "puts a prefix before it), or have us granted CAN_MANAGE_RUN on it, without which it is not shown"
            )
        if len(ids) > 1:
            raise WorkspaceError(f"{len(ids)} jobs are named {name!r}: say which by id: {', '.join(map(str, ids))}")
        return ids[0]

    def run_now(self, job_id: int, parameters: Mapping[str, str], token: str) -> int:
        """Starts the job, or finds the run that ``token`` started before; gives the run's id."""
        from databricks.sdk.errors import NotFound

        try:
            return self._patiently(
                "run a job",
                lambda: self.client.jobs.run_now(
                    job_id, idempotency_token=token, job_parameters=dict(parameters) or None
                ).bind()["run_id"],
            )
        except (NotFound, WorkspaceError) as error:  # Databricks calls an unknown job now the one, now a bad request
            if "does not exist" not in str(error):
                raise
            raise WorkspaceError(
                f"{self.client.config.host} has no job {job_id}; mend its id, as in the job's address there"
            ) from error

    def completed_runs(self, job_id: int, started_after_ms: int) -> "list[BaseRun]":
        """The job's runs that have ended, of those started after that time."""
        return self._patiently(
            "list runs",
            lambda: list(
                self.client.jobs.list_runs(job_id=job_id, completed_only=True, start_time_from=started_after_ms)
            ),
        )

    def run_to_end(
        self,
        what: str,
        job_id: int,
        parameters: Mapping[str, str],
        token: str,
        timeout_minutes: float,
        say: Callable[[str], None],
    ) -> "Run":
        """Runs the job and gives its run when it has succeeded; ``say`` gets a line when its state changes.

        Whatever stops the waiting cancels the run. Raises JobRunError when it did not succeed in time.
        """
        run_id = self.run_now(job_id, parameters, token)
        try:
            run = self._until_ended(what, run_id, timeout_minutes, say)
        except BaseException:  # Dagster's run was terminated, time ran out, or the workspace does not answer
            say(f"cancelling Databricks run {run_id}")
            self._end(run_id, say)
            raise
        if state_of(run) != "SUCCESS":
            raise JobRunError(
                f"{what} did not succeed: {story(run, self.output(run))} ({run.run_page_url}). Mend the cause there "
                "and materialise the asset again; a repair run started there is not seen here"
            )
        return run

    def _until_ended(self, what: str, run_id: int, timeout_minutes: float, say: Callable[[str], None]) -> "Run":
        deadline = time.monotonic() + timeout_minutes * 60
        pause, told = self.settings.poll_seconds, ""
        while True:
            run = self.run(run_id)
            if (state := state_of(run)) != told:
                say(f"{what}: Databricks run {run_id} is {state.lower()}: {run.run_page_url}")
                told = state
            if has_ended(run):
                return run
            if time.monotonic() > deadline:
                raise JobRunError(
                    f"{what} took longer than {timeout_minutes:g} minutes and was cancelled ({run.run_page_url}); look "
                    "there for what it waited for, or raise its timeout_minutes in databricks_jobs.yaml"
                )
            time.sleep(pause)
            pause = min(pause * 1.2, self.settings.poll_seconds * SLOWEST)

    def _end(self, run_id: int, say: Callable[[str], None]) -> None:
        try:
            self.cancel(run_id)
            deadline = time.monotonic() + _SECONDS_TO_CANCEL
            while not is_ending(self.run(run_id)) and time.monotonic() < deadline:
                time.sleep(min(self.settings.poll_seconds, 1))
        except Exception as error:  # what stopped the waiting is what the caller is to hear of
            say(f"Databricks run {run_id} could not be cancelled, do so by hand: {error}")


def state_of(run: "Run | BaseRun") -> str:
    """How the run ended (SUCCESS, FAILED, CANCELED ...), or what it does (RUNNING ...)."""
    state = run.state
    found = (state.result_state or state.life_cycle_state) if state else None
    return found.value if found else "UNKNOWN"
