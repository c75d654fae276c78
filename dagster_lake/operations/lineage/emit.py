"""Sends the events: by OpenLineage's own client, to wherever its own configuration says."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_lake.errors import LakeError
from dagster_lake.settings.secret_text import scrub, without_secrets

if TYPE_CHECKING:
    from openlineage.client import OpenLineageClient
    from openlineage.client.event_v2 import RunEvent

NOT_CONFIGURED = (
    "OpenLineage has nowhere to send events to; set OPENLINEAGE_URL to a receiver's address, or OPENLINEAGE_CONFIG to "
    "an openlineage.yml"
)


class LineageError(LakeError):
    """Events that cannot be made or sent as things are; the message says what to do."""


def is_configured() -> bool:
    """Whether the environment says where events go. A file openlineage.yml that merely lies about is not enough."""
    named = ("OPENLINEAGE_URL", "OPENLINEAGE_CONFIG", "OPENLINEAGE__TRANSPORT")
    return any(name.startswith(named) for name in os.environ)


def require_library() -> None:
    """Raises LineageError when openlineage-python is not installed."""
    try:
        import openlineage.client  # noqa: F401
    except ImportError:
        raise LineageError("lineage needs openlineage-python: pip install 'dagster-lake[lineage]'") from None


def send(events: "Iterable[RunEvent]") -> int:
    """Sends every event, in order, and says how many; whatever stops it, sending all again does no harm.

    Raises LineageError when the client is not configured or a receiver does not take an event.
    """
    if not is_configured():
        raise LineageError(NOT_CONFIGURED)
    from openlineage.client import OpenLineageClient

    return _emit(OpenLineageClient(), events)


def write(events: "Iterable[RunEvent]", file: Path) -> int:
    """Writes every event into ``file``, one JSON object a line, and says how many; the file is replaced whole."""
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.file import FileConfig, FileTransport

    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.name}.tmp")
    temporary.write_bytes(b"")
    count = _emit(OpenLineageClient(transport=FileTransport(FileConfig(str(temporary), append=True))), events)
    temporary.replace(file)
    return count


def _emit(client: "OpenLineageClient", events: "Iterable[RunEvent]") -> int:
    sent = 0
    for event in events:
        try:
            client.emit(event)
        except Exception as error:  # each transport has errors of its own
            scrub(error)
            told = without_secrets(str(error))
            raise LineageError(f"event {sent + 1}, of {event.job.name}, was not taken: {told}") from error
        sent += 1
    if not client.close(timeout=30):
        raise LineageError("not every event was taken within 30 s; the receiver may be slow or down")
    return sent
