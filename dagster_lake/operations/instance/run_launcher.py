"""Runs as processes of the code server, as Dagster starts them, and a watch over whether they are still there.

Dagster's launcher cannot say so. The code server itself reports a run whose process died; a code server that died takes
its runs along and reports nothing, and they would be "started" for ever.
"""

import time
from collections.abc import Mapping
from typing import Any, Self

import dagster as dg
import grpc
from dagster._config.config_schema import UserConfigSchema
from dagster._core.errors import DagsterUserCodeUnreachableError
from dagster._core.launcher.base import CheckRunHealthResult, WorkerStatus
from dagster._core.launcher.default_run_launcher import DefaultRunLauncher
from dagster._grpc.types import GetCurrentRunsResult
from dagster._serdes import ConfigurableClassData, deserialize_value


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's DefaultRunLauncher, which Dagster's run monitoring can ask whether a run is alive.

    A run is taken for dead when its code server has not known it for ``restarted_seconds``, as after a restart, or
    could not be reached for ``unreachable_seconds``. Not at once: a code server that was told to end goes on with its
    runs for a while, when another one answers already.
    """

    def __init__(
        self, restarted_seconds: int, unreachable_seconds: int, inst_data: ConfigurableClassData | None = None
    ) -> None:
        super().__init__(inst_data)
        self._restarted_seconds = restarted_seconds
        self._unreachable_seconds = unreachable_seconds
        self._missed_since: dict[str, float] = {}

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """What dagster.yaml gives: both times in seconds."""
        return {"restarted_seconds": dg.Field(int), "unreachable_seconds": dg.Field(int)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> Self:
        """The launcher that dagster.yaml asks for."""
        return cls(inst_data=inst_data, **config_value)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Run monitoring asks."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """RUNNING, or NOT_FOUND when the run has been missed for too long."""
        client = self._get_grpc_client_for_termination(run.run_id)
        if client is None:
            return _running("it has ended meanwhile, or it is a process of its own that somebody started by hand")
        try:
            current = deserialize_value(client.get_current_runs(), GetCurrentRunsResult)
        except DagsterUserCodeUnreachableError as error:
            if _cannot_say(error):
                return _running("its code server is no `dagster api grpc`, and cannot say which runs it has")
            return self._missed(run, self._unreachable_seconds, f"its code server cannot be reached: {error}")
        if run.run_id not in current.current_runs:
            return self._missed(run, self._restarted_seconds, "its code server does not know it; it was restarted")
        self._missed_since.pop(run.run_id, None)
        return _running("its code server has it")

    def _missed(self, run: dg.DagsterRun, patience: float, why: str) -> CheckRunHealthResult:
        """NOT_FOUND once the run has been missed for ``patience`` seconds; until then it may be alive."""
        now = time.monotonic()
        if now - self._missed_since.setdefault(run.run_id, now) < patience:
            return CheckRunHealthResult(WorkerStatus.RUNNING, why, transient=True)
        del self._missed_since[run.run_id]
        return CheckRunHealthResult(WorkerStatus.NOT_FOUND, why)


def _running(why: str) -> CheckRunHealthResult:
    return CheckRunHealthResult(WorkerStatus.RUNNING, why)


def _cannot_say(error: DagsterUserCodeUnreachableError) -> bool:
    """Whether the server answers, and has no such call: `dagster code-server start` passes on only some."""
    cause = error.__cause__
    return isinstance(cause, grpc.RpcError) and cause.code() == grpc.StatusCode.UNIMPLEMENTED
