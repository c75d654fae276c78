"""What Event Hubs Capture wrote of a hub, as an event hub that is only read: Avro files by partition and time.

Below the folder that Capture is given, a file is named ``<namespace>/<hub>/<partition>/<year>/<month>/<day>/<hour>/
<minute>/<second>.avro`` after the beginning of its window, which lasts 15 minutes at most. Each record is one event in
its envelope: SequenceNumber, Offset, EnqueuedTimeUtc, SystemProperties, Properties, Body.
"""

import hashlib
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from io import BufferedReader
from pathlib import Path
from typing import IO, Any, cast

import pyarrow as pa
from upath import UPath

from dagster_lake import clock
from dagster_lake.lake_hour import HOUR
from dagster_lake.sources.event_hub.batches import GatheredEvents
from dagster_lake.sources.event_hub.protocol import KEY_PROPERTY, EventHubError, Position
from dagster_lake.sources.event_hub.segments import EPOCH, micros
from dagster_lake.storage.adls.blobs import BlobChanged, UnchangedBlob, list_blobs
from dagster_lake.storage.adls.errors import reaching
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.paths import local_path

CAPTURE_LAG = timedelta(minutes=20)
"""Capture writes an event's file at most 15 minutes after it arrived; by then an hour has all of its files."""

_FILE = re.compile(r"(\d{4})/(\d\d)/(\d\d)/(\d\d)/(\d\d)/(\d\d)\.avro$")
_NEWEST_FOLDERS = 24
_BUFFER = 1024 * 1024


@dataclass(frozen=True)
class CapturedFile:
    """One of Capture's files; ``begun`` is the beginning of its window."""

    path: UPath
    begun: datetime
    size: int
    etag: str


