"""Where the lake keeps what it knows of a sink: ``sinks/<sink>/``, and whether it is in trouble: ``sinks/trouble/``."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from upath import UPath

from dagster_lake.commit import commit
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.guarded import Seen, alone, etag, look, put_guarded
from dagster_lake.storage.paths import Lake, local_path
from dagster_lake.streams.sinks.sink import Position, Sink

WAITS_SECONDS = 60.0
"""How long a process waits for another one that fills the same sink."""


class Place:
    """The folder of one sink."""

    def __init__(self, lake: Lake, sink: Sink) -> None:
        self.folder = lake.root / "sinks" / sink.id
        self._sink = sink
        self._seen: Seen | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the sink against other processes, where the lake is on this machine.

        Raises Overtaken when another one fills it for long.
        """
        with alone(self.folder, seconds=WAITS_SECONDS):
            yield

    def position(self) -> Position | None:
        """What the sink has, as noted; None for one that was never filled."""
        self._seen = look(self._note)
        if self._seen.content is None:
            return None
        noted = json.loads(self._seen.content)
        return Position(str(noted["table"]), int(noted["version"]))

    def move(self, to: Position) -> None:
        """Notes what the sink has. Raises Overtaken when another process did so since ``position``."""
        assert self._seen is not None, "whoever has not asked for the position does not know what it replaces"
        content = json.dumps({"stream": self._sink.stream, **to._asdict()}).encode()
        with commit(f"sink.{self._sink.id}.position"):
            put_guarded(self._note, content, self._seen.etag)

    @property
    def _note(self) -> UPath:
        return self.folder / "position.json"

    @staticmethod
    def names(folder: UPath) -> list[str]:
        """The names of the files in a folder, in order, without those that are just being written."""
        if is_adls(folder):
            from dagster_lake.storage.adls.blobs import list_blobs

            return [blob.path.name for blob in list_blobs(folder)]
        try:
            return sorted(name for name in os.listdir(local_path(folder)) if not name.startswith("."))
        except FileNotFoundError:
            return []

    @staticmethod
    def is_there(file: UPath) -> bool:
        """Whether there is such a file."""
        return etag(file) is not None if is_adls(file) else local_path(file).exists()
