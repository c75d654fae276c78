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
from io import BufferedReader
from pathlib import Path
from typing import Any, cast

from upath import UPath

from dagster_lake.commit import commit
from dagster_lake.errors import LakeError
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.paths import local_path
from dagster_lake.storage.sequence_runs import Run

VERSION = 1
MANIFEST_NAME = "_manifest.json"


class ManifestError(LakeError):
    """A manifest that cannot be used, or files that differ from it; the message names the file and the remedy."""


class ManifestReplaced(ManifestError):
    """Another landing of the partition was published first; landing again takes account of it."""


@dataclass(frozen=True)
class Original:
    """The byte-identical copy of a dropped file whose rows stand beside it as lines; ``path`` as in ``RawFile``."""

    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class RawFile:
    """One landed file. ``path`` is relative to the partition's folder.

    ``source`` and ``modified`` are the name below the landing folder and the modification time of the one file this
    is a byte-identical copy of; None otherwise. ``rows`` counts events, rows or documents; of a text copy, the lines
    that are not empty. Where the dropped file was JSON in another form than lines, this holds its rows as lines, and
    ``original`` is the copy of it.
    """

    path: str
    rows: int
    bytes: int
    sha256: str
    source: str | None = None
    modified: datetime | None = None
    original: Original | None = None


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
    ``last_sequence`` is the last landed sequence number per partition of an event hub, and ``runs`` are all that were
    landed; a manifest of an older version has none. ``lacks`` are numbers that never came, of which the hour may hold
    some, and ``given_up`` those that nobody waits for any more. ``expired`` is up to when the hub had forgotten what
    had not landed: nothing more will come, and rows may be missing; ``forgotten`` is the same of an hour that has not
    closed, of which the rest is still to come. ``complete`` is false while the hour was still open
    or lacks something, until a refresh accepts that. ``landed_at`` is when the partition last changed. ``source_state``
    is what the source looked like at the last look (a fingerprint of rows, an inventory of files), and ``content`` a
    checksum over a snapshot's file names and bytes; both serve to find that nothing changed. ``replaced`` names the
    attempts' folders whose rows a later attempt has taken over, and since when: they are kept for a while, for whoever
    is reading them.
    Of a snapshot, ``delivered_at`` is when the newest of its files arrived, also when the same content arrived again,
    and ``marker`` what the contract's marker file looked like then.
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
    replaced: dict[str, datetime] | None = None
    delivered_at: datetime | None = None
    marker: str | None = None
    runs: dict[str, tuple[Run, ...]] | None = None
    lacks: dict[str, tuple[Run, ...]] | None = None
    given_up: dict[str, tuple[Run, ...]] | None = None
    expired: datetime | None = None
    forgotten: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be waited for: it is complete, or the rest has expired in the source."""
        return self.complete or self.expired is not None

    @property
    def next_attempt(self) -> int:
        """The number of the next attempt."""
        return self.attempts[-1].number + 1 if self.attempts else 1

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
    return _read(folder)[0]


def write_manifest(folder: UPath, manifest: Manifest, *, replacing: Manifest | None) -> None:
    """Publishes ``manifest``, provided that ``replacing`` is still the one there (None: none is).

    On a local disk the caller holds the partition's lock, which makes check and replacement one step. In ADLS the
    write itself carries the condition. Raises ManifestReplaced when another landing came first.
    """
    found, etag = _read(folder)
    replaced = ManifestReplaced(
        f"{folder / MANIFEST_NAME} was replaced by another landing meanwhile; run this one again"
    )
    if found != replacing:
        raise replaced
    text = json.dumps(_document(manifest), indent=1, ensure_ascii=False) + "\n"
    if not is_adls(folder):
        _replace_file(local_path(folder) / MANIFEST_NAME, text, f"raw.{manifest.data_set}")
        return
    from dagster_lake.storage.adls.blobs import BlobChanged, put_blob

    try:
        with commit(f"raw.{manifest.data_set}"):
            put_blob(folder / MANIFEST_NAME, text.encode(), replacing=etag)
    except BlobChanged:
        raise replaced from None


def _replace_file(place: Path, text: str, name: str) -> None:
    temporary = place.with_name(f"{place.name}.{uuid.uuid4().hex}.tmp")
    with commit(name):
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, place)
        _sync_folder(place.parent)


def landed_partitions(raw: UPath, beginning: str = "") -> list[str]:
    """The keys of the partitions below ``raw`` that start with ``beginning`` and have a manifest, oldest first.

    No other partition is looked into: with the day or the month of an hour, the cost does not grow with history but for
    the names of folders on a local disk.
    """
    if is_adls(raw):
        from dagster_lake.storage.adls.blobs import list_blobs

        return sorted(blob.path.parent.name for blob in list_blobs(raw, beginning) if blob.path.name == MANIFEST_NAME)
    if not raw.exists():
        return []
    names = (name for name in os.listdir(raw.path) if name.startswith(beginning))
    return sorted(name for name in names if (raw / name / MANIFEST_NAME).exists())


def landed_files(folder: UPath, manifest: Manifest) -> Iterator[tuple[Attempt, RawFile, UPath]]:
    """Each file with its attempt and its address; raises ManifestError for one that is not as the manifest has it.

    On a local disk every byte is compared, by its checksum: Parquet readers take most flipped bits for other values. Of
    a file in ADLS, whose service keeps checksums itself, the size is.
    """
    sizes = _sizes(folder, manifest)
    for attempt in manifest.attempts:
        for file in attempt.files:
            place, size = folder / file.path, sizes.get(file.path)
            if size != file.bytes:
                raise ManifestError(_differs(place, file, "is missing" if size is None else f"has {size} bytes"))
            if not is_adls(folder):
                _refuse_damaged(place, file)
            yield attempt, file, place


def _refuse_damaged(place: UPath, file: RawFile) -> None:
    found = _sha256(place)
    if found != file.sha256:
        raise ManifestError(_differs(place, file, f"has sha256 {found}"))


def _sha256(place: UPath) -> str:
    with place.open("rb") as opened:
        return hashlib.file_digest(cast(BufferedReader, opened), "sha256").hexdigest()


def _sizes(folder: UPath, manifest: Manifest) -> dict[str, int]:
    """The size of each of the manifest's files that is there, by its path."""
    if is_adls(folder):
        from dagster_lake.storage.adls.blobs import list_blobs

        return {f"{b.path.parent.name}/{b.path.name}": b.size for b in list_blobs(folder)} if manifest.files else {}
    places = {file.path: folder / file.path for file in manifest.files}
    return {path: place.stat().st_size for path, place in places.items() if place.exists()}


