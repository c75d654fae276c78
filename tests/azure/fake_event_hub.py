"""A stand-in for an Event Hubs namespace, which the real azure-eventhub client talks to over a socket.

It keeps partitioned logs in memory and answers what the client asks: put-token ($cbs) with the signature checked,
properties of hubs and partitions ($management), sends by partition, by key or by turns, and receivers by position, with
owner levels. Faults can be set: a connection lost in mid-read or before a send is acknowledged, throttling, silence.

What it does not prove: TLS and websockets; that the real service words its refusals as here (the wording is from public
reports of them); its quotas, throughput and latency; how its hash spreads keys; failover between its nodes, geo-
replication, and offsets that are more than a number.
"""

import asyncio
import hashlib
import hmac
import itertools
import re
import threading
import zlib
from base64 import b64encode
from bisect import bisect_left
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, quote_plus

from azure.eventhub._pyamqp._decode import _DECODE_BY_CONSTRUCTOR, decode_payload
from azure.eventhub._pyamqp._encode import encode_payload
from azure.eventhub._pyamqp.message import Message, Properties

from tests.azure.fake_amqp import Connection, Link, Refused, Severed

KEY = "not-a-real-key-but-nobody-may-see-it"
_POLICY = "tests"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = -62_135_596_800_000
_ADDRESS = re.compile(
    r"^amqps?://[^/]+/(?P<hub>[^/]+)(/ConsumerGroups/(?P<group>[^/]+))?(/Partitions/(?P<partition>[^/]+))?$"
)
_SELECTOR = re.compile(r"^amqp\.annotation\.x-opt-(?P<by>[a-z-]+) (?P<operator>>=?) '(?P<value>.*)'$")
_TRACKING = "TrackingId:0_G0, SystemTracker:NoSystemTracker, Timestamp:2026-01-05T12:00:00"


@dataclass(frozen=True)
class Stored:
    """An event in a partition. ``enqueued`` is milliseconds since 1970; ``payload`` is what receivers are sent."""

    sequence: int
    enqueued: int
    payload: bytes


@dataclass
class Partition:
    """A log. Numbers go on where an expired event's number was."""

    events: list[Stored] = field(default_factory=list)
    next_sequence: int = 0
    last_enqueued: int = _NEVER
    readers: list["_Reader"] = field(default_factory=list)

    @property
    def first_sequence(self) -> int:
        """The number of the oldest event that is held, or of the next one."""
        return self.events[0].sequence if self.events else self.next_sequence

    def append(self, enqueued: int, key: bytes | None, bare: bytes) -> None:
        """Stores an event, as ``_bare`` gives it."""
        annotations: dict[str | bytes, Any] = {
            b"x-opt-sequence-number": _typed("LONG", self.next_sequence),
            b"x-opt-offset": str(self.next_sequence * 64),
            b"x-opt-enqueued-time": _typed("TIMESTAMP", enqueued),
        }
        if key is not None:
            annotations[b"x-opt-partition-key"] = key.decode()
        head = bytearray()
        encode_payload(head, Message(message_annotations=annotations))
        self.events.append(Stored(self.next_sequence, enqueued, bytes(head) + bare))
        self.next_sequence += 1
        self.last_enqueued = enqueued
        for reader in self.readers:
            reader.link.may_send.set()


@dataclass
class Faults:
    """What goes wrong next; each count goes down as it happens.

    ``sever_after`` holds, for each of the next receivers, after how many events its connection is lost. ``busy_sends``
    are rejected. ``unanswered_sends`` are stored, and their connection lost. ``silent`` receivers get nothing, and
    ``left_out`` numbers are passed over once. With ``expire_on_sever`` the partition of a receiver that is cut off
    forgets all it has.
    ``bare_refusals`` answers a bad token with an error condition and no status, as newer nodes of the service do.
    """

    sever_after: list[int] = field(default_factory=list)
    busy_sends: int = 0
    unanswered_sends: int = 0
    silent: bool = False
    left_out: set[int] = field(default_factory=set)
    expire_on_sever: bool = False
    bare_refusals: bool = False


