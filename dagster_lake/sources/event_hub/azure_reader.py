"""Reading a range of Azure Event Hubs: all partitions at once, exactly, whatever happens on the way.

The client may lose its connection, and deliver events again after that; nor does it promise to leave none out. Sequence
numbers grow by one, so each event is held against the one before: what was seen is passed over, and where one is
missing the partition is read again from there.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dagster_lake.sources.event_hub.azure_connection import (
    AT_ONCE,
    HubConnection,
    PartitionState,
    Patience,
    client_errors,
    is_passing,
)
from dagster_lake.sources.event_hub.batches import BatchFeed, GatheredEvents
from dagster_lake.sources.event_hub.protocol import KEY_PROPERTY, EventHubError
from dagster_lake.sources.event_hub.segments import EPOCH, micros

if TYPE_CHECKING:
    from azure.eventhub import EventData

CLOCK_STEP = timedelta(seconds=5)
"""By how much a partition's clock may go back, as when another node of the service takes it over."""

SLOTS = 8
_PREFETCH = 500
_ENQUEUED, _SEQUENCE, _KEY = b"x-opt-enqueued-time", b"x-opt-sequence-number", b"x-opt-partition-key"


@dataclass(frozen=True)
class Wanted:
    """The events of a partition with ``after`` < enqueued time <= ``until``, no further than number ``last``.

    ``known`` is the number from which on to look; without it, the time decides. Without ``after``, all that is held.
    """

    partition: str
    last: int
    after: datetime | None
    until: datetime
    known: int | None = None
    prefetch: int = _PREFETCH


def read_partitions(
    connection: HubConnection, hub: str, wanted: list[Wanted], patience: Patience
) -> Iterator[pa.RecordBatch]:
    """The wanted events in batches of ``EVENT_SCHEMA``; each partition in sequence order, partitions intermixed.

    One thread reads them all, ``AT_ONCE`` at a time. Memory is bounded: ``SLOTS`` batches that wait to be taken, one in
    the making for each partition at work, and what the client fetches ahead (twice ``Wanted.prefetch`` events).
    Raises EventHubError.
    """
    if not wanted:
        return
    feed = BatchFeed(SLOTS)

    async def pull_all() -> None:
        limit = asyncio.Semaphore(AT_ONCE)

        async def pull(one: Wanted) -> None:
            async with limit:
                await _PartitionPull(connection, hub, one, patience, feed).run()

        pulls = [asyncio.ensure_future(pull(one)) for one in wanted]
        try:
            await asyncio.gather(*pulls)
        finally:
            for one in pulls:
                one.cancel()
            await asyncio.wait(pulls)

    yield from feed.batches(pull_all(), f"{hub} reader")


