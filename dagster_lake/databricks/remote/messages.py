"""Pipes messages as files in a folder of a Unity Catalog volume: written there at once, read on the other side.

Dagster's own writer collects messages for ten seconds and numbers its files from one, so that a task which Databricks
starts again writes over what was read. Ours are few, and are named by the time they were written.
"""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath

from dagster_pipes import PipesMessage, PipesMessageWriter, PipesMessageWriterChannel, PipesParams


class FolderChannel(PipesMessageWriterChannel):
    """Writes each message as a file of its own; a line's end at its end says that it is whole."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._last = 0

    def write_message(self, message: PipesMessage) -> None:
        """Writes ``message``; messages sort by their files' names."""
        with self._lock:
            self._last = max(time.time_ns(), self._last + 1)
            with open(PurePosixPath(self.folder, f"{self._last:020}.json"), "w", encoding="utf-8") as file:
                file.write(json.dumps(message) + "\n")


class FolderMessageWriter(PipesMessageWriter[FolderChannel]):
    """Opens the channel that the orchestration side named."""

    @contextmanager
    def open(self, params: PipesParams) -> Iterator[FolderChannel]:
        """The channel into ``params["path"]``."""
        yield FolderChannel(params["path"])
