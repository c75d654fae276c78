"""Sending to one hub of Azure Event Hubs: full batches, each key in order, and patience where it is throttled.

A batch of the client goes to one key or to one partition. By key, the events of a thousand users would be a thousand
batches of one, so the partition is chosen here, from the key, and named; the key goes along as a property.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa

from dagster_lake.sources.event_hub.azure_connection import (
    AT_ONCE,
    HubConnection,
    Patience,
    client_errors,
    is_passing,
)
from dagster_lake.sources.event_hub.key_hash import key_partitions
from dagster_lake.sources.event_hub.protocol import KEY_PROPERTY, EventHubError


class HubSender:
    """Sends to one hub over connections that stay open, one a partition."""

    def __init__(self, connection: HubConnection, hub: str, patience: Patience) -> None:
        self._connection = connection
        self._hub = hub
        self._patience = patience
        self._closed = threading.Event()
        with connection.telling(hub):
            self._client = connection.producer(hub)
        self._partitions: list[str] = self._patiently(self._client.get_partition_ids)
        self._threads = ThreadPoolExecutor(min(len(self._partitions), AT_ONCE), f"{hub} sender")

    def send(self, events: pa.RecordBatch) -> None:
        """Returns when every event is acknowledged. Raises EventHubError; any of the events may then be in the hub."""
        places = key_partitions(events.column("partition_key"), len(self._partitions))
        # A stable sort groups the batch by partition in one pass and keeps each partition's order.
        events = events.take(np.argsort(places, kind="stable"))
        bounds = np.searchsorted(np.sort(places), np.arange(len(self._partitions) + 1))
        sent = [
            self._threads.submit(self._send_to, partition, events.slice(first, last - first))
            for partition, first, last in zip(self._partitions, bounds, bounds[1:], strict=False)
            if last > first
        ]
        failures = [failure for failure in (one.exception() for one in sent) if failure is not None]
        if failures:
            raise failures[0]

    def close(self) -> None:
        """Ends the connections; what was being sent fails."""
        self._closed.set()
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._client.close()

    def _send_to(self, partition: str, events: pa.RecordBatch) -> None:
        for batch in self._batches(partition, events):
            self._patiently(lambda batch=batch: self._client.send_batch(batch))

    def _batches(self, partition: str, events: pa.RecordBatch) -> Iterator[Any]:
        """The events in batches as large as the hub takes."""
        from azure.eventhub import EventData

        def new_batch() -> Any:
            return self._patiently(lambda: self._client.create_batch(partition_id=partition))

        batch = new_batch()
        keys, bodies = events.column("partition_key").to_pylist(), events.column("body").to_pylist()
        for key, body in zip(keys, bodies, strict=True):  # the client takes events one by one
            event = EventData(body)
            if key is not None:
                event.properties = {KEY_PROPERTY: key}
            if not _added(batch, event):
                if not len(batch):
                    raise self._too_large(body)
                yield batch
                batch = new_batch()
                if not _added(batch, event):
                    raise self._too_large(body)
        yield batch

    def _patiently(self, work: Any) -> Any:
        """What ``work`` gives, done again while the hub is throttled or cannot be reached. Raises EventHubError."""
        failures = 0
        while True:
            try:
                return work()
            except client_errors() as error:
                failures += 1
                if failures >= self._patience.attempts or not is_passing(error) or self._closed.is_set():
                    raise self._connection.told(self._hub, error) from None
                self._closed.wait(self._patience.pause(failures, error))

    def _too_large(self, body: bytes) -> EventHubError:
        return EventHubError(
            f"event hub {self._hub!r} in {self._connection.namespace}: an event of {len(body):,} bytes is larger than "
            "the hub takes (256 kB in the basic tier, 1 MB in the others); send smaller events"
        )


def _added(batch: Any, event: Any) -> bool:
    try:
        batch.add(event)
    except ValueError:  # how the client says that the batch is full
        return False
    return True
