"""A Databricks workspace: runs and a volume's files, with patience for what passes by itself."""

import io
import logging
import random
import time
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from dagster_lake.errors import LakeError
from dagster_lake.settings.databricks import DatabricksSettings

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient
    from databricks.sdk.service.jobs import Run, RunOutput

log = logging.getLogger(__name__)
T = TypeVar("T")
LONGEST_PAUSE = 60.0


class WorkspaceError(LakeError):
    """The workspace cannot be used, or refused a request; the message says which and what to do."""


class Workspace:
    """The workspace that databricks-sdk's own settings name, as whom ``databricks_sign_in`` says.

    The SDK itself waits where Databricks says for how long (429 and 503), and for connections that break, a minute at
    most. Around it, every request is tried ``settings.attempts`` times with growing pauses, so that an outage of a few
    minutes fails nothing. All requests may be repeated: a submission carries a token.
    """

    def __init__(self, settings: DatabricksSettings) -> None:
        self.settings = settings

    @cached_property
    def client(self) -> "WorkspaceClient":
        """The SDK's client. Raises WorkspaceError when the SDK is missing or finds no workspace."""
        try:
            from databricks.sdk import WorkspaceClient

            from dagster_lake.databricks.sign_in import workspace_config
        except ImportError:
            raise WorkspaceError(
                "LAKE_ENGINE=databricks needs its SDK: pip install 'dagster-lake[databricks]'"
            ) from None
        try:
            config = workspace_config(product="dagster_lake", retry_timeout_seconds=60, http_timeout_seconds=60)
            return WorkspaceClient(config=config)
        except ValueError as error:
            raise WorkspaceError(
                f"no Databricks workspace to work with: {str(error).splitlines()[0]} Set DATABRICKS_HOST, and unless "
                "this host has an identity of Azure's, one of a service principal (DATABRICKS_CLIENT_ID and _SECRET, "
                "or ARM_*), a profile, or DATABRICKS_TOKEN"
            ) from error

    # ---- runs ----

    def submit(self, payload: dict[str, Any], token: str) -> int:
        """Starts a one-time run, or finds the one that ``token`` started before; gives its id."""
        from databricks.sdk.service.jobs import JobEnvironment, QueueSettings, SubmitTask

        fields = {**payload, "queue": QueueSettings.from_dict(payload["queue"])}
        fields["tasks"] = [SubmitTask.from_dict(task) for task in payload["tasks"]]
        if "environments" in payload:
            fields["environments"] = [JobEnvironment.from_dict(one) for one in payload["environments"]]
        return self._patiently(
            "submit a run", lambda: self.client.jobs.submit(idempotency_token=token, **fields).bind()["run_id"]
        )

    def run(self, run_id: int) -> "Run":
        """The run as it stands."""
        return self._patiently("look at a run", lambda: self.client.jobs.get_run(run_id))

    def output(self, run: "Run") -> "RunOutput | None":
        """What the run's task left behind; None when Databricks has nothing to say of it."""
        from databricks.sdk.errors import DatabricksError

        if not run.tasks or run.tasks[0].run_id is None:
            return None
        task = run.tasks[0].run_id
        try:
            return self.client.jobs.get_run_output(task)
        except (DatabricksError, OSError):
            return None  # it only adds to what is known

    def cancel(self, run_id: int) -> None:
        """Asks for the run to end. It ends a while later."""
        self._patiently("cancel a run", lambda: self.client.jobs.cancel_run(run_id))

    # ---- a volume's files ----

    def write(self, path: str, content: bytes) -> None:
        """Writes a file whole, and the folders above it."""
        self._patiently("write a file", lambda: self.client.files.upload(path, io.BytesIO(content), overwrite=True))

    def make_folder(self, path: str) -> None:
        """Makes a folder, and those above it; it may exist. Raises WorkspaceError when there is no such volume."""
        from databricks.sdk.errors import NotFound

        try:
            self._patiently("make a folder", lambda: self.client.files.create_directory(path))
        except NotFound as error:
            raise WorkspaceError(
                f"{path} cannot be made: {error} Make the volume, or correct LAKE_DATABRICKS_VOLUME"
            ) from error

    def exists(self, path: str) -> bool:
        """Whether the file exists."""
        from databricks.sdk.errors import NotFound

        try:
            self._patiently("look for a file", lambda: self.client.files.get_metadata(path))
        except NotFound:
            return False
        return True

    def names(self, folder: str) -> list[str]:
        """The names of what a folder holds, in order."""
        found = self._patiently("list a folder", lambda: list(self.client.files.list_directory_contents(folder)))
        return sorted(entry.name for entry in found if entry.name)

    def read(self, path: str) -> bytes:
        """A file's content."""

        def download() -> bytes:
            contents = self.client.files.download(path).contents
            assert contents is not None
            with contents:
                return contents.read()

        return self._patiently("read a file", download)

    def forget(self, path: str) -> None:
        """Removes a folder that nobody needs; one that cannot be removed, or is gone already, stops nothing."""
        from databricks.sdk.errors import NotFound

        try:
            self.remove_folder(path)
        except NotFound:
            pass
        except (WorkspaceError, OSError) as error:
            log.warning("%s is left behind: %s", path, error)

    def remove_folder(self, path: str) -> None:
        """Removes a folder and all that it holds."""
        for entry in self._patiently("list a folder", lambda: list(self.client.files.list_directory_contents(path))):
            inner = f"{path}/{entry.name}"
            if entry.is_directory:
                self.remove_folder(inner)
            else:
                self._patiently("remove a file", lambda file=inner: self.client.files.delete(file))  # type: ignore[misc]
        self._patiently("remove a folder", lambda: self.client.files.delete_directory(path))

    # ---- patience ----

    def pause(self, attempt: int) -> None:
        """Waits after the ``attempt``-th failure: longer each time, and not the same for all who wait."""
        longest = min(self.settings.backoff_seconds * 2 ** (attempt - 1), LONGEST_PAUSE)
        time.sleep(longest * random.uniform(0.5, 1.5))

    def _patiently(self, what: str, call: Callable[[], T]) -> T:
        from databricks.sdk.errors import DatabricksError, NotFound, PermissionDenied, Unauthenticated

        for attempt in range(1, self.settings.attempts + 1):
            try:
                return call()
            except NotFound:
                raise
            except (PermissionDenied, Unauthenticated) as error:
                raise WorkspaceError(
                    f"{self.client.config.host} does not let us {what}: {error}. docs/databricks.md lists what the "
                    "identity needs"
                ) from error
            except (DatabricksError, OSError) as error:  # requests' own errors are OSErrors
                if not passes(error):
                    raise WorkspaceError(f"{self.client.config.host} refused to {what}: {error}") from error
                if attempt == self.settings.attempts:
                    raise WorkspaceError(
                        f"{self.client.config.host} failed {attempt} times to {what}, last with: {error}. Try again "
                        "when the workspace answers, or raise LAKE_DATABRICKS_ATTEMPTS"
                    ) from error
                self.pause(attempt)
        raise AssertionError("attempts is at least 1")


def passes(error: Exception) -> bool:
    """Whether the same request may succeed later: throttling, a fault of the server, a broken connection."""
    from databricks.sdk.errors import BadRequest, Cancelled, DatabricksError, NotFound, NotImplemented, ResourceConflict

    if isinstance(error, DatabricksError):
        return not isinstance(error, BadRequest | Cancelled | NotFound | NotImplemented | ResourceConflict)
    return isinstance(error, OSError)
