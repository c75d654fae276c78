"""The server's side of AMQP 1.0, as far as azure-eventhub speaks it: SASL, sessions, links, credit, long messages.

Frames go through the codec inside azure-eventhub, so this proves nothing about the codec itself. Neither is there TLS,
flow control by session windows, or resuming a link: each of them is left to the client's mercy.
"""

import asyncio
import itertools
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from azure.eventhub._pyamqp import performatives as frames
from azure.eventhub._pyamqp._decode import decode_frame
from azure.eventhub._pyamqp._encode import encode_frame
from azure.eventhub._pyamqp.endpoints import Source, Target
from azure.eventhub._pyamqp.error import AMQPError
from azure.eventhub._pyamqp.outcomes import Accepted, Rejected

LONGEST_MESSAGE = 1024 * 1024
_SASL_HEADER = b"AMQP\x03\x01\x00\x00"
_AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
_OPEN, _BEGIN, _ATTACH, _FLOW, _TRANSFER, _DISPOSITION, _DETACH, _END, _CLOSE = range(0x10, 0x19)
_CREDIT = 1_000
_WINDOW = 1_000_000
_BATCH_FORMAT = 0x80013700
_SOURCE: Any = Source
_TARGET: Any = Target


class Refused(Exception):
    """The service refuses a link or a message, with an AMQP condition and a description."""

    def __init__(self, condition: bytes, description: str) -> None:
        super().__init__(description)
        self.condition = condition
        self.description = description


class Severed(Exception):
    """The service cuts the connection off without a word."""


@dataclass(eq=False)
class Link:
    """One link of a connection. ``to_client`` says whose messages it carries; ``credit`` is how many more it may."""

    connection: "Connection"
    channel: int
    handle: int
    to_client: bool
    address: str
    properties: dict[bytes, Any]
    filters: dict[bytes, bytes]
    credit: int = 0
    delivered: int = 0
    may_send: asyncio.Event = field(default_factory=asyncio.Event)
    _partial: bytearray = field(default_factory=bytearray)


class Service(Protocol):
    """What sits behind the connections. Everything is called in the server's one event loop."""

    def attached(self, link: Link) -> None:
        """A link came; raises Refused to turn it away."""

    def received(self, link: Link, message: bytes, *, batch: bool) -> None:
        """A whole message came, or a batch of them in one; raises Refused to reject it, Severed to be cut off."""

    def detached(self, link: Link) -> None:
        """A link is gone."""