class CapturedEventHub:
    """The hubs that Capture writes below ``folder``, which may also be a namespace's folder or one hub's own."""

    def __init__(self, folder: UPath, written_until: datetime | None = None) -> None:
        self.folder = folder
        self._written_until = written_until

    def as_written_until(self, instant: datetime) -> "CapturedEventHub":
        """The same hubs, read also from files whose windows began up to then: what was held up may lie in any."""
        return CapturedEventHub(self.folder, instant)

    def send(self, hub: str, batches: Iterable[pa.RecordBatch]) -> int:
        """Raises EventHubError: events are sent to the hub itself."""
        raise EventHubError(f"{self.folder} is what Capture wrote of {hub!r}; send events to the hub itself")

    def read(
        self, hub: str, start: datetime, end: datetime, after: Mapping[str, Position] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The events with start < enqueued_time <= end of the files that are there, each partition as Capture wrote it.

        Nothing is left out by ``after``: a file may come after a later one. Raises EventHubError for a hub of which
        there is nothing, and for a file that is none of Capture's.
        """
        last = max(end, self._written_until or end)
        for partition, folder in self._partitions(hub).items():
            gathered = GatheredEvents(partition)
            for file in _files(folder, start, last):
                for sequence, enqueued, key, body in _events(file, until=micros(end)):
                    if micros(start) < enqueued <= micros(end):
                        gathered.add(sequence, enqueued, key, body)
                        if gathered.is_full:
                            yield gathered.batch()
            if len(gathered):
                yield gathered.batch()

    def look(self, hub: str, start: datetime, end: datetime) -> str:
        """A fingerprint of the files that may hold the range's events: another one when Capture wrote more of them."""
        listing = hashlib.sha256()
        for folder in self._partitions(hub).values():
            for file in _files(folder, start, end):
                if file.size:
                    listing.update(f"{str(file.path).removeprefix(str(self.folder))}\0{file.size}\n".encode())
        return listing.hexdigest()

    def settled_until(self, hub: str) -> datetime:
        """``CAPTURE_LAG`` before now: until then, Capture has written everything."""
        return clock.utc_now() - CAPTURE_LAG

    def held_since(self, hub: str) -> datetime | None:
        """The beginning of the hour of the oldest file; None when there is none."""
        oldest = [file.begun for file in map(_oldest, self._partitions(hub).values()) if file]
        return min(oldest).replace(minute=0, second=0) if oldest else None

    def newest(self, hub: str) -> dict[str, Position]:
        """Per partition, the newest event of the last ``_NEWEST_FOLDERS`` hours that Capture wrote files in."""
        found = {partition: _newest(folder) for partition, folder in self._partitions(hub).items()}
        return {partition: position for partition, position in found.items() if position is not None}

    def _partitions(self, hub: str) -> dict[str, UPath]:
        """The folder of each partition, in the order of their numbers. Raises EventHubError when there is none."""
        places = [self.folder / hub, *(folder / hub for folder in _folders(self.folder)), self.folder]
        for place in places:
            found = {folder.name: folder for folder in _folders(place) if folder.name.isdecimal()}
            if found and not all(len(name) == 4 for name in found):  # those of one partition are years
                return dict(sorted(found.items(), key=lambda entry: int(entry[0])))
        raise EventHubError(
            f"{self.folder} has nothing of the event hub {hub!r}: Capture writes <namespace>/{hub}/<partition>/... "
            "minutes after it was turned on. Wait, or correct customProperties.source.capture in the contract"
        )


def _files(folder: UPath, start: datetime, end: datetime) -> list[CapturedFile]:
    """The files of a partition whose windows may reach into (start, end], oldest first."""
    first, last = start - CAPTURE_LAG, end + CAPTURE_LAG
    hour, files = first.astimezone(UTC).replace(minute=0, second=0, microsecond=0), []
    while hour <= last:
        files += [file for file in _files_below(folder / f"{hour:%Y/%m/%d/%H}", folder) if first <= file.begun <= last]
        hour += HOUR
    return sorted(files, key=lambda file: file.begun)


def _files_below(folder: UPath, partition: UPath) -> Iterator[CapturedFile]:
    if is_adls(folder):
        for blob in list_blobs(folder):
            if begun := _begun(str(blob.path).removeprefix(f"{partition}/")):
                yield CapturedFile(blob.path, begun, blob.size, blob.etag)
        return
    for path in local_path(folder).rglob("*.avro"):
        if begun := _begun(path.relative_to(local_path(partition)).as_posix()):
            yield CapturedFile(cast(UPath, path), begun, path.stat().st_size, "")


def _begun(name: str) -> datetime | None:
    found = _FILE.match(name)
    try:
        return datetime(*(int(part) for part in found.groups()), tzinfo=UTC) if found else None  # type: ignore[misc, arg-type]
    except ValueError:
        return None


def _folders(folder: UPath) -> list[UPath]:
    """The folders in a folder, by name; none in one that is not there."""
    if not is_adls(folder):
        path = local_path(folder)
        return sorted(folder / entry.name for entry in path.iterdir() if entry.is_dir()) if path.is_dir() else []
    with reaching(folder):
        try:
            entries = folder.fs.ls(folder.path, detail=True)
        except FileNotFoundError:
            return []
    names = (entry["name"].rstrip("/").rpartition("/")[2] for entry in entries if entry["type"] == "directory")
    return sorted((folder / name for name in names), key=str)


def _oldest(partition: UPath) -> CapturedFile | None:
    for hour in _hours(partition, newest_first=False):
        if files := sorted(_files_below(hour, partition), key=lambda file: file.begun):
            return files[0]
    return None


def _newest(partition: UPath) -> Position | None:
    for _, hour in zip(range(_NEWEST_FOLDERS), _hours(partition, newest_first=True), strict=False):
        for file in sorted(_files_below(hour, partition), key=lambda file: file.begun, reverse=True):
            for sequence, enqueued, _, _ in deque(_events(file), maxlen=1):
                return Position(sequence, EPOCH + timedelta(microseconds=enqueued))
    return None


def _hours(partition: UPath, *, newest_first: bool) -> Iterator[UPath]:
    """The folders of the hours that Capture wrote files in."""
    folders = [partition]
    for _ in ("year", "month", "day"):
        folders = _in_turn(folders, newest_first)
    return iter(_in_turn(folders, newest_first))


def _in_turn(folders: Iterable[UPath], newest_first: bool) -> Any:
    for folder in folders:
        yield from (reversed(_folders(folder)) if newest_first else _folders(folder))


def _events(file: CapturedFile, until: int | None = None) -> Iterator[tuple[int, int, str | None, bytes]]:
    """(sequence number, enqueued microseconds since 1970, key, body) of each event, in order.

    A file is left off at its first event after ``until``, if it was begun after it too: the rest is later still.
    """
    import zlib

    fastavro = _fastavro()
    if not file.size:
        return  # Capture has just begun to write it
    try:
        with _opened(file) as opened:
            for record in fastavro.reader(opened):  # Avro has no columns: an event is decoded as a dictionary
                system = record["SystemProperties"]
                enqueued = _enqueued(record["EnqueuedTimeUtc"], system.get("x-opt-enqueued-time"))
                if until is not None and enqueued > until and micros(file.begun) > until:
                    return
                key = system.get("x-opt-partition-key", record["Properties"].get(KEY_PROPERTY))
                yield record["SequenceNumber"], enqueued, _text(key), record["Body"] or b""
    except BlobChanged:
        raise EventHubError(f"{file.path} changed while it was being read; run again") from None
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError, zlib.error) as error:
        raise EventHubError(
            f"{file.path} is not as Event Hubs Capture writes it ({type(error).__name__}: {error}); move it away, or "
            "have it written anew, and run again"
        ) from None


def _opened(file: CapturedFile) -> IO[bytes]:
    if is_adls(file.path):
        return cast(IO[bytes], BufferedReader(UnchangedBlob(file.path, file.etag), _BUFFER))
    return open(cast(Path, file.path), "rb")


def _enqueued(text: str, milliseconds: int | None) -> int:
    """Microseconds since 1970: the column knows whole seconds only, the property, where there is one, milliseconds."""
    return _microseconds(text) if milliseconds is None else int(milliseconds) * 1000


@lru_cache(maxsize=4096)
def _microseconds(text: str) -> int:
    """Of an instant as ``1/5/2026 12:00:01 PM`` or in ISO 8601. Raises ValueError for another text."""
    try:
        return micros(datetime.strptime(text, "%m/%d/%Y %I:%M:%S %p").replace(tzinfo=UTC))
    except ValueError:
        instant = datetime.fromisoformat(text)
    return micros(instant if instant.tzinfo else instant.replace(tzinfo=UTC))


def _text(key: str | bytes | None) -> str | None:
    return key.decode("utf-8", "replace") if isinstance(key, bytes) else key


def _fastavro() -> Any:
    try:
        import fastavro
    except ImportError:
        raise EventHubError("Event Hubs Capture's files need fastavro: pip install 'dagster-lake[azure]'") from None
    return fastavro
