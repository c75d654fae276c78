"""Files as Event Hubs Capture writes them."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fastavro

_PRIMITIVES = ["long", "double", "string", "bytes"]
SCHEMA = fastavro.parse_schema(
    {
        "type": "record",
        "name": "EventData",
        "namespace": "Microsoft.ServiceBus.Messaging",
        "fields": [
            {"name": "SequenceNumber", "type": "long"},
            {"name": "Offset", "type": "string"},
            {"name": "EnqueuedTimeUtc", "type": "string"},
            {"name": "SystemProperties", "type": {"type": "map", "values": _PRIMITIVES}},
            {"name": "Properties", "type": {"type": "map", "values": [*_PRIMITIVES, "null"]}},
            {"name": "Body", "type": ["null", "bytes"]},
        ],
    }
)


@dataclass(frozen=True)
class Captured:
    """An event as it is captured. ``exact`` says whether its envelope has the milliseconds too."""

    sequence: int
    enqueued: datetime
    body: bytes | None = b"{}"
    key: str | None = None
    own_key: str | None = None
    exact: bool = True

    @property
    def record(self) -> dict[str, Any]:
        """The envelope."""
        milliseconds = (self.enqueued - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        system = {"x-opt-enqueued-time": milliseconds} if self.exact else {}
        at = self.enqueued
        return {
            "SequenceNumber": self.sequence,
            "Offset": str(self.sequence * 64),
            "EnqueuedTimeUtc": f"{at.month}/{at.day}/{at.year} {at.hour % 12 or 12}:{at:%M:%S %p}",
            "SystemProperties": system | ({"x-opt-partition-key": self.key} if self.key else {}),
            "Properties": {"partition_key": self.own_key, "other": None} if self.own_key else {},
            "Body": self.body,
        }


def capture(hub_folder: Path, partition: int, begun: datetime, events: Iterable[Captured]) -> Path:
    """Writes one file, of the window that began at ``begun``."""
    file = hub_folder / str(partition) / f"{begun:%Y/%m/%d/%H/%M/%S}.avro"
    file.parent.mkdir(parents=True, exist_ok=True)
    with open(file, "wb") as opened:
        fastavro.writer(opened, SCHEMA, [event.record for event in events], codec="deflate")
    return file