class FakeEventHubs:
    """A namespace with the given hubs (name and number of partitions), on a free port while it is entered.

    ``clock`` gives the milliseconds since 1970 at which an event is enqueued.
    """

    def __init__(self, clock: Callable[[], int] | None = None, **hubs: int) -> None:
        self.hubs = {hub: [Partition() for _ in range(partitions)] for hub, partitions in hubs.items()}
        self.created = 0
        """When the hubs were made, in milliseconds since 1970."""
        self.faults = Faults()
        self.token: str | None = None
        """The Entra token that is accepted beside signatures by ``KEY``."""
        self.receivers = 0
        """How many receivers were opened so far."""
        self._opened = threading.Condition()
        self.port = 0
        self._clock = clock or (lambda: (datetime.now(UTC) - _EPOCH) // timedelta(milliseconds=1))
        self._turns = itertools.count()
        self._replies: dict[tuple[Connection, str], Link] = {}
        self._connections: set[Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def namespace(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def connection_string(self) -> str:
        """As a user would set it; the client then leaves TLS out."""
        return self.connection_string_with(KEY)

    def connection_string_with(self, key: str) -> str:
        """The same with another key."""
        parts = f"SharedAccessKeyName={_POLICY};SharedAccessKey={key};UseDevelopmentEmulator=true"
        return f"Endpoint=sb://{self.namespace};{parts}"

    def __enter__(self) -> "FakeEventHubs":
        self._thread.start()
        self._server = self._call(self._listen())
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def put(self, hub: str, partition: int, *events: tuple[datetime, str | None, bytes]) -> None:
        """Stores events as if they had been enqueued at the given instants."""

        async def put() -> None:
            for instant, key, body in events:
                bare = bytearray()
                encode_payload(bare, Message(data=[body]))
                enqueued = (instant - _EPOCH) // timedelta(milliseconds=1)
                self.hubs[hub][partition].append(enqueued, key.encode() if key else None, bytes(bare))

        self._call(put())

    def make_anew(self, hub: str, instant: datetime) -> None:
        """Deletes the hub with its events, and makes it at ``instant`` under the same name."""
        self.hubs[hub] = [Partition() for _ in self.hubs[hub]]
        self.created = (instant - _EPOCH) // timedelta(milliseconds=1)

    def expire(self, hub: str, partition: int, events: int) -> None:
        """Forgets the oldest events of a partition."""

        async def expire() -> None:
            del self.hubs[hub][partition].events[:events]

        self._call(expire())

    @contextmanager
    def down(self) -> Iterator[None]:
        """Nobody can connect, and who was connected is cut off; afterwards the same logs are there again."""

        async def stop() -> None:
            self._server.close()
            for connection in list(self._connections):
                connection.sever()

        self._call(stop())
        try:
            yield
        finally:
            self._server = self._call(self._listen(self.port))

    def wait_for_receivers(self, count: int) -> None:
        """Waits until so many receivers were opened in all; fails after half a minute."""
        with self._opened:
            assert self._opened.wait_for(lambda: self.receivers >= count, timeout=30)

    # ---- what the connections ask, in the server's own thread --------------------------------------------------------

    def attached(self, link: Link) -> None:
        """A sender, a receiver, or one half of a request's pair of links."""
        if link.address in ("$cbs", "$management"):
            if link.to_client:
                self._replies[link.connection, link.address] = link
            return
        hub, group, partition = self._place(link.address)
        if not link.to_client:
            return
        if group != "$Default":
            raise Refused(b"amqp:not-found", f"The messaging entity '{hub}/ConsumerGroups/{group}' was not found")
        assert partition is not None
        reader = _Reader(link, self.hubs[hub][partition], self.faults)
        reader.oust_lower_levels()
        reader.partition.readers.append(reader)
        with self._opened:
            self.receivers += 1
            self._opened.notify_all()
        reader.task = self._loop.create_task(reader.run())

    def received(self, link: Link, message: bytes, *, batch: bool) -> None:
        """A request, or an event or a batch of them."""
        if link.address in ("$cbs", "$management"):
            request: Any = decode_payload(memoryview(message))
            answer = self._put_token(request) if link.address == "$cbs" else self._properties(request)
            reply = bytearray()
            encode_payload(reply, answer._replace(properties=Properties(correlation_id=request.properties.message_id)))
            link.connection.deliver(self._replies[link.connection, link.address], bytes(reply))
            return
        if self.faults.busy_sends:
            self.faults.busy_sends -= 1
            told = "The request was terminated because the entity is being throttled. Error code : 50002. Please wait 4"
            raise Refused(b"com.microsoft:server-busy", f"{told} seconds and try again. {_TRACKING}")
        self._store(link, message, batch)
        if self.faults.unanswered_sends:
            self.faults.unanswered_sends -= 1
            link.connection.sever()
            raise Severed

    def detached(self, link: Link) -> None:
        """A receiver is sent nothing more."""
        for partition in itertools.chain.from_iterable(self.hubs.values()):
            for reader in [reader for reader in partition.readers if reader.link is link]:
                partition.readers.remove(reader)
                if reader.task is not None:
                    reader.task.cancel()

    def _place(self, address: str) -> tuple[str, str | None, int | None]:
        """(hub, consumer group, partition) of a link's address."""
        found = _ADDRESS.match(address)
        if not found or found["hub"] not in self.hubs:
            raise Refused(b"amqp:not-found", f"The messaging entity '{address}' could not be found. {_TRACKING}")
        partition = found["partition"]
        if partition is not None and not 0 <= int(partition) < len(self.hubs[found["hub"]]):
            told = f"The specified partition is invalid for an EventHub partition sender or receiver: {partition}"
            raise Refused(b"com.microsoft:argument-out-of-range", told)
        return found["hub"], found["group"], None if partition is None else int(partition)

    def _put_token(self, request: Any) -> Message:
        audience = request.application_properties[b"name"].decode()
        refusal = self._refusal(request.value.decode(), audience)
        if refusal is None:
            return Message(application_properties={"status-code": 202, "status-description": "Accepted"}, value="ok")
        status, condition, told = refusal
        answer: dict[str | bytes, Any] = {"status-code": status, "status-description": f"{told} {_TRACKING}"}
        if self.faults.bare_refusals:
            answer["error-condition"] = condition
        return Message(application_properties=answer, value="no")

    def _refusal(self, token: str, audience: str) -> tuple[int, str, str] | None:
        hub = audience.split("/")[3]
        if not token.startswith("SharedAccessSignature ") and (self.token is None or token != self.token):
            return 401, "amqp:unauthorized-access", "Unauthorized access. 'Listen' claim(s) are required."
        if hub not in self.hubs:
            return 404, "amqp:not-found", f"The messaging entity '{audience}' could not be found."
        if token.startswith("SharedAccessSignature ") and not _is_signed(token):
            return 401, "amqp:unauthorized-access", "InvalidSignature: The token has an invalid signature."
        return None

    def _properties(self, request: Any) -> Message:
        asked = request.application_properties
        partitions = self.hubs.get(asked[b"name"].decode())
        if partitions is None:
            return Message(application_properties={"status-code": 404, "status-description": "not found"}, value="no")
        ids = [str(number) for number in range(len(partitions))]
        answer: dict[str, Any] = {"name": asked[b"name"].decode()}
        if asked[b"type"] == b"com.microsoft:eventhub":
            created = _typed("TIMESTAMP", self.created)
            answer |= {"created_at": created, "partition_count": len(ids), "partition_ids": ids}
        else:
            partition = partitions[int(asked[b"partition"])]
            answer |= {
                "partition": asked[b"partition"].decode(),
                "begin_sequence_number": _typed("LONG", partition.first_sequence),
                "last_enqueued_sequence_number": _typed("LONG", partition.next_sequence - 1),
                "last_enqueued_offset": str((partition.next_sequence - 1) * 64),
                "last_enqueued_time_utc": _typed("TIMESTAMP", partition.last_enqueued),
                "is_partition_empty": not partition.events,
            }
        return Message(application_properties={"status-code": 200, "status-description": "OK"}, value=answer)

    def _store(self, link: Link, message: bytes, batch: bool) -> None:
        hub, _, number = self._place(link.address)
        whole: Any = decode_payload(memoryview(message))
        singles = list(whole.data) if batch else [message]
        partitions = self.hubs[hub]
        key = (whole.message_annotations or {}).get(b"x-opt-partition-key")
        if number is not None and key is not None:
            raise Refused(b"amqp:not-allowed", "A partition key cannot be given to the sender of a partition")
        if number is None:
            number = zlib.crc32(key) % len(partitions) if key else next(self._turns) % len(partitions)
        enqueued = max(self._clock(), partitions[number].last_enqueued)
        for single in singles:
            partitions[number].append(enqueued, key, _bare(memoryview(single)))

    async def _listen(self, port: int = 0) -> asyncio.Server:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = Connection(self, reader, writer)
            self._connections.add(connection)
            await connection.serve()
            self._connections.discard(connection)

        return await asyncio.start_server(serve, "127.0.0.1", port)

    async def _stop(self) -> None:
        self._server.close()
        for connection in list(self._connections):
            connection.sever()
        ending = asyncio.all_tasks() - {asyncio.current_task()}
        if ending:
            await asyncio.wait(ending, timeout=10)

    def _call(self, work: Any) -> Any:
        done: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(timeout=30)


class _Reader:
    """Sends one receiver what it asked for."""

    def __init__(self, link: Link, partition: Partition, faults: Faults) -> None:
        self.link = link
        self.partition = partition
        self.task: asyncio.Task[None] | None = None
        self._faults = faults
        self._sever_after = faults.sever_after.pop(0) if faults.sever_after else None
        epoch = link.properties.get(b"com.microsoft:epoch")
        self.level = -1 if epoch is None else int(epoch)
        self._next = self._first()

    def oust_lower_levels(self) -> None:
        """Ends the receivers of a lower owner level; raises Refused when there is a higher one."""
        for other in list(self.partition.readers):
            told = f"a receiver with epoch '{max(self.level, other.level)}'"
            if other.level > self.level:
                raise Refused(b"amqp:link:stolen", f"There is already {told}. {_TRACKING}")
            if other.level < self.level or self.level >= 0:
                stolen = Refused(b"amqp:link:stolen", f"New {told} was created, so this one is ended. {_TRACKING}")
                other.link.connection.detach(other.link, stolen)

    async def run(self) -> None:
        """Sends events as they come and as the receiver has credit for them."""
        sent = 0
        while True:
            self.link.may_send.clear()
            waiting = self._waiting(min(self.link.credit, 100))
            if not waiting:
                await self.link.may_send.wait()
            for event in waiting:
                if sent == self._sever_after:
                    if self._faults.expire_on_sever:
                        self.partition.events.clear()
                    self.link.connection.sever()
                    return
                self._next = event.sequence + 1
                if event.sequence in self._faults.left_out:
                    self._faults.left_out.remove(event.sequence)
                    continue
                self.link.connection.deliver(self.link, event.payload)
                sent += 1
            await self.link.connection.delivered()

    def _waiting(self, most: int) -> list[Stored]:
        if self._faults.silent or most <= 0:
            return []
        first = bisect_left(self.partition.events, self._next, key=lambda event: event.sequence)
        return self.partition.events[first : first + most]

    def _first(self) -> int:
        """The number of the first event that the position lets through."""
        selector = self.link.filters.get(b"apache.org:selector-filter:string")
        found = _SELECTOR.match(selector.decode()) if selector else None
        if found is None or found["value"] == "-1":
            return self.partition.first_sequence
        if found["value"] == "@latest":
            return self.partition.next_sequence
        least = int(found["value"]) + (found["operator"] == ">")
        by: dict[str, Callable[[Stored], int]] = {
            "sequence-number": lambda event: event.sequence,
            "enqueued-time": lambda event: event.enqueued,
            "offset": lambda event: event.sequence * 64,
        }
        at = (event.sequence for event in self.partition.events if by[found["by"]](event) >= least)
        return next(at, self.partition.next_sequence)


def _is_signed(token: str) -> bool:
    claims = {name: values[0] for name, values in parse_qs(token.partition(" ")[2]).items()}
    text = f"{quote_plus(claims['sr'])}\n{claims['se']}".encode()
    signature = b64encode(hmac.new(KEY.encode(), text, hashlib.sha256).digest()).decode()
    return hmac.compare_digest(signature, claims["sig"]) and claims["skn"] == _POLICY


def _bare(message: memoryview) -> bytes:
    """The sections of a message that the service passes on as they are: its properties and its body."""
    kept = bytearray()
    while message:
        rest, _ = _DECODE_BY_CONSTRUCTOR[message[3]](message[4:])
        if message[2] >= 0x73:
            kept += message[: len(message) - len(rest)]
        message = rest
    return bytes(kept)


def _typed(kind: str, value: int) -> dict[str, Any]:
    return {"TYPE": kind, "VALUE": value}
