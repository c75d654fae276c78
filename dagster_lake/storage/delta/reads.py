"""From the tables' logs: what each gold table was last computed from, and what its inputs have become since.

DuckDB's writes carry what they read in the commit itself. Spark's and a SQL warehouse's cannot: there a table property
set after the write says it (``dbt/macros/lake/notes.sql``), and counts only for the write that it names.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deltalake.exceptions import DeltaError

from dagster_lake.storage.delta.write import Pinned, pin

READ = "lake.read."
NOTE = "lake.note"
# Commits that change no rows. Whatever is not known to be one counts as a write.
HOUSEKEEPING = {
    *("CREATE TABLE", "SET TBLPROPERTIES", "UNSET TBLPROPERTIES", "ADD COLUMNS", "ADD COLUMN", "CHANGE COLUMN"),
    *("ADD CONSTRAINT", "DROP CONSTRAINT", "UPGRADE PROTOCOL", "OPTIMIZE", "VACUUM START", "VACUUM END", "FSCK"),
    *("COMPUTE STATS", "CLUSTER BY"),
}


@dataclass(frozen=True)
class Difference:
    """The files that one version of a table has and the other has not."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


def last_reads(pinned: Pinned) -> dict[str, int]:
    """The version of each gold table that this one was last computed from; empty when that is unknown."""
    # Further back than these, reading everything again is right too.
    for entry in pinned.table.history(10):
        reads: Mapping[str, Any] = {k.removeprefix(READ): v for k, v in entry.items() if k.startswith(READ)}
        if reads:
            return _of_gold(reads)
        if entry.get("operation") not in HOUSEKEEPING:
            return _noted(pinned, entry["version"])
    return {}


def _noted(pinned: Pinned, write: int) -> dict[str, int]:
    text = pinned.table.metadata().configuration.get(NOTE)
    note = json.loads(text) if text else {}
    return _of_gold(note["reads"]) if note.get("at") == write else {}


def _of_gold(reads: Mapping[str, Any]) -> dict[str, int]:
    return {table: int(version) for table, version in reads.items() if table.startswith("gold.")}


def older(pinned: Pinned, version: int) -> Pinned | None:
    """An older version of the same table; None when the log does not reach back that far."""
    try:
        return pin(pinned.uri, version)
    except DeltaError:
        return None


def difference(now: Pinned, then: Pinned) -> Difference | None:
    """How the files of two versions of one table differ; None when rows cannot be compared any more."""
    if now.version == then.version:
        return Difference((), ())
    if now.schema != then.schema:
        return None
    here, there = set(now.files()), set(then.files())
    removed = sorted(there - here)
    if not then.are_there(removed):
        return None  # vacuumed
    return Difference(tuple(sorted(here - there)), tuple(removed))


def differing_partitions(now: Pinned, then: Pinned) -> list[str] | None:
    """The partitions in which two versions of one table, whose rows can be compared, may differ; None means any."""
    if now.version == then.version:
        return []
    if now.partition_column is None:
        return None
    files = [{(file["path"], file[f"partition.{now.partition_column}"]) for file in _files(p)} for p in (now, then)]
    return sorted({partition for _, partition in files[0] ^ files[1]})


def _files(pinned: Pinned) -> list[dict[str, Any]]:
    return pinned.actions.select(["path", f"partition.{pinned.partition_column}"]).to_pylist()
