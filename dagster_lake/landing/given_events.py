"""Landing events that somebody else has read: a micro-batch, by the same rules as what is read from a hub."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dagster_lake.contract.model import Contract, EventHubSource
from dagster_lake.lake_hour import HOUR, HourRange
from dagster_lake.landing.hours import land_hours
from dagster_lake.landing.result import Landed, LandingError
from dagster_lake.sources.event_hub.protocol import EVENT_SCHEMA, Position
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.manifest import ManifestError
from dagster_lake.storage.paths import Lake

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = HOUR // timedelta(microseconds=1)


def land_events(contract: Contract, lake: Lake, events: pa.Table) -> list[Landed]:
    """Adds events (columns of ``EVENT_SCHEMA``) to the lake hours of their arrival; gives one result an hour.

    Each partition's events must be in sequence order. Given again, they are found to be landed: raw knows the numbers
    of each partition. An hour is not closed by it; of one that is
    complete already, what is new is added all the same.
    """
    arrived = events["enqueued_time"].cast(pa.int64()).to_numpy()
    hours = -(-arrived // _HOUR) - 1  # (start, end]: the end of an hour belongs to it
    landed = []
    for hour in np.unique(hours).tolist():
        given = GivenEvents(events.filter(pa.array(hours == hour)))
        start = _EPOCH + hour * HOUR
        landed += land_hours(contract, lake, HourRange(start, start), Sources(given), refresh=True)
    return landed


def note_forgotten(contract: Contract, lake: Lake, hours: HourRange, held_since: datetime) -> None:
    """Notes in those of the hours that are not over that their hub forgot events before they were landed.

    To be called before the events that it still holds are landed: ``held_since`` is compared with what has been. An
    hour that cannot be landed is passed over; each landing of it tells why.
    """
    assert isinstance(contract.source, EventHubSource)
    hub = GivenEvents(EVENT_SCHEMA.empty_table(), held={contract.source.hub: held_since})
    for hour in hours.keys:
        with suppress(LandingError, ManifestError, OSError):
            land_hours(contract, lake, HourRange.of(hour), Sources(hub))


@dataclass(frozen=True)
class GivenEvents:
    """An event hub that holds some events; of others it knows only up to when, by hub, there are no more to come, and
    since when all of them are still held elsewhere."""

    events: pa.Table
    settled: Mapping[str, datetime] = field(default_factory=dict)
    held: Mapping[str, datetime] = field(default_factory=dict)

    def read(
        self, hub: str, start: datetime, end: datetime, after: Mapping[str, Position] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The events with start < enqueued_time <= end."""
        times = self.events["enqueued_time"]
        inside = pc.and_(pc.greater(times, pa.scalar(start)), pc.less_equal(times, pa.scalar(end)))
        yield from self.events.filter(inside).to_batches()

    def settled_until(self, hub: str) -> datetime:
        """As it was told; at first others may come at any time."""
        return self.settled.get(hub, datetime.min.replace(tzinfo=UTC))

    def held_since(self, hub: str) -> datetime | None:
        """As it was told; otherwise nothing was forgotten."""
        return self.held.get(hub)

    def newest(self, hub: str) -> dict[str, Position]:
        """Not known here."""
        raise NotImplementedError

    def send(self, hub: str, batches: Iterable[pa.RecordBatch]) -> int:
        """Nothing can be sent here."""
        raise NotImplementedError
