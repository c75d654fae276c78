"""A checksum of each data file that delta-rs writes: ``<table>/_checksums/<name of the file>.crc32``.

Parquet's own page checksums are not written by delta-rs, and not looked at by DuckDB. So a file's CRC-32, which finds
every flipped bit, stands beside the table, in a folder that vacuums leave alone. It is noted after the commit: a file
without one, as a crash in between leaves it, is one that nobody can check. Of a table in ADLS none is kept, whose
service has checksums of its own; nor of what Spark writes, which has them in its pages. The next commit notes what the
one before it could not.
"""

import json
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from upath import UPath

FOLDER = "_checksums"
_BLOCK = 1 << 20
_MOST_SEEN = 100_000
_seen: set[str] = set()
"""Files that this process has compared; they never change."""


def note_checksums(uri: UPath, versions: Iterable[int]) -> None:
    """Notes the checksums of the files that these commits of a local table have added, where they have none."""
    folder = Path(str(uri)) / FOLDER
    log = Path(str(uri)) / "_delta_log"
    for path in (path for version in versions for path in _added(log / f"{version:020}.json")):
        place = Path(str(uri)) / path
        if _note(Path(str(uri)), place.name).exists() or not place.exists():
            continue
        folder.mkdir(exist_ok=True)
        temporary = folder / f".{place.name}.tmp"
        temporary.write_text(_checksum(place))
        temporary.replace(_note(Path(str(uri)), place.name))


def differs(place: Path, table: Path) -> str | None:
    """How a data file differs from what was written; None when it does not, or when nobody noted a checksum of it."""
    try:
        noted = _note(table, place.name).read_text()
    except FileNotFoundError:
        return None
    # A power failure may leave a note that is cut off; it tells nothing.
    found = _checksum(place)
    return (
        f"is not as it was written: crc32 {found}, and it was {noted}" if len(noted) == 8 and found != noted else None
    )


def first_differing(uri: UPath, files: Iterable[str]) -> tuple[str, str] | None:
    """The first of a local table's files that differs from what was written, and how. Each file is compared once in a
    process."""
    for file in files:
        if file in _seen:
            continue
        if os.path.exists(file) and (how := differs(Path(file), Path(str(uri)))) is not None:
            return file, how
        if len(_seen) >= _MOST_SEEN:
            _seen.clear()
        _seen.add(file)
    return None


def differing_in(uri: UPath, folders: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Those of a local table's data files in these of its folders that differ from what was written, and how; among
    them may be files of versions past. The log is not read, so that the cost is that of the folders."""
    for folder in folders:
        place = os.path.join(str(uri), folder)
        names = sorted(os.listdir(place)) if os.path.isdir(place) else []
        for name in names:
            found = first_differing(uri, [os.path.join(place, name)]) if name.endswith(".parquet") else None
            if found is not None:
                yield found


def forget_checksums(uri: UPath, files: Iterable[str]) -> None:
    """Removes the notes of files that were vacuumed."""
    for file in files:
        _note(Path(str(uri)), Path(file).name).unlink(missing_ok=True)


def _note(table: Path, name: str) -> Path:
    return table / FOLDER / f"{name}.crc32"


def _added(commit_file: Path) -> Iterator[str]:
    try:
        with open(commit_file, encoding="utf-8") as actions:
            for line in actions:
                if line.startswith('{"add":'):
                    yield json.loads(line)["add"]["path"]
    except FileNotFoundError:
        return  # expired, behind a checkpoint


def _checksum(place: Path) -> str:
    found = 0
    with open(place, "rb") as file:
        while block := file.read(_BLOCK):
            found = zlib.crc32(block, found)
    return f"{found:08x}"