class _PartitionPull:
    """Reads one partition, over as many connections as it takes."""

    def __init__(
        self, connection: HubConnection, hub: str, wanted: Wanted, patience: Patience, feed: BatchFeed
    ) -> None:
        self._connection = connection
        self._hub = hub
        self._wanted = wanted
        self._patience = patience
        self._feed = feed
        self._after = None if wanted.after is None else micros(wanted.after)
        self._until = micros(wanted.until)
        self._newest = wanted.known
        self._done = False
        self._just_opened = True
        self._failure: Exception | None = None
        self._heard = 0.0
        self._events = GatheredEvents(wanted.partition)

    async def run(self) -> None:
        """Reads until the partition is done. Raises EventHubError."""
        failures = 0
        while not self._done:
            before = self._newest
            await self._receive()
            if self._failure is None or isinstance(self._failure, _EventMissing):
                continue
            if not isinstance(self._failure, client_errors()):
                raise self._failure
            failures = 1 if self._newest != before else failures + 1
            if failures >= self._patience.attempts or not is_passing(self._failure):
                raise self._connection.told(self._hub, self._failure)
            await asyncio.sleep(self._patience.pause(failures, self._failure))
            await self._look_again()

    async def _receive(self) -> None:
        """Receives over one connection, until the partition is done or the connection fails."""
        self._failure, self._just_opened, self._heard = None, True, time.monotonic()
        ended = asyncio.Event()

        async def on_events(events: "list[EventData]") -> None:
            if not ended.is_set():
                await self._take(events)
            if self._done or self._failure:
                ended.set()

        client: Any = self._connection.receiver(self._hub)
        # Not by the client's own receive_batch(): that hides why a connection could not be opened, starts again by
        # itself from the first position, and takes seconds to end.
        consumer = client._create_consumer(
            self._connection.consumer_group,
            self._wanted.partition,
            self._position(),
            on_events,
            prefetch=self._wanted.prefetch,
        )
        consumer._keep_alive = None  # it receives all the time, so that nothing else need keep the connection alive

        async def receive() -> None:
            try:
                await consumer._open_with_retry()
                await consumer.receive(batch=True, max_batch_size=self._wanted.prefetch, max_wait_time=1)
                self._failure = self._failure or ConnectionError("the connection was ended")
            except Exception as error:
                self._failure = self._failure or error
            ended.set()

        receiving = asyncio.ensure_future(receive())
        try:
            await ended.wait()
        finally:
            receiving.cancel()
            await asyncio.wait([receiving])
            for opened in (consumer, client):
                with suppress(Exception):  # a connection that is lost already
                    await opened.close()

    def _position(self) -> int | datetime | str:
        """Where to read on: past the newest event seen, or well before the time asked for."""
        if self._newest is not None:
            return self._newest
        return "-1" if self._wanted.after is None else self._wanted.after - CLOCK_STEP

    async def _take(self, events: "list[EventData]") -> None:
        if not events and time.monotonic() - self._heard > self._patience.silence:
            self._failure = TimeoutError(
                f"partition {self._wanted.partition} has sent nothing for {self._patience.silence:.0f} s, and has "
                f"events up to number {self._wanted.last}"
            )
        for event in events:
            annotations: Any = event.raw_amqp_message.annotations
            sequence, enqueued = annotations[_SEQUENCE], annotations[_ENQUEUED] * 1000
            if self._newest is not None and sequence <= self._newest:
                continue
            if self._newest is not None and sequence > self._newest + 1 and not self._just_opened:
                self._failure = _EventMissing()
                return
            self._newest, self._just_opened = sequence, False
            if (self._after is None or self._after < enqueued) and enqueued <= self._until:
                self._events.add(sequence, enqueued, _key(event, annotations), _body(event))
            if sequence >= self._wanted.last or enqueued > self._until + micros(EPOCH + CLOCK_STEP):
                return await self._finish()
            if self._events.is_full:
                await self._feed.give(self._events.batch())
        self._heard = time.monotonic() if events else self._heard

    async def _finish(self) -> None:
        self._done = True
        if len(self._events):
            await self._feed.give(self._events.batch())

    async def _look_again(self) -> None:
        """After a failure: whether the events that were wanted have expired meanwhile."""
        try:
            states = await asyncio.to_thread(self._connection.partitions, self._hub)
        except EventHubError:
            return  # the next attempt to read tells more
        state = next(state for state in states if state.partition == self._wanted.partition)
        if not holds(state, self._wanted):
            await self._finish()


def holds(state: PartitionState, wanted: Wanted) -> bool:
    """Whether the partition may still have any of the wanted events."""
    if state.is_empty or state.first > wanted.last or state.last_enqueued is None:
        return False
    if wanted.known is not None and state.last <= wanted.known:
        return False
    return wanted.after is None or state.last_enqueued > wanted.after - CLOCK_STEP


class _EventMissing(Exception):
    """A number was left out, which a new connection makes good unless the partition has no such event."""


def _key(event: "EventData", annotations: Any) -> str | None:
    """The key by which Azure chose the partition, or by which we did."""
    key = annotations.get(_KEY)
    if key is None:
        key = (event.properties or {}).get(KEY_PROPERTY.encode())
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else key


def _body(event: "EventData") -> bytes:
    """The body's bytes; what AMQP carried as a value rather than as data becomes text."""
    from azure.eventhub.amqp import AmqpMessageBodyType

    if event.body_type == AmqpMessageBodyType.DATA:
        return b"".join(event.body)  # type: ignore[arg-type]
    return event.body_as_str().encode()
