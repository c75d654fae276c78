"""The sinks of the streams, and what can go wrong with one."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from upath import UPath

from dagster_lake.errors import LakeError
from dagster_lake.storage.delta.write import Pinned
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.declarations import StreamDeclaration
from dagster_lake.streams.declared_sinks import Format, SinkKind

DELIVERED = "sinks_delivered"
"""The check of a sink: it took the rows that it lacked."""


class SinkError(LakeError):
    """A sink did not take its rows; the message says why and what to do. It is tried again later."""


class SinkRefused(SinkError):
    """What will be the same the next time: rows that the sink cannot hold, or a table that is somebody else's."""


@dataclass(frozen=True)
class Sink:
    """One sink of one stream. ``key`` are the columns that tell the stream's rows from one another, ``data_sets`` those
    of events that it follows from."""

    stream: str
    key: tuple[str, ...]
    kind: SinkKind
    name: str
    format: Format | None = None
    data_sets: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """What names it in files and commits; no other sink has it."""
        return f"{self.kind}.{self.name}"

    @property
    def who(self) -> str:
        """What people are told of."""
        return f"{self.kind.replace('_', ' ')} {self.name} of {self.stream}"

    def table(self, lake: Lake) -> UPath:
        """The Delta table that its rows are of."""
        return lake.table("streams", self.stream)


class Position(NamedTuple):
    """What a sink has of its stream: all rows of this version of this very table."""

    table: str
    version: int

    @classmethod
    def of(cls, pinned: Pinned) -> "Position":
        """The position of who has everything."""
        return cls(str(pinned.table.metadata().id), pinned.version)


def sinks_of(streams: Iterable[StreamDeclaration]) -> list[Sink]:
    """Every sink that is declared."""
    return [
        Sink(stream.name, tuple(stream.key), sink.kind, sink.name, sink.format, tuple(stream.inputs))
        for stream in streams
        for sink in stream.sinks
    ]
