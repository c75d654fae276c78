"""Files that several processes may replace: none is replaced by who has not seen how it stands.

On a local disk who replaces them is alone meanwhile. In ADLS nobody is held up: a condition on the blob's etag lets one
of two writers win, and the other is told.
"""

import filecmp
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout
from upath import UPath

from dagster_lake.errors import LakeError
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.paths import local_path


class Overtaken(LakeError):
    """Another process has written, or is writing, what this one was about to."""


@dataclass(frozen=True)
class Seen:
    """A file as it stood: its content, None where there was none; its etag where it is in ADLS."""

    content: bytes | None
    etag: str | None = None


@contextmanager
def alone(folder: UPath, *, seconds: float) -> Iterator[None]:
    """Holds a local folder, which is made when absent, against others who ask for it; the lock goes with its process.

    Raises Overtaken when another one has held it for ``seconds``.
    """
    if is_adls(folder):
        yield
        return
    place = local_path(folder)
    place.mkdir(parents=True, exist_ok=True)
    lock = FileLock(place / ".lock", timeout=seconds)
    try:
        lock.acquire()
    except Timeout:
        raise Overtaken(f"another process has been at {folder} for {seconds:g} s") from None
    try:
        yield
    finally:
        lock.release()


def look(file: UPath) -> Seen:
    """How a small file stands."""
    if is_adls(file):
        from dagster_lake.storage.adls.blobs import read_blob

        found = read_blob(file)
        return Seen(None) if found is None else Seen(found[0], found[2])
    try:
        return Seen(local_path(file).read_bytes())
    except FileNotFoundError:
        return Seen(None)


def etag(file: UPath) -> str | None:
    """What tells this state of a blob from others; None where there is none, and on a local disk."""
    if not is_adls(file):
        return None
    from dagster_lake.storage.adls.blobs import etag_of

    return etag_of(file)


def holds(file: UPath, content: Path) -> bool:
    """Whether a file holds just what another one, on this machine, does."""
    if is_adls(file):
        from dagster_lake.storage.adls.blobs import look_at, read_blob

        there = look_at(file)
        if there is None or there.size != content.stat().st_size:
            return False
        found = read_blob(file)
        return found is not None and found[0] == content.read_bytes()
    place = local_path(file)
    return place.exists() and filecmp.cmp(place, content, shallow=False)


def put_guarded(file: UPath, content: bytes, seen: str | None) -> None:
    """Replaces a file as a whole. Raises Overtaken where its ``etag`` is not the one that was seen."""
    if is_adls(file):
        from dagster_lake.storage.adls.blobs import BlobChanged, put_blob

        try:
            put_blob(file, content, replacing=seen)
        except BlobChanged as error:
            raise Overtaken(str(error)) from None
        return
    with _replacing(file) as temporary:
        temporary.write_bytes(content)


def put_file_guarded(file: UPath, content: Path, seen: str | None) -> None:
    """As ``put_guarded``, with the content of a file on this machine."""
    if is_adls(file):
        put_guarded(file, content.read_bytes(), seen)
        return
    with _replacing(file) as temporary, open(content, "rb") as whole, open(temporary, "wb") as copy:
        while block := whole.read(1 << 20):
            copy.write(block)


@contextmanager
def _replacing(file: UPath) -> Iterator[Path]:
    """A place beside a local file, which becomes it at the end. Who was killed leaves one, for the next to write to."""
    place = local_path(file)
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f".{place.name}.tmp")
    yield temporary
    os.replace(temporary, place)
