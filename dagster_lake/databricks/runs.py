"""Where a step runs: a run of its own on serverless compute, or a worker that the steps of a Dagster run share."""

import json
import time
from typing import Protocol

from dagster_lake.databricks.compute import submission
from dagster_lake.databricks.failures import is_ending
from dagster_lake.databricks.remote.worker import STOP
from dagster_lake.databricks.wheel import remote_wheel
from dagster_lake.databricks.workspace import Workspace


class Runs(Protocol):
    """Brings steps onto Databricks."""

    def start(self, name: str, arguments: list[str], token: str) -> int:
        """Has the step of the Pipes ``arguments`` run; gives the id of the run that it is part of."""
        ...

    def close(self) -> None:
        """Ends what waits for further steps."""
        ...


class OwnRuns:
    """A run for each step. Serverless compute is there in seconds, so that there is nothing to share."""

    def __init__(self, workspace: Workspace, root: str) -> None:
        self.workspace = workspace
        self.root = root

    def start(self, name: str, arguments: list[str], token: str) -> int:
        """Submits a run; ``token`` is of this attempt alone."""
        wheel = uploaded_wheel(self.workspace, self.root)
        return self.workspace.submit(submission(self.workspace.settings, name, wheel, arguments), token)

    def close(self) -> None:
        """Nothing waits."""


class SharedRun:
    """One run on a job cluster that takes the steps of one Dagster run from a mailbox, one at a time.

    Which run that is, Databricks itself remembers: every step submits it with the same token, which starts it the
    first time and finds it from then on, from whatever process. When it has ended, the token's number goes up.
    """

    def __init__(self, workspace: Workspace, root: str, name: str) -> None:
        self.workspace = workspace
        self.root = root
        self.name = name
        self._number = 0
        self._last = 0
        self._run: int | None = None

    @property
    def mailbox(self) -> str:
        """The folder from which the worker takes steps."""
        return f"{self.root}/workers/{self.name}-{self._number}"

    def start(self, name: str, arguments: list[str], token: str) -> int:
        """Puts the step into the mailbox of the worker, started when there is none."""
        run_id = self._worker()
        self._last = max(time.time_ns(), self._last + 1)
        self.workspace.write(f"{self.mailbox}/{self._last:020}.json", (json.dumps(arguments) + "\n").encode())
        return run_id

    def close(self) -> None:
        """Tells the worker to end after what it has."""
        if self._run is not None:
            self.workspace.write(f"{self.mailbox}/{STOP}", b"")
            self._run = None

    def _worker(self) -> int:
        settings = self.workspace.settings
        wheel = uploaded_wheel(self.workspace, self.root)
        while True:
            parameters = ["--mailbox", self.mailbox, "--idle-seconds", str(round(settings.idle_minutes * 60))]
            payload = submission(settings, f"steps of run {self.name}", wheel, parameters)
            self.workspace.make_folder(self.mailbox)
            self._run = self.workspace.submit(payload, f"{self.name}-{self._number}")
            if not is_ending(self.workspace.run(self._run)):
                return self._run
            self.workspace.forget(self.mailbox)  # a worker that died has left it
            self._number += 1


def uploaded_wheel(workspace: Workspace, root: str) -> str:
    """The path of our wheel in the volume, brought there unless this very content is."""
    wheel = remote_wheel()
    path = f"{root}/wheels/{wheel.name}"
    if not workspace.exists(path):
        workspace.make_folder(f"{root}/wheels")
        workspace.write(path, wheel.content)
    return path
