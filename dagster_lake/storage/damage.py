"""What is wrong with a Delta table's log: each file that is damaged, and the command that mends it.

Looked at after a reader has failed, by ``lake doctor --deep`` and by ``lake repair``. Of a local table ``refuse_torn``
is asked before each first read as well, because readers take a commit that a crash left empty for one without rows.
Only JSON and Parquet are read here, no Delta library: the same is told whichever engine has failed.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from upath import UPath

from dagster_lake.errors import LakeError
from dagster_lake.storage.adls.path import is_adls

Kind = Literal["hint", "checkpoint", "last", "middle", "data"]
_COMMIT = re.compile(r"^(\d{20})\.json$")
_CHECKPOINT = re.compile(r"^(\d{20})\.checkpoint(\..*)?\.parquet$")
HINT = "_last_checkpoint"


class TableDamaged(LakeError):
    """A table that cannot be read as it was written; the message names the table, the file and the command."""

    def __init__(self, name: str, faults: "list[Fault]") -> None:
        super().__init__("; ".join(f"{name}: {fault.place} {fault.what}" for fault in faults), remedy(name))
        self.name = name
        self.faults = faults


@dataclass(frozen=True)
class Fault:
    """One damaged file of a table. ``kind`` says what it takes to mend it: a ``hint`` or ``checkpoint`` that the log
    can do without, its ``last`` commits, which a crash cut off, something in the ``middle`` of it, or ``data``.
    ``version`` is a commit's, ``partition`` that of a data file."""

    place: UPath
    what: str
    kind: Kind
    version: int = -1
    partition: str | None = None


def table_name(uri: UPath) -> str:
    """``layer.table``, as people and commands name it."""
    return f"{uri.parent.name}.{uri.name}"


def remedy(name: str) -> str:
    """What to do about a damaged table."""
    return f"`lake repair {name}` shows what can be done, and does it"


def refuse_torn(uri: UPath) -> int | None:
    """Raises TableDamaged where a commit of a local table that readers would take as it stands was cut off.

    An object store writes a commit whole or not at all, and is not asked. Returns the version of the newest commit of
    a local table; None where there is none.
    """
    if is_adls(uri) or not isinstance(uri, Path):
        return None
    log = _Log.at(uri)
    found = [f for v in log.since_checkpoint if (f := log.commit_fault(v, read=v == log.last)) is not None]
    if found:
        raise TableDamaged(table_name(uri), found)
    return log.last if log.commits else None


def log_faults(uri: UPath) -> list[Fault]:
    """Everything that is wrong with the table's log, as far as its newest version needs it."""
    log = _Log.at(uri)
    found = [fault for fault in (log.hint_fault(), log.checkpoint_fault()) if fault is not None]
    if found and log.goes_back_to_the_first_commit:
        log = log.without_checkpoints()
    broken = [f for v in log.since_checkpoint if (f := log.commit_fault(v, read=True)) is not None]
    return [*found, *broken, *log.gaps()]


