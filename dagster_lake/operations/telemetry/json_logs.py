"""Log lines of runs as JSON, one object a line on stdout, for a service that collects what containers print."""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from dagster_lake.operations.telemetry.secret_values import masker

if TYPE_CHECKING:
    from collections.abc import Callable

    from dagster import DagsterEvent


class JsonLines(logging.Handler):
    """What a run logs, in place of Dagster's coloured lines. An instance's dagster.yaml asks for it:

    .. code-block:: yaml

        python_logs:
          python_log_level: INFO
          dagster_handler_config:
            handlers:
              json_lines: {class: dagster_lake.operations.telemetry.json_logs.JsonLines, level: INFO}

    The keys are those that ``--log-format json`` of Dagster's own programs gives (``timestamp`` in UTC, ``level``,
    ``logger``, ``event``), and where they are known ``run_id``, ``job``, ``partition`` (a range as ``first...last``),
    ``step``, ``asset``, ``dagster_event`` (as STEP_FAILURE) and ``exception`` (with its traceback, in one field).
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Prints the record."""
        try:
            line = self._masked(json.dumps(document(record), ensure_ascii=False, default=str))
            # Looked up each time, as what steps print may be redirected; in one write, so that lines stay whole.
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
        except Exception:
            self.handleError(record)
        finally:
            # Dagster hands the record on to its console logger, which no setting turns off and which would say it all
            # again: at no level it says nothing. The event log has had the record before.
            record.levelno = logging.NOTSET

    @cached_property
    def _masked(self) -> "Callable[[str], str]":
        return masker()


def document(record: logging.LogRecord) -> dict[str, Any]:
    """What is printed of a record."""
    meta: dict[str, Any] = getattr(record, "dagster_meta", {})
    event: DagsterEvent | None = meta.get("dagster_event")
    tags = meta.get("job_tags") or {}
    found = {
        "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": meta.get("orig_message") or record.getMessage(),
        "run_id": meta.get("run_id"),
        "job": meta.get("job_name"),
        "partition": partition_of(tags),
        "step": meta.get("step_key"),
        "asset": event.asset_key.to_user_string() if event and event.asset_key else None,
        "dagster_event": event.event_type_value if event else None,
        "exception": _exception(record, event),
    }
    return {name: value for name, value in found.items() if value}


def partition_of(tags: dict[str, str]) -> str | None:
    """The partition that a run is for, by its tags; a range as the command line takes it."""
    first = tags.get("dagster/asset_partition_range_start")
    last = tags.get("dagster/asset_partition_range_end")
    if first and last:
        return first if first == last else f"{first}...{last}"
    return tags.get("dagster/partition")


def _exception(record: logging.LogRecord, event: "DagsterEvent | None") -> str | None:
    error = getattr(event.event_specific_data, "error", None) if event else None
    if error is not None:
        return error.to_string()
    if record.exc_info and record.exc_info[0] is not None:
        return "".join(traceback.format_exception(*record.exc_info))
    return None
