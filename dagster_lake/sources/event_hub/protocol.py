"""What the lake asks of an event hub: little enough that a local log and Azure Event Hubs can both answer."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa

from dagster_lake.errors import LakeError

_FIELDS: list[pa.Field] = [
    pa.field("partition", pa.string(), nullable=False),
    pa.field("sequence_number", pa.int64(), nullable=False),
    pa.field("enqueued_time", pa.timestamp("us", "UTC"), nullable=False),
    pa.field("partition_key", pa.string()),
    pa.field("body", pa.binary(), nullable=False),
]
EVENT_SCHEMA = pa.schema(_FIELDS)
"""The columns of ``EventHub.read``."""

KEY_PROPERTY = "partition_key"
"""The property that carries the key of an event whose partition was named: Azure takes only one of the two."""


class EventHubError(LakeError):
    """The hub cannot do what was asked; the message names the hub and the remedy."""


class SendInterrupted(EventHubError):
    """A send that was cut off.

    Of the events, counted from the first, ``acknowledged`` are in the hub for sure. Of those after them some may be, so
    that whoever goes on from there sends each at least once.
    """

    def __init__(self, message: str, acknowledged: int) -> None:
        super().__init__(message)
        self.acknowledged = acknowledged


@dataclass(frozen=True)
class Position:
    """A place in one partition of a hub."""

    sequence_number: int
    enqueued_time: datetime


class EventHub(Protocol):
    """A set of named hubs, each a partitioned log of events that forgets what is older than its retention.

    An event's sequence number grows by one within its partition and is never used again, until the hub is made anew.
    """

    def send(self, hub: str, batches: Iterable[pa.RecordBatch]) -> int:
        """Enqueues events now; returns how many.

        ``batches`` have ``partition_key`` (text, may be null) and ``body`` (binary). Events of one key keep
        their order. A hub that may fail on the way raises SendInterrupted, which says how far it got.
        """
        ...

    def read(
        self, hub: str, start: datetime, end: datetime, after: Mapping[str, Position] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The events with start < enqueued_time <= end that the hub still holds, in batches of ``EVENT_SCHEMA``.

        Each partition comes in sequence order. ``after`` names, by partition, the newest of these events that the
        caller has: a hub in which nothing can come before it any more, and that can spare itself the work, leaves out
        what it has up to there; another need not. Where the partition does not know that event, since the hub was made
        anew, all is given. Raises EventHubError for an unknown hub.
        """
        ...

    def settled_until(self, hub: str) -> datetime:
        """Every event enqueued at or before this instant is there for whoever begins to read now.

        Later ones may still come into sight: a broker's clock or way of publishing decides how much later.
        """
        ...

    def held_since(self, hub: str) -> datetime | None:
        """Every event enqueued after this instant is still held; None when the hub never forgot one."""
        ...

    def newest(self, hub: str) -> dict[str, Position]:
        """Per partition that ever had an event: the newest sequence number and the newest enqueued time."""
        ...