def _read(folder: UPath) -> tuple[Manifest | None, str | None]:
    """The manifest, and the etag of its file where it is in ADLS."""
    file, etag = folder / MANIFEST_NAME, None
    if is_adls(folder):
        from dagster_lake.storage.adls.blobs import read_blob

        found = read_blob(file)
        if found is None:
            return None, None
        content, _, etag = found
    else:
        try:
            content = file.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None, None
    try:
        document = json.loads(content)
        if document["version"] != VERSION:
            raise ManifestError(
                f"{file} has version {document['version']!r}; this dagster_lake reads {VERSION}. Install the version "
                "that wrote it, or move the partition's folder away and land it again"
            )
        return _manifest(document), etag
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ManifestError(
            f"{file} is damaged ({error!r}); restore it, or move the partition's folder away and land it again"
        ) from error


def verify(folder: UPath, manifest: Manifest) -> list[str]:
    """Reads every file and compares its checksum; returns a sentence for each that differs."""
    problems = []
    copies: list[RawFile | Original] = [*manifest.files, *(f.original for f in manifest.files if f.original)]
    for file in copies:
        place = folder / file.path
        if not place.exists():
            problems.append(_differs(place, file, "is missing"))
            continue
        found = _sha256(place)
        if found != file.sha256:
            problems.append(_differs(place, file, f"has sha256 {found}"))
    return problems


def _differs(place: UPath, file: RawFile | Original, how: str) -> str:
    return (
        f"{place} {how}, but its manifest says {file.bytes} bytes, sha256 {file.sha256}; restore the file, or move "
        "the partition's folder away and land it again"
    )


def _document(manifest: Manifest) -> dict[str, Any]:
    fields = {"version": VERSION, **asdict(manifest), "rows": manifest.rows, "bytes": manifest.bytes}
    for name in ("runs", "lacks", "given_up"):  # without names: there may be many
        fields[name] = _run_lines(getattr(manifest, name))
    return {name: _plain(value) for name, value in fields.items() if value is not None}


def _run_lines(runs: dict[str, tuple[Run, ...]] | None) -> dict[str, list[list[Any]]] | None:
    if runs is None:
        return None
    return {p: [[run.first, run.last, run.since, run.until] for run in of] for p, of in runs.items()}


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
            files=tuple(_raw_file(file) for file in attempt["files"]),
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
        replaced={folder: datetime.fromisoformat(at) for folder, at in document.get("replaced", {}).items()} or None,
        delivered_at=_instant(document.get("delivered_at")),
        marker=document.get("marker"),
        runs=_runs(document.get("runs")),
        lacks=_runs(document.get("lacks")),
        given_up=_runs(document.get("given_up")),
        expired=_instant(document.get("expired")),
        forgotten=_instant(document.get("forgotten")),
    )


def _runs(document: dict[str, list[list[Any]]] | None) -> dict[str, tuple[Run, ...]] | None:
    if document is None:
        return None
    return {partition: tuple(_run(*fields) for fields in runs) for partition, runs in document.items()}


def _run(first: int, last: int, since: str, until: str) -> Run:
    return Run(first, last, datetime.fromisoformat(since), datetime.fromisoformat(until))


def _raw_file(fields: dict[str, Any]) -> RawFile:
    original = fields.get("original")
    modified = _instant(fields.get("modified"))
    return RawFile(**{**fields, "modified": modified, "original": Original(**original) if original else None})


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
