"""Why a Databricks run ended, and whether another try may do better."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from databricks.sdk.service.jobs import Run, RunOutput

_ENDED = ("TERMINATED", "SKIPPED", "INTERNAL_ERROR")

_PASSING_CODES = {
    "CLOUD_FAILURE",
    "CLUSTER_ERROR",
    "CLUSTER_REQUEST_LIMIT_EXCEEDED",
    "DRIVER_ERROR",
    "INTERNAL_ERROR",
    "MAX_CONCURRENT_RUNS_EXCEEDED",
    "MAX_JOB_QUEUE_SIZE_EXCEEDED",
    "MAX_SPARK_CONTEXTS_EXCEEDED",
    "WORKSPACE_RUN_LIMIT_EXCEEDED",
}

_PASSING_WORDS = (
    "CLOUD_PROVIDER_LAUNCH_FAILURE",
    "CLOUD_PROVIDER_RESOURCE_STOCKOUT",
    "CLOUD_PROVIDER_SHUTDOWN",
    "INSUFFICIENT",
    "OUT_OF_CAPACITY",
    "SPOT_INSTANCE_TERMINATION",
    "BOOTSTRAP_TIMEOUT",
    "INSTANCE_UNREACHABLE",
    "INSTANCE_POOL_MAX_CAPACITY_FAILURE",
    "NETWORK_CONFIGURATION_FAILURE",
    "REQUEST_THROTTLED",
    "TEMPORARILY_UNAVAILABLE",
)
"""Cluster termination reasons that Databricks writes into a run's message, and that are not ours to mend."""

_BY_SOMEBODY = {"CANCELED", "USER_CANCELED"}


def has_ended(run: "Run") -> bool:
    """Whether the run will not go on."""
    return _life_cycle(run) in _ENDED


def is_ending(run: "Run") -> bool:
    """Whether the run's task no longer runs."""
    return has_ended(run) or _life_cycle(run) == "TERMINATING"


def may_do_better(run: "Run", *, had_started: bool) -> bool:
    """Whether a run that ended without a word from the step may be tried again.

    Yes where the compute could not be had or was lost, where a worker went for want of work just as the step came, and
    where the step had started and its process vanished: steps replace what they write, so one that ran half is run
    whole. No where somebody cancelled it or time ran out, and
    where it could not start for a reason that will be the same next time (permissions, libraries, configuration).
    """
    if _result(run) in ("CANCELED", "TIMEDOUT") or _code(run) in _BY_SOMEBODY:
        return False
    went = _result(run) == "SUCCESS"
    return (
        went or had_started or _code(run) in _PASSING_CODES or any(word in message_of(run) for word in _PASSING_WORDS)
    )


def was_cancelled(run: "Run") -> bool:
    """Whether somebody cancelled the run."""
    return _result(run) == "CANCELED" or _code(run) in _BY_SOMEBODY


def message_of(run: "Run") -> str:
    """What Databricks says of the run's end."""
    details = run.status.termination_details if run.status else None
    said = [run.state.state_message if run.state else None, details.message if details else None]
    return " ".join(dict.fromkeys(text.strip() for text in said if text and text.strip()))


def story(run: "Run", output: "RunOutput | None") -> str:
    """Why the run ended, in a line: its state, Databricks' message, and the last line of its traceback."""
    state = _result(run) or _life_cycle(run)
    parts = [f"{state} ({_code(run)})" if _code(run) not in ("", state) else state, message_of(run)]
    if output is not None:
        trace = (output.error_trace or output.error or "").strip()
        parts.append(trace.splitlines()[-1] if trace else "")
    return ": ".join(dict.fromkeys(part for part in parts if part))


def _life_cycle(run: "Run") -> str:
    return run.state.life_cycle_state.value if run.state and run.state.life_cycle_state else ""


def _result(run: "Run") -> str:
    return run.state.result_state.value if run.state and run.state.result_state else ""


def _code(run: "Run") -> str:
    details = run.status.termination_details if run.status else None
    return details.code.value if details and details.code else ""
