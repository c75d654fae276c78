"""Events that come one by one, gathered into Arrow batches, and batches that come from another thread."""

import asyncio
import queue
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any

import pyarrow as pa

from dagster_lake.sources.event_hub.protocol import EVENT_SCHEMA

BATCH_EVENTS = 4_096
BATCH_BYTES = 4_000_000


class GatheredEvents:
    """Events of one partition, column by column, until there are enough for a batch."""

    def __init__(self, partition: str) -> None:
        self._partition = partition
        self._clear()

    def _clear(self) -> None:
        self._sequences: list[int] = []
        self._enqueued: list[int] = []
        self._keys: list[str | None] = []
        self._bodies: list[bytes] = []
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._sequences)

    @property
    def is_full(self) -> bool:
        """Whether there are enough for a batch."""
        return len(self) >= BATCH_EVENTS or self._bytes >= BATCH_BYTES

    def add(self, sequence: int, enqueued: int, key: str | None, body: bytes) -> None:
        """Takes one event; ``enqueued`` in microseconds since 1970."""
        self._sequences.append(sequence)
        self._enqueued.append(enqueued)
        self._keys.append(key)
        self._bodies.append(body)
        self._bytes += len(body)

    def batch(self) -> pa.RecordBatch:
        """The events as a batch of ``EVENT_SCHEMA``; afterwards none are left here."""
        columns: list[Any] = [
            pa.repeat(pa.scalar(self._partition), len(self)),
            pa.array(self._sequences, pa.int64()),
            pa.array(self._enqueued, pa.int64()).cast(pa.timestamp("us", "UTC")),
            pa.array(self._keys, pa.string()),
            pa.array(self._bodies, pa.binary()),
        ]
        self._clear()
        return pa.RecordBatch.from_arrays(columns, schema=EVENT_SCHEMA)


class BatchFeed:
    """Batches that coroutines in a thread of their own make for somebody who iterates over them, a few ahead."""

    def __init__(self, slots: int) -> None:
        self._given: queue.SimpleQueue[pa.RecordBatch | BaseException | None] = queue.SimpleQueue()
        self._free = asyncio.Semaphore(slots)
        self._loop = asyncio.new_event_loop()

    async def give(self, batch: pa.RecordBatch) -> None:
        """Hands a batch over as soon as there is room."""
        await self._free.acquire()
        self._given.put(batch)

    def batches(self, work: Coroutine[Any, Any, None], name: str) -> Iterator[pa.RecordBatch]:
        """What ``work`` gives, until it has ended; raises what it raises. It is cancelled when nobody wants more."""
        task = self._loop.create_task(work)
        thread = threading.Thread(target=self._run, args=(task,), name=name, daemon=True)
        thread.start()
        try:
            while (item := self._given.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                self._in_loop(self._free.release)
                yield item
        finally:
            self._in_loop(task.cancel)
            thread.join()

    def _run(self, task: "asyncio.Task[None]") -> None:
        """The thread's whole life."""
        ended: BaseException | None = None
        try:
            self._loop.run_until_complete(task)
        except BaseException as error:  # whatever it is, the other thread must hear of it and not wait for ever
            ended = error
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()
        self._given.put(ended)

    def _in_loop(self, what: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop is closed: all was read
            self._loop.call_soon_threadsafe(what)
