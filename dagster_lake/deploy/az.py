"""The Azure CLI as a program that is started: arguments as a list, JSON back, and its refusals told with a remedy."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Any

from dagster_lake.deploy.az_failure import AzFailed, failure
from dagster_lake.deploy.errors import DeployError

_QUIET = {
    "AZURE_CORE_ONLY_SHOW_ERRORS": "true",
    "AZURE_CORE_NO_COLOR": "true",
    "AZURE_CORE_DISABLE_PROGRESS_BAR": "true",
    # Bicep would be looked up on the internet each time.
    "AZURE_BICEP_CHECK_VERSION": "false",
}


class Az:
    """The Azure CLI, working on one subscription."""

    def __init__(self, subscription: str, variables: Mapping[str, str] | None = None) -> None:
        """``variables`` are added to its environment. Raises DeployError where it is not installed."""
        program = shutil.which("az")
        if program is None:
            raise DeployError("the Azure CLI (az) is not on the PATH; install it, then log in with `az login`")
        self._program, self.subscription = program, subscription
        self._environment = {**os.environ, **_QUIET, **(variables or {})}

    def text(self, *arguments: str) -> str:
        """What a command prints. Raises AzFailed."""
        done = subprocess.run(
            [self._program, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,  # it would ask, and wait for an answer that nobody sees
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        if done.returncode:
            raise failure(arguments, done.stderr or done.stdout)
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """What a command says of the subscription; None where it says nothing. Raises AzFailed."""
        command = (*arguments, "--subscription", self.subscription, "--output", "json")
        text = self.text(*command)
        try:
            return json.loads(text) if text.strip() else None
        except ValueError:
            raise AzFailed(arguments, "", f"it printed something else than JSON: {text.strip()[:200]}", ()) from None