class Connection:
    """One client's connection, until either side ends it."""

    def __init__(self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._service = service
        self._reader = reader
        self._writer = writer
        self._links: dict[tuple[int, int], Link] = {}
        self._longest_frame = 65_536
        self._deliveries = itertools.count()
        self._received: dict[int, int] = {}

    async def serve(self) -> None:
        """Answers the client's frames until the connection is closed or cut off."""
        with suppress(asyncio.IncompleteReadError, ConnectionError, Severed):
            await self._sasl()
            while await self._answer():
                await self._writer.drain()
        self.sever()

    def sever(self) -> None:
        """Cuts the connection off."""
        self._writer.transport.abort()
        links, self._links = list(self._links.values()), {}
        for link in links:
            self._service.detached(link)

    def deliver(self, link: Link, message: bytes) -> None:
        """Sends a message down a link, in as many frames as it takes, for one credit."""
        link.credit -= 1
        link.delivered += 1
        delivery = next(self._deliveries)
        room = self._longest_frame - 512
        for start in range(0, max(len(message), 1), room):
            self._write(
                link.channel,
                frames.TransferFrame(
                    handle=link.handle,
                    delivery_id=delivery,
                    delivery_tag=struct.pack(">I", delivery),
                    message_format=0,
                    settled=True,
                    more=start + room < len(message),
                    payload=message[start : start + room],
                ),
            )

    async def delivered(self) -> None:
        """Waits until what was sent is on its way, as far as the client takes it."""
        await self._writer.drain()

    def detach(self, link: Link, refused: Refused) -> None:
        """Ends a link with an error."""
        error = AMQPError(refused.condition, refused.description, None)
        self._write(link.channel, frames.DetachFrame(handle=link.handle, closed=True, error=error))
        if self._links.pop((link.channel, link.handle), None):
            self._service.detached(link)

    async def _sasl(self) -> None:
        await self._reader.readexactly(len(_SASL_HEADER))
        self._writer.write(_SASL_HEADER)
        self._write(0, frames.SASLMechanism(sasl_server_mechanisms=[b"ANONYMOUS", b"MSSBCBS"]), sasl=True)
        await self._frame()
        self._write(0, frames.SASLOutcome(code=0, additional_data=b""), sasl=True)

    async def _answer(self) -> bool:
        channel, performative, fields = await self._frame()
        if performative == _OPEN:
            self._open(fields)
        elif performative == _BEGIN:
            self._begin(channel, fields)
        elif performative == _ATTACH:
            self._attach(channel, fields)
        elif performative == _FLOW:
            self._flow(channel, fields)
        elif performative == _TRANSFER:
            self._transfer(channel, fields)
        elif performative == _DETACH:
            self._detach(channel, fields)
        elif performative == _END:
            self._write(channel, frames.EndFrame(error=None))
        elif performative == _CLOSE:
            self._write(0, frames.CloseFrame(error=None))
            return False
        return True

    def _open(self, fields: list[Any]) -> None:
        self._longest_frame = min(fields[2] or self._longest_frame, self._longest_frame)
        self._write(
            0,
            frames.OpenFrame(
                container_id="fake",
                hostname=None,
                max_frame_size=65_536,
                channel_max=255,
                idle_timeout=None,
                outgoing_locales=None,
                incoming_locales=None,
                offered_capabilities=None,
                desired_capabilities=None,
                properties=None,
            ),
        )

    def _begin(self, channel: int, fields: list[Any]) -> None:
        self._received[channel] = fields[1]
        self._write(
            channel,
            frames.BeginFrame(
                remote_channel=channel,
                next_outgoing_id=0,
                incoming_window=_WINDOW,
                outgoing_window=_WINDOW,
                handle_max=255,
                offered_capabilities=None,
                desired_capabilities=None,
                properties=None,
            ),
        )

    def _attach(self, channel: int, fields: list[Any]) -> None:
        name, handle, client_receives = fields[0].decode(), fields[1], bool(fields[2])
        source, target = fields[5], fields[6]
        link = Link(
            connection=self,
            channel=channel,
            handle=handle,
            to_client=client_receives,
            address=(source if client_receives else target)[0].decode(),
            properties=fields[13] or {},
            filters=(source[7] if client_receives else None) or {},
        )
        try:
            self._service.attached(link)
        except Refused as refused:
            # As AMQP has it: attached without the end that is refused, and detached at once.
            self._write(channel, self._attached(name, link, source=None, target=None))
            self.detach(link, refused)
            return
        self._links[channel, handle] = link
        self._write(channel, self._attached(name, link, _SOURCE(address=source[0]), _TARGET(address=target[0])))
        if not client_receives:
            self._grant(link)

    @staticmethod
    def _attached(name: str, link: Link, source: Any, target: Any) -> frames.AttachFrame:
        return frames.AttachFrame(
            name=name,
            handle=link.handle,
            role=not link.to_client,
            send_settle_mode=0,
            rcv_settle_mode=0,
            source=source,
            target=target,
            unsettled=None,
            incomplete_unsettled=None,
            initial_delivery_count=0,
            max_message_size=LONGEST_MESSAGE,
            offered_capabilities=None,
            desired_capabilities=None,
            properties=None,
        )

    def _flow(self, channel: int, fields: list[Any]) -> None:
        link = self._links.get((channel, fields[4]))
        if link is None or not link.to_client:
            return
        link.credit = (fields[5] or 0) + (fields[6] or 0) - link.delivered
        link.may_send.set()

    def _transfer(self, channel: int, fields: list[Any]) -> None:
        link = self._links[channel, fields[0]]
        link._partial += fields[11]
        if fields[5]:
            return
        message, link._partial = bytes(link._partial), bytearray()
        self._received[channel] += 1
        state: Accepted | Rejected = Accepted()
        try:
            self._service.received(link, message, batch=fields[3] == _BATCH_FORMAT)
        except Refused as refused:
            state = Rejected(error=AMQPError(refused.condition, refused.description, None))
        self._write(
            channel,
            frames.DispositionFrame(
                role=True, first=fields[1], last=fields[1], settled=True, state=state, batchable=None
            ),
        )
        link.delivered += 1
        self._grant(link)

    def _grant(self, link: Link) -> None:
        """Lets the client send more."""
        self._write(
            link.channel,
            frames.FlowFrame(
                next_incoming_id=self._received[link.channel],
                incoming_window=_WINDOW,
                next_outgoing_id=0,
                outgoing_window=_WINDOW,
                handle=link.handle,
                delivery_count=link.delivered,
                link_credit=_CREDIT,
                available=None,
                drain=None,
                echo=None,
                properties=None,
            ),
        )

    def _detach(self, channel: int, fields: list[Any]) -> None:
        link = self._links.pop((channel, fields[0]), None)
        if link is not None:
            self._service.detached(link)
            self._write(channel, frames.DetachFrame(handle=fields[0], closed=True, error=None))

    async def _frame(self) -> tuple[int, int, list[Any]]:
        """The next frame's channel, kind and fields; the keep-alive's empty ones are passed over."""
        while True:
            header = await self._reader.readexactly(8)
            if header == _AMQP_HEADER:
                self._writer.write(_AMQP_HEADER)
                continue
            size, channel = struct.unpack(">I2xH", header)
            if size > len(header):
                body = await self._reader.readexactly(size - len(header))
                performative, fields = decode_frame(memoryview(body))
                return channel, performative, fields

    def _write(self, channel: int, frame: Any, *, sasl: bool = False) -> None:
        header, body = encode_frame(frame, b"\x01" if sasl else b"\x00")
        self._writer.write(header + struct.pack(">H", channel) + (body or b""))