@dataclass(frozen=True)
class _Log:
    """The files of a log: commits by version with their size, and checkpoints by version."""

    folder: UPath
    commits: dict[int, int]
    checkpoints: dict[int, list[tuple[str, int]]]
    has_hint: bool

    @classmethod
    def at(cls, uri: UPath) -> "_Log":
        folder = uri / "_delta_log"
        commits: dict[int, int] = {}
        checkpoints: dict[int, list[tuple[str, int]]] = {}
        files = _files(folder)
        for name, size in files.items():
            if found := _COMMIT.match(name):
                commits[int(found[1])] = size
            elif found := _CHECKPOINT.match(name):
                checkpoints.setdefault(int(found[1]), []).append((name, size))
        return cls(folder, commits, checkpoints, HINT in files)

    @property
    def last(self) -> int:
        return max(self.commits, default=-1)

    @property
    def since_checkpoint(self) -> list[int]:
        base = max(self.checkpoints, default=-1)
        return sorted(version for version in self.commits if version > base)

    @property
    def goes_back_to_the_first_commit(self) -> bool:
        return bool(self.commits) and sorted(self.commits) == list(range(self.last + 1))

    def without_checkpoints(self) -> "_Log":
        return _Log(self.folder, self.commits, {}, False)

    def hint_fault(self) -> Fault | None:
        if not self.has_hint:
            return None
        place = self.folder / HINT
        try:
            version = json.loads(place.read_bytes())["version"]
        except (ValueError, KeyError, TypeError):
            return Fault(place, "is no JSON that names a checkpoint", "hint")
        if version not in self.checkpoints:
            return Fault(place, f"names a checkpoint of version {version}, which is not there", "hint")
        return None

    def checkpoint_fault(self) -> Fault | None:
        if not self.checkpoints:
            return None
        import pyarrow as pa
        import pyarrow.parquet as pq

        newest = max(self.checkpoints)
        for name, _ in self.checkpoints[newest]:
            place = self.folder / name
            try:
                with place.open("rb") as file:
                    for _ in pq.ParquetFile(file, page_checksum_verification=True).iter_batches(10_000):
                        pass
            except (pa.ArrowException, OSError) as error:
                what = f"is a checkpoint that cannot be read ({_first_line(error)})"
                kind: Kind = "checkpoint" if self.goes_back_to_the_first_commit else "middle"
                return Fault(place, what, kind, newest)
        return None

    def commit_fault(self, version: int, *, read: bool) -> Fault | None:
        """What is wrong with a commit: by its size alone, or ``read`` by its content."""
        place = self.folder / f"{version:020}.json"
        what = "is empty" if self.commits[version] == 0 else unreadable_commit(place.read_bytes()) if read else None
        return None if what is None else Fault(place, what, self._kind(version), version)

    def _kind(self, version: int) -> Kind:
        later = [v for v in self.commits if v > version]
        whole = [v for v in later if self.commits[v] and unreadable_commit(self._bytes(v)) is None]
        return "middle" if whole or version == 0 else "last"

    def _bytes(self, version: int) -> bytes:
        return (self.folder / f"{version:020}.json").read_bytes()

    def gaps(self) -> list[Fault]:
        """Versions between the checkpoint and the last one that have no commit."""
        base = max(self.checkpoints, default=-1)
        missing = [version for version in range(base + 1, self.last + 1) if version not in self.commits]
        if not self.commits and not self.checkpoints:
            return []
        told = "is missing, and later commits build on it"
        return [Fault(self.folder / f"{version:020}.json", told, "middle", version) for version in missing[:3]]


def unreadable_commit(content: bytes) -> str | None:
    """Why a commit cannot be taken as it was written; None when it can."""
    actions: list[dict[str, Any]] = []
    try:
        for line in content.splitlines():
            if line.strip():
                action = json.loads(line)
                if not isinstance(action, dict):
                    raise ValueError("no object")
                actions.append(action)
    except ValueError:
        return f"is cut off or damaged: line {len(actions) + 1} of it is no JSON"
    if not actions:
        return "is empty"
    told: dict[str, Any] = next((a["commitInfo"] for a in actions if isinstance(a.get("commitInfo"), dict)), {})
    metrics = told.get("operationMetrics") or {}
    # delta-rs counts what it commits. Spark's count is of files written, of which it leaves out the empty ones.
    for metric in ("num_added_files", "num_target_files_added"):
        added = sum("add" in action for action in actions)
        if isinstance(metrics.get(metric), int) and added < metrics[metric]:
            return f"is cut off: it names {added} of the {metrics[metric]} files that it says it added"
    return None


def _files(folder: UPath) -> dict[str, int]:
    """The files of a log with their sizes."""
    if is_adls(folder):
        from dagster_lake.storage.adls.blobs import list_blobs

        return {blob.path.name: blob.size for blob in list_blobs(folder) if blob.path.parent == folder}
    try:
        with os.scandir(str(folder)) as entries:
            return {entry.name: entry.stat().st_size for entry in entries if entry.is_file()}
    except FileNotFoundError:
        return {}


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
