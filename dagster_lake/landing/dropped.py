"""The landing folder: which files of it are taken, and reading one that somebody may still be writing."""

import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

from dagster_lake.landing.result import LandingError, Skipped

ENDINGS = {"json_lines": (".jsonl", ".ndjson", ".json"), "json_document": (".json",)}
READ_ATTEMPTS = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Stamp:
    """Size and modification time (nanoseconds since 1970): when neither moves, the file is taken to be the same."""

    size: int
    modified_ns: int

    @property
    def modified(self) -> datetime:
        """The modification time, whole microseconds."""
        return _EPOCH + timedelta(microseconds=self.modified_ns // 1000)


@dataclass(frozen=True)
class DroppedFile:
    """A file to land. ``source`` is its name below the landing folder, ``/`` between folders."""

    path: Path
    source: str
    stamp: Stamp


def dropped_files(folder: Path, file_format: str) -> tuple[list[DroppedFile], list[Skipped]]:
    """The files of ``folder`` and below that ``file_format`` takes, by name, and those left out with the reason.

    Names that start with ``.`` or ``_`` or end in ``.tmp`` or ``.part`` are not mentioned: somebody is writing them.
    """
    taken: list[DroppedFile] = []
    skipped: list[Skipped] = []
    folders = [folder] if folder.is_dir() else []
    while folders:
        for entry in os.scandir(folders.pop()):
            if entry.name.startswith((".", "_")) or entry.name.endswith((".tmp", ".part")):
                continue
            source = _text(os.path.relpath(entry.path, folder))
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            elif reason := _reason_to_skip(entry, ENDINGS[file_format]):
                skipped.append(Skipped(source, reason))
            else:
                taken.append(DroppedFile(Path(entry.path), source, _stamp(Path(entry.path))))
    return sorted(taken, key=lambda f: f.source), sorted(skipped, key=lambda s: s.source)


def read_steadily(file: DroppedFile, read: Callable[[Path], _Read]) -> tuple[Stamp, _Read]:
    """What ``read`` makes of a file that did not change meanwhile, and the file's stamp.

    Raises LandingError when the file changed at each of ``READ_ATTEMPTS`` attempts, or went away.
    """
    try:
        for _ in range(READ_ATTEMPTS):
            before = _stamp(file.path)
            content = read(file.path)
            if _stamp(file.path) == before:
                return before, content
    except FileNotFoundError:
        raise LandingError(
            f"{file.path} went away while it was being landed; run again when the landing folder is settled"
        ) from None
    except PermissionError:
        raise LandingError(f"{file.path} cannot be read; give its reader permission and run again") from None
    raise LandingError(
        f"{file.path} changed while it was being read, {READ_ATTEMPTS} times; write it under a name ending in .tmp and "
        "rename it when it is whole, then run again"
    )


def safe_name(number: int, source: str) -> str:
    """A file name for the copy of ``source``: unique by ``number``, and harmless whatever ``source`` holds."""
    return f"{number:06d}-{re.sub(r'[^A-Za-z0-9._-]+', '_', source)[-80:]}"


def _reason_to_skip(entry: os.DirEntry[str], endings: tuple[str, ...]) -> str | None:
    if entry.is_symlink():
        return "is a symbolic link; drop the file itself"
    if not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
        return "is not a regular file"
    if not entry.name.lower().endswith(endings):
        return f"does not end in {' or '.join(endings)}"
    return None


def _stamp(path: Path) -> Stamp:
    status = os.stat(path, follow_symlinks=False)
    return Stamp(status.st_size, status.st_mtime_ns)


def _text(name: str) -> str:
    """``name`` as text that any file can hold; a byte that is not UTF-8 shows as ``\\xNN``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace").replace(os.sep, "/")
