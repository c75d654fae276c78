"""Azure Event Hubs as an event hub of the lake: the hubs of one namespace, over AMQP."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import pyarrow as pa

from dagster_lake import clock
from dagster_lake.sources.event_hub.azure_connection import HubConnection, PartitionState, Patience
from dagster_lake.sources.event_hub.azure_reader import Wanted, holds, read_partitions
from dagster_lake.sources.event_hub.azure_sender import HubSender
from dagster_lake.sources.event_hub.protocol import EventHubError, Position, SendInterrupted
from dagster_lake.sources.event_hub.segments import SENT_SCHEMA, conform

SETTLED = timedelta(seconds=10)
"""What an event may take until it can be read, and by how much the service's clocks may be behind ours, together."""

_END_OF_TIME = datetime(9999, 1, 1, tzinfo=UTC)


class AzureEventHub:
    """The hubs of a namespace. How many partitions each has is its own affair.

    An event is sent at least once: where an acknowledgement is lost on the way, it is sent again, with the same body.
    An event's partition follows from its key, as long as the hub keeps its number of partitions; the events of other
    producers are where Azure's own hash put them.
    """

    def __init__(self, connection: HubConnection, patience: Patience | None = None) -> None:
        self.connection = connection
        self._patience = patience or Patience()
        self._senders: dict[str, HubSender] = {}

    def send(self, hub: str, batches: Iterable[pa.RecordBatch]) -> int:
        """Enqueues events; returns how many, all of them acknowledged by the hub.

        Each of ``batches`` is acknowledged before the next is asked for. Raises SendInterrupted, which says how many
        were, when the hub stays throttled or away; EventHubError for events that no hub takes.
        """
        acknowledged = 0
        for batch in batches:
            events = conform(hub, batch, SENT_SCHEMA)
            try:
                self._sender(hub).send(events)
            except EventHubError as error:
                raise SendInterrupted(str(error), acknowledged) from None
            acknowledged += len(events)
        return acknowledged

    def read(
        self, hub: str, start: datetime, end: datetime, after: Mapping[str, Position] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The events with start < enqueued_time <= end that the hub held when the read began.

        Each partition comes in sequence order, and is read past the numbers that ``after`` has for it. Raises
        EventHubError when the hub is unknown, refuses us, or stays away.
        """
        wanted = []
        for state in self.connection.partitions(hub):
            one = Wanted(state.partition, state.last, start, end, _known(state, (after or {}).get(state.partition)))
            if holds(state, one):
                wanted.append(one)
        yield from read_partitions(self.connection, hub, wanted, self._patience)

    def settled_until(self, hub: str) -> datetime:
        """``SETTLED`` before now, by our clock."""
        return clock.utc_now() - SETTLED

    def held_since(self, hub: str) -> datetime | None:
        """Every event enqueued after this instant is still held; None when no partition has lost one."""
        losing = [state for state in self.connection.partitions(hub) if state.first > 0 or _all_expired(state)]
        emptied = [state.last_enqueued for state in losing if state.is_empty and state.last_enqueued is not None]
        return max([*emptied, *self._first_enqueued(hub, losing)], default=None)

    def newest(self, hub: str) -> dict[str, Position]:
        """Per partition that ever had an event: the newest sequence number and the newest enqueued time."""
        return {
            state.partition: Position(state.last, state.last_enqueued)
            for state in self.connection.partitions(hub)
            if state.last_enqueued is not None
        }

    def close(self) -> None:
        """Ends the connections that sending keeps open."""
        while self._senders:
            self._senders.popitem()[1].close()

    def _sender(self, hub: str) -> HubSender:
        if hub not in self._senders:
            self._senders[hub] = HubSender(self.connection, hub, self._patience)
        return self._senders[hub]

    def _first_enqueued(self, hub: str, states: list[PartitionState]) -> list[datetime]:
        """The times of the oldest events that the partitions hold."""
        wanted = [
            Wanted(state.partition, state.first, None, _END_OF_TIME, prefetch=1)
            for state in states
            if not state.is_empty
        ]
        batches = read_partitions(self.connection, hub, wanted, self._patience)
        return [batch.column("enqueued_time")[0].as_py() for batch in batches]


def _known(state: PartitionState, position: Position | None) -> int | None:
    """The number of ``position``, provided that this very hub gave it: one made anew counts from 0 again."""
    if position is None or position.sequence_number > state.last or state.hub_created > position.enqueued_time:
        return None
    return position.sequence_number


def _all_expired(state: PartitionState) -> bool:
    return state.is_empty and state.last >= 0
