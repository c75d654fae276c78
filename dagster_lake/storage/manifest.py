"""Raw's manifest: the file that says what a raw partition holds. What no manifest names was never landed.

A partition (a lake hour or a snapshot) is a list of attempts, each a folder of files; raw is all of them together.
The manifest is written last and replaced whole, so a reader sees the partition before a landing or after it.
"""

import hashlib
import json
import os
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from upath import UPath

from dagster_lake.commit import commit
from dagster_lake.storage.paths import local_path

VERSION = 1
MANIFEST_NAME = "_manifest.json"


class ManifestError(Exception):
    """A manifest that cannot be used, or files that differ from it; the message names the file and the remedy."""


@dataclass(frozen=True)
class RawFile:
    """One landed file. ``path`` is relative to the partition's folder.

    ``source`` and ``modified`` are the name below the landing folder and the modification time of the one file this
    is a byte-identical copy of; None otherwise. ``rows`` counts events, rows or documents; of a text copy, the lines
    that are not empty.
    """

    path: str
    rows: int
    bytes: int
    sha256: str
    source: str | None = None
    modified: datetime | None = None


@dataclass(frozen=True)
class Attempt:
    """What one landing added. ``landed_at`` is bronze's ``_ingested_at`` for these rows."""

    number: int
    landed_at: datetime
    files: tuple[RawFile, ...]


@dataclass(frozen=True)
class Manifest:
    """What one raw partition holds.

    ``kind`` is the contract's source kind. ``start`` and ``end`` bound a lake hour, (start, end]; None for a snapshot.
    ``last_sequence`` is the last landed sequence number per partition of an event hub. ``complete`` is false while
    the hour was still open. ``landed_at`` is when the partition last changed. ``source_state`` is what the source
    looked like at the last look (a fingerprint of rows, an inventory of files), and ``content`` a checksum over a
    snapshot's file names and bytes; both serve to find that nothing changed.
    """

    data_set: str
    partition: str
    kind: str
    attempts: tuple[Attempt, ...]
    complete: bool
    landed_at: datetime
    start: datetime | None = None
    end: datetime | None = None
    last_sequence: dict[str, int] | None = None
    source_state: str | None = None
    content: str | None = None

    @property
    def files(self) -> list[RawFile]:
        """Every file, in landing order."""
        return [file for attempt in self.attempts for file in attempt.files]

    @property
    def rows(self) -> int:
        """Rows of all files."""
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(file.bytes for file in self.files)


def read_manifest(folder: UPath) -> Manifest | None:
    """The manifest in ``folder``; None when the partition is not landed. Raises ManifestError for a bad one."""
    file = folder / MANIFEST_NAME
    try:
        text = file.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        document = json.loads(text)
        if document["version"] != VERSION:
            raise ManifestError(
                f"{file} has version {document['version']!r}; this dagster_lake reads {VERSION}. Install the version "
                "that wrote it, or move the partition's folder away and land it again"
            )
        return _manifest(document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(
            f"{file} is damaged ({error!r}); restore it, or move the partition's folder away and land it again"
        ) from error


def write_manifest(folder: UPath, manifest: Manifest, *, replacing: Manifest | None) -> None:
    """Publishes ``manifest``, provided that ``replacing`` is still the one there (None: none is).

    The caller holds the partition's lock, which is what makes check and replacement one step on a local disk. On
    ADLS the same promise takes a conditional write: If-None-Match: * for the first, If-Match: <etag> after that.
    Raises ManifestError when another landing came first.
    """
    if read_manifest(folder) != replacing:
        raise ManifestError(f"{folder / MANIFEST_NAME} was replaced by another landing meanwhile; run this one again")
    place = local_path(folder) / MANIFEST_NAME
    temporary = place.with_name(f"{MANIFEST_NAME}.{uuid.uuid4().hex}.tmp")
    with commit(f"raw.{manifest.data_set}"):
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump(_document(manifest), file, indent=1, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place)
        _sync_folder(place.parent)


def landed_files(folder: UPath, manifest: Manifest) -> Iterator[tuple[Attempt, RawFile, UPath]]:
    """Each file with its attempt and its address; raises ManifestError for one that is missing or of another size."""
    for attempt in manifest.attempts:
        for file in attempt.files:
            place = folder / file.path
            size = place.stat().st_size if place.exists() else None
            if size != file.bytes:
                raise ManifestError(_differs(place, file, "is missing" if size is None else f"has {size} bytes"))
            yield attempt, file, place


def verify(folder: UPath, manifest: Manifest) -> list[str]:
    """Reads every file and compares its checksum; returns a sentence for each that differs."""
    problems = []
    for file in manifest.files:
        place = folder / file.path
        if not place.exists():
            problems.append(_differs(place, file, "is missing"))
            continue
        with open(local_path(place), "rb") as opened:
            found = hashlib.file_digest(opened, "sha256").hexdigest()
        if found != file.sha256:
            problems.append(_differs(place, file, f"has sha256 {found}"))
    return problems


def _differs(place: UPath, file: RawFile, how: str) -> str:
    return (
        f"{place} {how}, but its manifest says {file.bytes} bytes, sha256 {file.sha256}; restore the file, or move "
        "the partition's folder away and land it again"
    )


def _document(manifest: Manifest) -> dict[str, Any]:
    fields = {"version": VERSION, **asdict(manifest), "rows": manifest.rows, "bytes": manifest.bytes}
    return {name: _plain(value) for name, value in fields.items() if value is not None}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items() if inner is not None}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _manifest(document: dict[str, Any]) -> Manifest:
    attempts = tuple(
        Attempt(
            number=attempt["number"],
            landed_at=datetime.fromisoformat(attempt["landed_at"]),
            files=tuple(RawFile(**{**file, "modified": _instant(file.get("modified"))}) for file in attempt["files"]),
        )
        for attempt in document["attempts"]
    )
    return Manifest(
        data_set=document["data_set"],
        partition=document["partition"],
        kind=document["kind"],
        attempts=attempts,
        complete=document["complete"],
        landed_at=datetime.fromisoformat(document["landed_at"]),
        last_sequence=document.get("last_sequence"),
        source_state=document.get("source_state"),
        content=document.get("content"),
        start=_instant(document.get("start")),
        end=_instant(document.get("end")),
    )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
