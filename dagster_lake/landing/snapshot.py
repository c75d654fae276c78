"""Landing a snapshot: everything in a data set's landing folder, as it stands."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import BinaryIO

import pyarrow as pa
from upath import UPath

from dagster_lake import clock
from dagster_lake.commit import commit
from dagster_lake.contract import Contract, FileSource
from dagster_lake.landing.attempt import AttemptFolder, HashingFile, locked, remove_old_blobs, until_published
from dagster_lake.landing.dropped import ENDINGS, DroppedFile, Stamp, dropped_files, read_steadily, safe_name
from dagster_lake.landing.line_count import LineCounter
from dagster_lake.landing.result import Landed, LandingError, Skipped
from dagster_lake.landing.zone import require_one_zone
from dagster_lake.storage.adls_path import is_adls
from dagster_lake.storage.manifest import (
    Attempt,
    Manifest,
    ManifestReplaced,
    landed_partitions,
    read_manifest,
    write_manifest,
)
from dagster_lake.storage.paths import Lake, local_path

SNAPSHOT_FORMAT = "%Y-%m-%dT%H%M%SZ"
_DOCUMENT_FIELDS: list[pa.Field] = [
    pa.field("source_file", pa.string(), nullable=False),
    pa.field("modified", pa.timestamp("us", "UTC"), nullable=False),
    pa.field("body", pa.binary(), nullable=False),
]
DOCUMENT_SCHEMA = pa.schema(_DOCUMENT_FIELDS)
"""The columns of packed documents: one row a file, its bytes exactly as they were."""

_BATCH_BYTES = 64 * 1024 * 1024
_BATCH_FILES = 10_000
_CHUNK = 1024 * 1024
_READERS = 4
_REMOTE_READERS = 16


@dataclass
class _Content:
    """What was read, file by file: the inventory (name, size, time) and the checksum over names and bytes."""

    inventory: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    checksum: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def add(self, source: str, stamp: Stamp, digest: bytes) -> None:
        self.inventory.update(_inventory_line(source, stamp))
        self.checksum.update(hashlib.sha256(source.encode()).digest() + digest)


def land_snapshot(contract: Contract, lake: Lake, *, refresh: bool = False) -> Landed:
    """Lands what is in the landing folder as a new snapshot, unless the newest one holds the same already.

    The snapshot's key is the newest modification time among its files, or the present where that is not later than
    the previous snapshot's. ``refresh`` lands a new one even of the same content. Files that the format does not take
    are reported as skipped. Without any file nothing is landed, and a note says so. Raises LandingError when a file
    keeps changing.
    """
    if not isinstance(contract.source, FileSource):
        raise LandingError(f"{contract.name}: arrives by hour from a {contract.source.kind}; land its hours instead")
    require_one_zone(contract, lake)
    return until_published(partial(_land, contract, contract.source, lake, refresh))


def _land(contract: Contract, source: FileSource, lake: Lake, refresh: bool) -> Landed:
    raw = lake.raw(contract.name, sensitive=contract.sensitive)
    with locked(raw, f"{contract.name}, snapshot"):
        files, skipped_files = dropped_files(lake.landing(contract.name), source.format)
        skipped = tuple(skipped_files)
        previous = _newest(raw)
        if not files:
            return _nothing_to_land(contract, source, lake, previous, skipped)
        if previous and not refresh and _inventory(files) == previous.source_state:
            return Landed.of(previous, changed=False, skipped=skipped)
        _remove_leftovers(raw, previous)
        now = clock.utc_now()
        key = _key(files, previous, now)
        attempt = AttemptFolder(raw / key, 1)
        content = _Content()
        with commit(f"raw.{contract.name}.files"):
            if source.format == "json_lines":
                _copy(files, attempt, content)
            else:
                attempt.write_parquet("documents", DOCUMENT_SCHEMA, _documents(files, content))
        landed = Manifest(
            data_set=contract.name,
            partition=key,
            kind=source.kind,
            attempts=(Attempt(1, now, tuple(attempt.files)),),
            complete=True,
            landed_at=now,
            source_state=content.inventory.hexdigest(),
            content=content.checksum.hexdigest(),
        )
        if previous and not refresh and landed.content == previous.content:
            # The files were only touched. Noting how they look now saves reading them again next time.
            seen = replace(previous, source_state=landed.source_state)
            write_manifest(raw / previous.partition, seen, replacing=previous)
            _discard(raw / key, attempt)
            return Landed.of(previous, changed=False, skipped=skipped)
        try:
            write_manifest(raw / key, landed, replacing=None)
        except ManifestReplaced:
            _discard(raw / key, attempt)
            raise
        return Landed.of(landed, changed=True, skipped=skipped)


def _nothing_to_land(
    contract: Contract, source: FileSource, lake: Lake, previous: Manifest | None, skipped: tuple[Skipped, ...]
) -> Landed:
    """No failure: a partner who is late must not stop what others delivered. What landed before stays in force."""
    patterns = ", ".join(f"*{ending}" for ending in ENDINGS[source.format])
    others = f" ({len(skipped)} other files are there)" if skipped else ""
    found = f"no file to land{others}; drop {patterns} into {lake.landing(contract.name)}"
    if previous is None:
        return Landed.nothing(skipped, (f"{found}. Nothing was ever delivered, so its tables are empty",))
    return Landed.of(
        previous, changed=False, skipped=skipped, notes=(f"{found}. Snapshot {previous.partition} stays in force",)
    )


def _inventory_line(source: str, stamp: Stamp) -> bytes:
    return f"{source}\0{stamp.size}\0{stamp.modified_ns}\0{stamp.etag}".encode()


def _inventory(files: list[DroppedFile]) -> str:
    inventory = hashlib.sha256()
    for file in files:
        inventory.update(_inventory_line(file.source, file.stamp))
    return inventory.hexdigest()


def _key(files: list[DroppedFile], previous: Manifest | None, now: datetime) -> str:
    newest = max(file.stamp.modified for file in files)
    key = min(newest, now).strftime(SNAPSHOT_FORMAT)
    if previous and key <= previous.partition:
        key = now.strftime(SNAPSHOT_FORMAT)
    if previous and key <= previous.partition:
        after = datetime.strptime(previous.partition, SNAPSHOT_FORMAT).replace(tzinfo=UTC) + timedelta(seconds=1)
        key = after.strftime(SNAPSHOT_FORMAT)
    return key


def _discard(partition: UPath, attempt: AttemptFolder) -> None:
    """Removes what was landed in vain. In ADLS, where nothing is locked, another landing may have the same key."""
    if is_adls(partition):
        attempt.discard()
    else:
        shutil.rmtree(local_path(partition))


def _newest(raw: UPath) -> Manifest | None:
    landed = landed_partitions(raw)
    return read_manifest(raw / landed[-1]) if landed else None


def _remove_leftovers(raw: UPath, newest: Manifest | None) -> None:
    """Removes the folders of crashed landings: they have no manifest, and their keys are later than the newest."""

    def crashed(name: str) -> bool:
        return not name.startswith(".") and (newest is None or name > newest.partition)

    if is_adls(raw):
        remove_old_blobs(raw, crashed)
        return
    for entry in os.scandir(local_path(raw)):
        if crashed(entry.name):
            shutil.rmtree(entry.path)


def _copy(files: list[DroppedFile], attempt: AttemptFolder, content: _Content) -> None:
    for number, file in enumerate(files):
        name = safe_name(number, file.source)

        def copy(opened: BinaryIO, name: str = name) -> tuple[HashingFile, int]:
            counter = LineCounter()
            with attempt.new_file(name) as copied:
                while chunk := opened.read(_CHUNK):
                    copied.write(chunk)
                    counter.add(chunk)
            return copied, counter.lines

        stamp, (copied, lines) = read_steadily(file, copy)
        attempt.add(name, lines, copied, source=file.source, modified=stamp.modified)
        content.add(file.source, stamp, copied.sha256.digest())


def _documents(files: list[DroppedFile], content: _Content) -> Iterator[pa.RecordBatch]:
    """The files as ``DOCUMENT_SCHEMA``, read by a few threads; a batch holds at most about ``_BATCH_BYTES``."""
    # A local disk is busy with a few; of a remote store it is the answers that are waited for.
    remote = any(is_adls(file.path) for file in files[:1])
    with ThreadPoolExecutor(_REMOTE_READERS if remote else _READERS) as readers:
        for batch in _batches(files):
            read = list(readers.map(lambda file: read_steadily(file, lambda opened: opened.read()), batch))
            for file, (stamp, body) in zip(batch, read, strict=True):
                content.add(file.source, stamp, hashlib.sha256(body).digest())
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array([file.source for file in batch], pa.string()),
                    pa.array([stamp.modified for stamp, _ in read], pa.timestamp("us", "UTC")),
                    pa.array([body for _, body in read], pa.binary()),
                ],
                schema=DOCUMENT_SCHEMA,
            )


def _batches(files: Iterable[DroppedFile]) -> Iterator[list[DroppedFile]]:
    batch: list[DroppedFile] = []
    size = 0
    for file in files:
        if batch and (len(batch) >= _BATCH_FILES or size + file.stamp.size > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(file)
        size += file.stamp.size
    if batch:
        yield batch
