"""Reads everything that a lake is made of, and tells of each file that is not as it was written.

One piece after the other, some rows at a time, so that memory stays the same however large the lake is. What is wrong
with one piece hides no other.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dagster_lake.cli.doctor.finding import Finding
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.damage import remedy
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.examine import UNREADABLE, content_faults, table_faults
from dagster_lake.storage.listing import LakeTable, RawDataSet, raw_data_sets, tables
from dagster_lake.storage.manifest import read_manifest, verify
from dagster_lake.storage.paths import Lake

Read = Callable[[int], None]


@dataclass(frozen=True)
class Piece:
    """One thing to read: a table, a raw data set, a hub or a database. ``look`` reads it, tells the bytes of each file
    it is done with, and gives what is wrong."""

    name: str
    look: Callable[[Read], Iterator[Finding]]


def pieces(lake: Lake, settings: Settings) -> list[Piece]:
    """Everything that there is to read, the sources' own files on this machine first."""
    found = list(_sources(lake, settings))
    found += [Piece(f"raw.{one.name}", lambda read, one=one: _raw(one, read)) for one in raw_data_sets(lake)]  # type: ignore[misc]
    found += [Piece(one.name, lambda read, one=one: _table(one, read)) for one in tables(lake)]  # type: ignore[misc]
    return found


def _table(table: LakeTable, read: Read) -> Iterator[Finding]:
    log = [fault for fault in table_faults(table.uri) if fault.kind != "data"]
    for fault in log:
        yield Finding("fail", table.name, f"{fault.place} {fault.what}", remedy(table.name))
    with suppress(*UNREADABLE):  # what keeps it from being opened is told above
        if (pinned := pin(table.uri)) is not None:
            for fault in content_faults(pinned, read):
                yield Finding("fail", table.name, f"{fault.place} {fault.what}", remedy(table.name))


def _raw(data_set: RawDataSet, read: Read) -> Iterator[Finding]:
    for partition in data_set.partitions:
        folder = data_set.uri / partition
        try:
            manifest = read_manifest(folder)
            if manifest is None:
                continue
            for problem in verify(folder, manifest):
                says, _, to_do = problem.partition("; ")
                yield Finding("fail", f"raw.{data_set.name}", says, to_do)
            read(manifest.bytes)
        except UNREADABLE as error:
            says, _, to_do = str(error).partition("; ")
            yield Finding("fail", f"raw.{data_set.name}", says, to_do)


def _sources(lake: Lake, settings: Settings) -> Iterator[Piece]:
    from dagster_lake.sources.choice import database_url, uses_azure

    hub = lake.sources / "event_hub"
    if (hub / "index.sqlite").exists() and not uses_azure(settings):
        yield Piece("event hub", lambda read: _hub(hub, read))
    kind, _, file = database_url(settings, lake).partition(":///")
    if kind.partition("+")[0] == "sqlite" and file and Path(file).exists():
        yield Piece("database", lambda read: _database(Path(file), "database", read))


def _hub(folder: Path, read: Read) -> Iterator[Finding]:
    from dagster_lake.sources.faults import segment_faults

    to_do = "bring it back from a copy; hours that have landed are in raw, and do not need it"
    broken = False
    for finding in _database(folder / "index.sqlite", "event hub", read):
        broken = True
        yield finding
    if not broken:
        for place, why in segment_faults(folder, read):
            yield Finding("fail", "event hub", f"{place} {why}", to_do)


def _database(file: Path, subject: str, read: Read) -> Iterator[Finding]:
    from dagster_lake.sources.database.sqlite_damage import TO_DO
    from dagster_lake.sources.faults import database_faults

    for told in database_faults(file):
        yield Finding("fail", subject, f"{file} {told}", TO_DO)
    read(file.stat().st_size)
