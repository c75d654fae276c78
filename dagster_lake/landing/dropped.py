"""The landing folder: which files of it are taken, and reading one that somebody may still be writing."""

import os
import re
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, TypeVar, cast

from upath import UPath

from dagster_lake.landing.result import LandingError, Skipped
from dagster_lake.storage.adls_path import is_adls
from dagster_lake.storage.blobs import Blob, BlobChanged, UnchangedBlob, list_blobs, look_at
from dagster_lake.storage.paths import local_path

ENDINGS = {"json_lines": (".jsonl", ".ndjson", ".json"), "json_document": (".json",)}
READ_ATTEMPTS = 3
MODIFIED_NOTE = "mtime"
"""The metadata in which a copied file's own modification time is noted, in ISO 8601; rclone's name for it."""
_BUFFER = 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Read = TypeVar("_Read")


@dataclass(frozen=True)
class Stamp:
    """Size and modification time (nanoseconds since 1970), and in ADLS the etag: when none moves, the file is taken to
    be the same."""

    size: int
    modified_ns: int
    etag: str = ""

    @property
    def modified(self) -> datetime:
        """The modification time, whole microseconds."""
        return _EPOCH + timedelta(microseconds=self.modified_ns // 1000)


@dataclass(frozen=True)
class DroppedFile:
    """A file to land. ``source`` is its name below the landing folder, ``/`` between folders."""

    path: UPath
    source: str
    stamp: Stamp


def dropped_files(folder: UPath, file_format: str) -> tuple[list[DroppedFile], list[Skipped]]:
    """The files of ``folder`` and below that ``file_format`` takes, by name, and those left out with the reason.

    Names that start with ``.`` or ``_`` or end in ``.tmp`` or ``.part`` are not mentioned: somebody is writing them.
    """
    taken: list[DroppedFile] = []
    skipped: list[Skipped] = []
    found = _blobs(folder) if is_adls(folder) else _files(local_path(folder))
    for file, reason in found:
        if reason is None and not file.path.name.lower().endswith(ENDINGS[file_format]):
            reason = f"does not end in {' or '.join(ENDINGS[file_format])}"
        if reason is None:
            taken.append(file)
        else:
            skipped.append(Skipped(file.source, reason))
    return sorted(taken, key=lambda f: f.source), sorted(skipped, key=lambda s: s.source)


def _files(folder: Path) -> Iterator[tuple[DroppedFile, str | None]]:
    if folder.exists() and not folder.is_dir():
        raise LandingError(f"{folder} is a file, and has to be a folder to drop files into; move it away and run again")
    folders = [folder] if folder.is_dir() else []
    while folders:
        for entry in os.scandir(folders.pop()):
            if _is_being_written(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            else:
                source, reason = _text(os.path.relpath(entry.path, folder)), _not_regular(entry)
                path = Path(entry.path)  # has all that is asked of a UPath, and is made faster: files may be many
                yield DroppedFile(cast(UPath, path), source, _stamp(path)), reason


def _blobs(folder: UPath) -> Iterator[tuple[DroppedFile, str | None]]:
    for blob in list_blobs(folder):
        source = str(blob.path).removeprefix(f"{folder}/")
        if not any(_is_being_written(name) for name in source.split("/")):
            yield DroppedFile(blob.path, source, _blob_stamp(blob)), None


def _is_being_written(name: str) -> bool:
    return name.startswith((".", "_")) or name.endswith((".tmp", ".part"))


def read_steadily(file: DroppedFile, read: Callable[[BinaryIO], _Read]) -> tuple[Stamp, _Read]:
    """What ``read`` makes of a file that did not change meanwhile, and the file's stamp.

    Raises LandingError when the file changed at each of ``READ_ATTEMPTS`` attempts, or went away.
    """
    read_once = _read_blob if is_adls(file.path) else _read_file
    try:
        for attempt in range(READ_ATTEMPTS):
            found = read_once(file, read, again=attempt > 0)
            if found is not None:
                return found
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


def _read_file(file: DroppedFile, read: Callable[[BinaryIO], _Read], *, again: bool) -> tuple[Stamp, _Read] | None:
    path = cast(Path, file.path)
    before = _stamp(path)
    with open(path, "rb") as opened:
        content = read(opened)
    return (before, content) if _stamp(path) == before else None


def _read_blob(file: DroppedFile, read: Callable[[BinaryIO], _Read], *, again: bool) -> tuple[Stamp, _Read] | None:
    """One request for a small file: it carries the etag of the listing as its condition."""
    stamp = file.stamp
    if again:
        blob = look_at(file.path)
        if blob is None:
            raise FileNotFoundError(file.path)
        stamp = _blob_stamp(blob)
    try:
        with BufferedReader(UnchangedBlob(file.path, stamp.etag), _BUFFER) as opened:
            return stamp, read(cast(BinaryIO, opened))
    except BlobChanged:
        return None


def safe_name(number: int, source: str) -> str:
    """A file name for the copy of ``source``: unique by ``number``, and harmless whatever ``source`` holds."""
    return f"{number:06d}-{re.sub(r'[^A-Za-z0-9._-]+', '_', source)[-80:]}"


def _not_regular(entry: os.DirEntry[str]) -> str | None:
    if entry.is_symlink():
        return "is a symbolic link; drop the file itself"
    if not stat.S_ISREG(entry.stat(follow_symlinks=False).st_mode):
        return "is not a regular file"
    return None


def _stamp(path: Path) -> Stamp:
    status = os.stat(path, follow_symlinks=False)
    return Stamp(status.st_size, status.st_mtime_ns)


def _blob_stamp(blob: Blob) -> Stamp:
    """Of a copied file, the original's time counts, where the one who copied it noted it as rclone does."""
    modified = blob.modified
    with suppress(ValueError):
        noted = datetime.fromisoformat(blob.notes.get(MODIFIED_NOTE, ""))
        modified = noted if noted.tzinfo else noted.replace(tzinfo=UTC)
    return Stamp(blob.size, (modified - _EPOCH) // timedelta(microseconds=1) * 1000, blob.etag)


def _text(name: str) -> str:
    """``name`` as text that any file can hold; a byte that is not UTF-8 shows as ``\\xNN``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace").replace(os.sep, "/")
