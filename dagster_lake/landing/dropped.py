"""The landing folder: which files of it are taken, and reading one that somebody may still be writing."""

import hashlib
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

from dagster_lake.contract.model import FileSource
from dagster_lake.errors import LakeError
from dagster_lake.landing.result import Skipped, Unreadable
from dagster_lake.storage.adls.blobs import Blob, BlobChanged, UnchangedBlob, list_blobs
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.paths import local_path

ENDINGS = {"json_lines": (".jsonl", ".ndjson", ".json"), "json_document": (".json",)}
MODIFIED_NOTE = "mtime"
"""The metadata in which a copied file's own modification time is noted, in ISO 8601; rclone's name for it."""
GENERATED_NOTE = "_generated"
"""The file in which our own generators note what they wrote into a landing folder."""
_BUFFER = 1024 * 1024
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BEING_WRITTEN = (".tmp", ".part")
_Read = TypeVar("_Read")


class Unsettled(LakeError):
    """A file that changed or went away while it was being read: somebody is still writing the delivery."""


@dataclass(frozen=True)
class Stamp:
    """Size, modification time and time of arrival (nanoseconds since 1970), and in ADLS the etag: when none moves, the
    file is taken to be the same.

    The arrival is when the storage itself last saw the file change: whoever sets a modification time (`touch`, `cp -p`,
    `tar`), or puts another file of the same size and time in its place, moves it. 0 where the storage does not tell.
    """

    size: int
    modified_ns: int
    etag: str = ""
    arrived_ns: int = 0

    @property
    def modified(self) -> datetime:
        """The modification time, whole microseconds; the arrival, where that is before it.

        A file dated in the future would otherwise be the newest for ever, whatever corrects it.
        """
        return _instant(min(self.modified_ns, self.arrived_ns) if self.arrived_ns else self.modified_ns)

    @property
    def arrived(self) -> datetime:
        """When the file came to be here, whole microseconds; its modification time where the storage does not tell."""
        return _instant(self.arrived_ns or self.modified_ns)

    @property
    def dated(self) -> datetime:
        """The modification time as it stands, whole microseconds."""
        return _instant(self.modified_ns)


@dataclass(frozen=True)
class DroppedFile:
    """A file to land. ``source`` is its name below the landing folder, ``/`` between folders."""

    path: UPath
    source: str
    stamp: Stamp


@dataclass(frozen=True)
class Dropped:
    """A landing folder as it stands.

    ``files`` are those to land, by name; ``older`` counts those left out because the contract takes the latest file.
    ``listing`` is a fingerprint of all that is in the folder, skipped or not. ``marker`` is what the contract's marker
    file looks like, None without one.
    """

    files: list[DroppedFile]
    skipped: list[Skipped]
    older: int
    listing: str
    marker: str | None


def look_into(folder: UPath, source: FileSource) -> Dropped:
    """What the landing folder holds; only names, sizes and times are read.

    Raises Unreadable for a folder that cannot be read.
    """
    taken: list[DroppedFile] = []
    skipped: dict[str, Skipped] = {}
    listing: list[str] = []
    marker = None
    for file, reason in _blobs(folder) if is_adls(folder) else _files(local_path(folder)):
        listing.append(inventory_line(file))
        if file.source == source.marker:
            marker = inventory_line(file)
            continue
        name, hidden = _hidden(file.source)
        reason = hidden or reason or _other_format(file.source, source.format)
        if reason is None:
            taken.append(file)
        elif name != GENERATED_NOTE:
            skipped.setdefault(name, Skipped(name, reason))
    files, older = _latest(taken) if source.files == "latest_file" else (taken, 0)
    return Dropped(
        files=sorted(files, key=lambda f: f.source),
        skipped=sorted(skipped.values(), key=lambda s: s.source),
        older=older,
        listing=hashlib.sha256("\n".join(sorted(listing)).encode()).hexdigest(),
        marker=marker,
    )


def inventory_line(file: DroppedFile) -> str:
    """A file's name and stamp: another line when it is another file."""
    stamp = file.stamp
    return f"{file.source}\0{stamp.size}\0{stamp.modified_ns}\0{stamp.etag}\0{stamp.arrived_ns}"


def _latest(files: list[DroppedFile]) -> tuple[list[DroppedFile], int]:
    """The one file of the newest time, of several the last by name, and how many others there are."""
    newest = sorted(files, key=lambda file: (file.stamp.modified, file.source))[-1:]
    return newest, len(files) - len(newest)


