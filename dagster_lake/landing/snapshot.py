"""Landing a snapshot: everything in a data set's landing folder, as it stands."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import BinaryIO

import pyarrow as pa
from upath import UPath

from dagster_lake import clock
from dagster_lake.commit import commit
from dagster_lake.contract.model import Contract, FileSource
from dagster_lake.landing.as_lines import document_rows
from dagster_lake.landing.attempt import AttemptFolder, locked, remove_old_blobs, until_published
from dagster_lake.landing.copying import Copied, NoJson, add_copy, copy_file, refuse, refuse_others
from dagster_lake.landing.dropped import (
    ENDINGS,
    Dropped,
    DroppedFile,
    Unsettled,
    inventory_line,
    look_into,
    read_steadily,
    safe_name,
)
from dagster_lake.landing.result import Landed, LandingError, Unreadable
from dagster_lake.landing.whole import look_twice
from dagster_lake.landing.zone import require_one_zone
from dagster_lake.storage.adls.path import is_adls
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
    pa.field("_row", pa.int64()),
    pa.field("_original", pa.binary()),
]
DOCUMENT_SCHEMA = pa.schema(_DOCUMENT_FIELDS)
"""The columns of packed documents: one row a file, its bytes exactly as they were.

A file that is an array of objects has a row for each, with its number; where ``body`` is not the file's bytes, the
first row has them as ``_original``.
"""

_BATCH_BYTES = 64 * 1024 * 1024
_BATCH_FILES = 10_000
_CLOCKS_DIFFER = timedelta(minutes=1)
_READERS = 4
_REMOTE_READERS = 16


def land_snapshot(contract: Contract, lake: Lake, *, refresh: bool = False, others: Iterable[Contract] = ()) -> Landed:
    """Lands what is in the landing folder as a new snapshot, unless the newest one holds the same already.

    The snapshot's key is the newest modification time among its files, or the present where that is not later than
    the previous snapshot's. ``refresh`` lands a new one even of the same content. Only a whole delivery is landed (see
    ``landing.whole``; ``others`` may be landed by the same run): without one, the newest snapshot stays in force and a
    warning says why. Raises Unreadable for files that cannot be read.
    """
    if not isinstance(contract.source, FileSource):
        raise LandingError(f"{contract.name}: arrives by hour from a {contract.source.kind}; land its hours instead")
    require_one_zone(contract, lake)
    return until_published(partial(_land, contract, contract.source, lake, refresh, tuple(others)))


def holds(newest: Manifest | None, dropped: Dropped) -> bool:
    """Whether the newest snapshot was made of these very files."""
    return newest is not None and _inventory(dropped) == newest.source_state


def _land(contract: Contract, source: FileSource, lake: Lake, refresh: bool, others: tuple[Contract, ...]) -> Landed:
    raw = lake.raw(contract.name, sensitive=contract.sensitive)
    with locked(raw, f"{contract.name}, snapshot"):
        previous = _newest(raw)
        dropped = look_into(lake.landing(contract.name), source)
        known = holds(previous, dropped)
        if dropped.files and not known:
            dropped, why = look_twice(contract, lake, dropped, previous, others)
            if why is not None:
                return _waiting(contract, lake, dropped, previous, why)
        if not dropped.files:
            return _nothing_to_land(contract, source, lake, dropped, previous)
        if previous is not None and known and not refresh:
            return _unchanged(contract, raw, dropped, previous, previous)
        _remove_leftovers(raw, previous)
        now = clock.utc_now()
        key = _key(dropped.files, previous, now)
        attempt, checksum = AttemptFolder(raw / key, 1), hashlib.sha256()
        try:
            with commit(f"raw.{contract.name}.files"):
                if source.format == "json_lines":
                    _copy(contract, dropped.files, attempt, checksum)
                else:
                    attempt.write_parquet("documents", DOCUMENT_SCHEMA, _documents(dropped.files, checksum))
            if look_into(lake.landing(contract.name), source).listing != dropped.listing:
                raise Unsettled("changed while they were being read")
        except Unsettled as unsettled:
            _discard(raw / key, attempt)
            return _waiting(contract, lake, dropped, previous, str(unsettled))
        except Unreadable:
            _discard(raw / key, attempt)
            raise
        landed = Manifest(
            data_set=contract.name,
            partition=key,
            kind=source.kind,
            attempts=(Attempt(1, now, tuple(attempt.files)),),
            complete=True,
            landed_at=now,
            source_state=_inventory(dropped),
            content=checksum.hexdigest(),
            delivered_at=_delivered_at(dropped, now),
            marker=dropped.marker,
        )
        if previous is not None and not refresh and landed.content == previous.content:
            # The same was delivered again. Noting how it looks now saves reading it again next time.
            seen = replace(previous, source_state=landed.source_state, delivered_at=landed.delivered_at)
            _discard(raw / key, attempt)
            return _unchanged(contract, raw, dropped, previous, seen)
        try:
            write_manifest(raw / key, landed, replacing=None)
        except ManifestReplaced:
            _discard(raw / key, attempt)
            raise
        return _landed(contract, dropped, landed, changed=True)


def _unchanged(contract: Contract, raw: UPath, dropped: Dropped, previous: Manifest, seen: Manifest) -> Landed:
    """The newest snapshot once more, with what was ``seen`` of its delivery."""
    if dropped.marker is not None:
        seen = replace(seen, marker=dropped.marker)
    if seen != previous:
        write_manifest(raw / previous.partition, seen, replacing=previous)
    return _landed(contract, dropped, seen, changed=False)


def _landed(contract: Contract, dropped: Dropped, manifest: Manifest, *, changed: bool) -> Landed:
    notes = []
    if isinstance(contract.source, FileSource) and contract.source.format == "json_lines" and len(dropped.files) > 1:
        notes.append(
            f"{len(dropped.files):,} files are one snapshot together (files: all_files). If each of them is an export "
            f"in full, say files: latest_file in {contract.file}"
        )
    if dropped.older:
        latest = dropped.files[0].source
        notes.append(f"{latest} is the snapshot; {dropped.older:,} older files were left out (files: latest_file)")
    return Landed.of(
        manifest,
        changed=changed,
        skipped=tuple(dropped.skipped),
        warnings=tuple(_dated_ahead(dropped)),
        notes=tuple(notes),
    )


def _dated_ahead(dropped: Dropped) -> Iterator[str]:
    ahead = [file for file in dropped.files if file.stamp.dated - file.stamp.arrived > _CLOCKS_DIFFER]
    if ahead:
        first = ahead[0]
        others = f", and {len(ahead) - 1:,} more files too" if len(ahead) > 1 else ""
        yield (
            f"{first.source} is dated {first.stamp.dated:%Y-%m-%dT%H:%M:%SZ}, after it arrived"
            f"{others}: the time of arrival counts, {first.stamp.modified:%Y-%m-%dT%H:%M:%SZ}. Mend the sender's clock"
        )


def _waiting(contract: Contract, lake: Lake, dropped: Dropped, previous: Manifest | None, why: str) -> Landed:
    """No failure: what is not whole yet must not stop what others delivered."""
    warning = f"files in {lake.landing(contract.name)} are not taken yet: {why}. {_in_force(previous)}"
    return Landed.of(previous, changed=False, skipped=tuple(dropped.skipped), warnings=(warning,))


def _nothing_to_land(
    contract: Contract, source: FileSource, lake: Lake, dropped: Dropped, previous: Manifest | None
) -> Landed:
    """No failure without any file: a partner who is late must not stop what others delivered."""
    patterns = ", ".join(f"*{ending}" for ending in ENDINGS[source.format])
    place = lake.landing(contract.name)
    refuse_others(contract, dropped.skipped, f"drop {patterns} into {place}")
    warning = f"no file to land; drop {patterns} into {place}. {_in_force(previous)}"
    return Landed.of(previous, changed=False, skipped=tuple(dropped.skipped), warnings=(warning,))


def _in_force(previous: Manifest | None) -> str:
    if previous is None:
        return "Nothing was ever delivered, so its tables are empty"
    return f"Snapshot {previous.partition} stays in force"


def _inventory(dropped: Dropped) -> str:
    """A fingerprint of the files to land: another one when one of them was added, removed, replaced or touched."""
    inventory = hashlib.sha256()
    for file in dropped.files:
        inventory.update(inventory_line(file).encode())
    return inventory.hexdigest()


def _delivered_at(dropped: Dropped, now: datetime) -> datetime:
    return min(max(file.stamp.arrived for file in dropped.files), now)


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
        shutil.rmtree(local_path(partition), ignore_errors=True)  # it may not have come to be made


def newest_snapshot(lake: Lake, contract: Contract) -> Manifest | None:
    """The manifest of the newest snapshot; None when none has landed."""
    return _newest(lake.raw(contract.name, sensitive=contract.sensitive))


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


def _copy(contract: Contract, files: list[DroppedFile], attempt: AttemptFolder, checksum: "hashlib._Hash") -> None:
    unreadable: list[str] = []
    for number, file in enumerate(files):
        name = safe_name(number, file.source)

        def copy(opened: BinaryIO, name: str = name) -> Copied:
            return copy_file(attempt, name, opened)

        copied = read_steadily(file, copy)
        try:
            add_copy(attempt, name, copied, source=file.source, modified=file.stamp.modified)
        except NoJson as error:
            unreadable.append(f"{file.source} {error}")
        checksum.update(_content(file, copied.file.sha256.digest()))
    refuse(contract, unreadable)


def _documents(files: list[DroppedFile], checksum: "hashlib._Hash") -> Iterator[pa.RecordBatch]:
    """The files as ``DOCUMENT_SCHEMA``, read by a few threads; a batch holds at most about ``_BATCH_BYTES``."""
    # A local disk is busy with a few; of a remote store it is the answers that are waited for.
    remote = any(is_adls(file.path) for file in files[:1])
    with ThreadPoolExecutor(_REMOTE_READERS if remote else _READERS) as readers:
        for batch in _batches(files):
            read = list(readers.map(lambda file: read_steadily(file, lambda opened: opened.read()), batch))
            for file, body in zip(batch, read, strict=True):
                checksum.update(_content(file, hashlib.sha256(body).digest()))
            rows = [
                (file.source, file.stamp.modified, row, number, body if number == 1 and row is not body else None)
                for file, body in zip(batch, read, strict=True)
                for number, row in enumerate(document_rows(body), 1)
            ]
            columns = [
                pa.array(values, field.type)
                for values, field in zip(zip(*rows, strict=True), DOCUMENT_SCHEMA, strict=True)
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=DOCUMENT_SCHEMA)


def _content(file: DroppedFile, digest: bytes) -> bytes:
    """What a file adds to the checksum over names and bytes."""
    return hashlib.sha256(file.source.encode()).digest() + digest


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
