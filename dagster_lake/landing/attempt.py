"""An attempt: a folder that one landing fills with files, which count for nothing until the manifest names them."""

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import IO, BinaryIO, TypeVar, cast

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from upath import UPath

from dagster_lake.landing.result import LandingError
from dagster_lake.storage.adls.blobs import Blob, list_blobs, remove_blobs
from dagster_lake.storage.adls.errors import reaching
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.back_off import BackOff
from dagster_lake.storage.manifest import MANIFEST_NAME, Manifest, ManifestReplaced, RawFile
from dagster_lake.storage.paths import local_path

FILE_ROWS = 1_000_000
ROW_GROUP_ROWS = 100_000
LOCK_SECONDS = 900
PUBLISH_ATTEMPTS = 12
_BACK_OFF = BackOff(timedelta(seconds=0.5), timedelta(seconds=20))
LEFTOVER_AGE = timedelta(hours=24)
REPLACED_AGE = timedelta(minutes=10)
_Landed = TypeVar("_Landed")


class AttemptFolder:
    """The folder of attempt ``number`` of the partition in ``partition``; its name is this process's own."""

    def __init__(self, partition: UPath, number: int) -> None:
        self.path = partition / f"attempt-{number:04d}-{uuid.uuid4().hex[:8]}"
        self.files: list[RawFile] = []

    @contextmanager
    def new_file(self, name: str) -> Iterator["HashingFile"]:
        """A file to write to, under its name only when it is whole and on disk."""
        if is_adls(self.path):
            # Uploaded in blocks while it is written; it appears when it is closed.
            with reaching(self.path), (self.path / name).open("wb") as upload:
                yield HashingFile(upload)
            return
        folder = local_path(self.path)
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f"{name}.tmp"
        with open(temporary, "wb") as raw:
            file = HashingFile(raw)
            yield file
            raw.flush()
            os.fsync(raw.fileno())
        os.replace(temporary, folder / name)

    def add(self, name: str, rows: int, written: "HashingFile", **origin: object) -> None:
        """Notes a written file for the manifest."""
        path = f"{self.path.name}/{name}"
        self.files.append(RawFile(path, rows, written.size, written.sha256.hexdigest(), **origin))  # type: ignore[arg-type]

    def write_parquet(self, name: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        """Writes ``batches`` as ``<name>-0000.parquet`` and on, about ``FILE_ROWS`` rows a file; no rows, no file."""
        groups = _row_groups(schema, batches)
        group = next(groups, None)
        while group is not None:
            file_name, rows = f"{name}-{len(self.files):04d}.parquet", 0
            with self.new_file(file_name) as file, _parquet_writer(file, schema) as writer:
                while group is not None and rows < FILE_ROWS:
                    writer.write_table(group, row_group_size=len(group))
                    rows += len(group)
                    group = next(groups, None)
            self.add(file_name, rows, file)

    def discard(self) -> None:
        """Removes the folder and what it holds."""
        if is_adls(self.path):
            remove_blobs(self.path, list_blobs(self.path))
        else:
            shutil.rmtree(local_path(self.path), ignore_errors=True)


class HashingFile:
    """A file that is only written to, and knows the checksum and size of what was written."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw = raw
        self.sha256 = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: bytes) -> int:
        """Appends ``data``."""
        self._raw.write(data)
        self.sha256.update(data)
        size = len(memoryview(data).cast("B"))
        self.size += size
        return size

    def tell(self) -> int:
        """The number of bytes written."""
        return self.size

    def flush(self) -> None:
        """Does nothing: the attempt flushes once, at the end."""

    def close(self) -> None:
        """Does nothing: the attempt closes the file when it is on disk."""

    def writable(self) -> bool:
        """Always true."""
        return True

    def readable(self) -> bool:
        """Always false."""
        return False

    def seekable(self) -> bool:
        """Always false."""
        return False


def _parquet_writer(file: HashingFile, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(cast(IO[bytes], file), schema, compression="zstd", compression_level=1)


def _row_groups(schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows of ``batches`` gathered into tables of at least ``ROW_GROUP_ROWS`` rows (the last may be smaller)."""
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        if not len(batch):
            continue
        waiting.append(batch)
        rows += len(batch)
        if rows >= ROW_GROUP_ROWS:
            yield pa.Table.from_batches(waiting, schema)
            waiting, rows = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting, schema)


@contextmanager
def locked(folder: UPath, what: str) -> Iterator[None]:
    """Holds ``folder`` against other landings, in this process and others; the lock goes with its process.

    In ADLS nothing is held: the manifest's conditional write lets one of two landings win, and the other land again.
    Raises LandingError when another landing of ``what`` holds it for ``LOCK_SECONDS``.
    """
    if is_adls(folder):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(local_path(folder) / ".lock", timeout=LOCK_SECONDS):
            yield
    except Timeout:
        raise LandingError(
            f"{what}: another process has been landing it for {LOCK_SECONDS} s; wait for it, or end it and run again"
        ) from None


def until_published(land: Callable[[], _Landed]) -> _Landed:
    """What ``land`` gives; it is called again when another landing was published while it was at work.

    The other one may be ``lake stream``, which publishes every second: ours finds less to do each time.
    """
    for failures in range(1, PUBLISH_ATTEMPTS):
        with suppress(ManifestReplaced):
            return land()
        _BACK_OFF.wait(failures)
    return land()


def remove_leftovers(partition: UPath, manifest: Manifest | None, now: datetime) -> None:
    """Removes what crashed landings left in a partition, and attempts replaced more than ``REPLACED_AGE`` ago.

    On a local disk the caller holds its lock, so nobody is writing there. In ADLS an attempt is left alone for
    ``LEFTOVER_AGE`` after its last file, since it may be another landing at work.
    """
    named = {file.path.split("/")[0] for file in manifest.files} if manifest else set()
    replaced = (manifest.replaced if manifest else None) or {}
    named.update(folder for folder, at in replaced.items() if now - at <= REPLACED_AGE)
    if is_adls(partition):
        remove_old_blobs(partition, lambda folder: folder.startswith("attempt-") and folder not in named)
        return
    for entry in os.scandir(local_path(partition)):
        if entry.name.startswith("attempt-") and entry.name not in named:
            shutil.rmtree(entry.path)
        elif entry.name.startswith(MANIFEST_NAME) and entry.name.endswith(".tmp"):
            os.unlink(entry.path)


def remove_old_blobs(parent: UPath, wanted: Callable[[str], bool]) -> None:
    """Removes the folders in ``parent`` whose names are ``wanted`` and whose newest blob is older than
    ``LEFTOVER_AGE``, by the storage's clock and ours."""
    folders: dict[str, list[Blob]] = {}
    for blob in list_blobs(parent):
        folders.setdefault(str(blob.path).removeprefix(f"{parent}/").split("/")[0], []).append(blob)
    for name, blobs in folders.items():
        if wanted(name) and datetime.now(UTC) - max(blob.modified for blob in blobs) > LEFTOVER_AGE:
            remove_blobs(parent, blobs)