def _files(folder: Path) -> Iterator[tuple[DroppedFile, str | None]]:
    try:
        if not folder.exists():
            return
        folders = [folder]
        while folders:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(Path(entry.path))
                        continue
                    path = Path(entry.path)  # has all that is asked of a UPath, and is made faster: files may be many
                    with suppress(FileNotFoundError):  # renamed just now: the next look finds its new name
                        file = DroppedFile(cast(UPath, path), _text(os.path.relpath(entry.path, folder)), _stamp(path))
                        yield file, _not_regular(entry)
    except NotADirectoryError:
        raise Unreadable(
            f"{folder} is a file, and has to be a folder to drop files into; move it away and run again"
        ) from None
    except PermissionError as error:
        raise Unreadable(
            f"{error.filename or folder} cannot be read; give its reader permission and run again"
        ) from None


def _blobs(folder: UPath) -> Iterator[tuple[DroppedFile, str | None]]:
    for blob in list_blobs(folder):
        yield DroppedFile(blob.path, str(blob.path).removeprefix(f"{folder}/"), _blob_stamp(blob)), None


def _hidden(source: str) -> tuple[str, str | None]:
    """The part of a file's name by which it is left alone, and why; the whole name and None for any other."""
    parts = source.split("/")
    for depth, part in enumerate(parts, 1):
        name = "/".join(parts[:depth]) + ("/" if depth < len(parts) else "")
        if part.startswith((".", "_")):
            return name, "begins with . or _, which says that it is not to be read; rename it if it is data"
        if part.endswith(_BEING_WRITTEN):
            return name, f"ends in {' or '.join(_BEING_WRITTEN)}: somebody is writing it, or broke off"
    return source, None


def _other_format(source: str, file_format: str) -> str | None:
    if source.lower().endswith(ENDINGS[file_format]):
        return None
    return f"does not end in {' or '.join(ENDINGS[file_format])}"


def read_steadily(file: DroppedFile, read: Callable[[BinaryIO], _Read]) -> _Read:
    """What ``read`` makes of a file that is still what it was when it was listed.

    Raises Unsettled for one that is not, and Unreadable for one that may not be read.
    """
    try:
        return _read_blob(file, read) if is_adls(file.path) else _read_file(file, read)
    except FileNotFoundError:
        raise Unsettled(f"{file.source} went away while it was being read") from None
    except PermissionError:
        raise Unreadable(f"{file.path} cannot be read; give its reader permission and run again") from None


def _read_file(file: DroppedFile, read: Callable[[BinaryIO], _Read]) -> _Read:
    path = cast(Path, file.path)
    with open(path, "rb") as opened:
        content = read(opened)
    if _stamp(path) != file.stamp:
        raise Unsettled(f"{file.source} changed while it was being read")
    return content


def _read_blob(file: DroppedFile, read: Callable[[BinaryIO], _Read]) -> _Read:
    """One request for a small file: it carries the etag of the listing as its condition."""
    try:
        with BufferedReader(UnchangedBlob(file.path, file.stamp.etag), _BUFFER) as opened:
            return read(cast(BinaryIO, opened))
    except BlobChanged:
        raise Unsettled(f"{file.source} changed while it was being read") from None


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
    return Stamp(status.st_size, status.st_mtime_ns, arrived_ns=status.st_ctime_ns)


def _blob_stamp(blob: Blob) -> Stamp:
    """Of a copied file, the original's time counts, where the one who copied it noted it as rclone does."""
    modified = blob.modified
    with suppress(ValueError):
        noted = datetime.fromisoformat(blob.notes.get(MODIFIED_NOTE, ""))
        modified = noted if noted.tzinfo else noted.replace(tzinfo=UTC)
    # The storage tells whole seconds: the arrival is at the end of the one it names.
    return Stamp(blob.size, _nanoseconds(modified), blob.etag, _nanoseconds(blob.modified + timedelta(seconds=1)))


def _nanoseconds(instant: datetime) -> int:
    return (instant - _EPOCH) // timedelta(microseconds=1) * 1000


def _instant(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def _text(name: str) -> str:
    """``name`` as text that any file can hold; a byte that is not UTF-8 shows as ``\\xNN``."""
    return os.fsencode(name).decode("utf-8", "backslashreplace").replace(os.sep, "/")
