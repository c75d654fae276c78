"""Where a run or a schedule of production's tests can be held up, and seen to be.

A gate is a lock on a file: the kernel opens it when the test's process ends, however that ends.
"""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

FOLDER = "LAKE_TEST_GATES"


def gate(name: str) -> None:
    """Waits while a test keeps the gate of this name shut; says first that somebody is here."""
    folder = Path(os.environ[FOLDER])
    file = folder / name
    if file.exists():
        (folder / f"{name}.here").write_text(f"{os.getpid()}\n")
        with file.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)


class Gate:
    """A gate that is shut until it is opened, or the block ends."""

    def __init__(self, folder: Path, name: str) -> None:
        self._file = folder / name
        self._here = folder / f"{name}.here"
        self._here.unlink(missing_ok=True)
        self._lock = self._file.open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    @property
    def waiting(self) -> int | None:
        """The process that waits here; None while nobody has come."""
        said = self._here.read_text() if self._here.exists() else ""
        return int(said) if said.endswith("\n") else None

    def open(self) -> None:
        """Lets everybody through, from now on."""
        self._file.unlink(missing_ok=True)
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.open()
