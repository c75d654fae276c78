"""Which hours of silver were written since a model last read them: what a run computes beyond the hours it is for.

Silver of an hour can be made again by a run of another hour, by hand, or by a run that was killed before it reached the
models. So a model does not trust the hours that it is told: every write of it notes the version of each table of silver
that it has caught up with, and the commits of silver since say which hours are others by now. Only these commits are
read, so that the cost follows what changed and not the history.
"""

import json
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from dagster_lake.contract.columns import LAKE_HOUR
from dagster_lake.storage.delta.reads import NOTE, READ, differing_partitions, older
from dagster_lake.storage.delta.write import Pinned

_MOST_COMMITS = 2000
"""More commits than these take longer to read one by one than the whole log."""


@dataclass(frozen=True)
class Reads:
    """The version of each table of silver that a model has caught up with, and when that was noted, in ms since 1970;
    None when nothing is known."""

    versions: Mapping[str, int]
    noted_at: int | None = None

    def since(self, name: str, silver: Pinned) -> int | None:
        """The version that was read of this very table; None when it was removed since and made anew."""
        if self.noted_at is not None and self.noted_at < (silver.table.metadata().created_time or 0):
            return None
        return self.versions.get(name)


@dataclass(frozen=True)
class CatchingUp:
    """What a run of some models has to catch up with.

    ``hours`` of silver have changed since a model read them. ``before`` are the versions that each model had read, and
    ``now`` those that it has read when all these hours are computed.
    """

    hours: frozenset[str]
    before: Mapping[str, Mapping[str, int]]
    now: Mapping[str, int]

    def notes(self, *, done: bool) -> dict[str, dict[str, int]]:
        """What each model's write may claim to have read of silver: with something left to do, no more than before."""
        return {model: dict(self.now) if done else dict(before) for model, before in self.before.items()}


def catching_up(
    models: Mapping[str, Iterable[str]], pinned: Mapping[str, Pinned], *, everything: bool = False
) -> CatchingUp:
    """What the ``models`` have to catch up with, given what each reads; all tables by ``layer.name``.

    A model that was never computed has nothing to catch up with: it is computed for the hours it is told. Nor has one
    that is computed from ``everything`` anyway.
    """
    hours: set[str] = set()
    before: dict[str, Mapping[str, int]] = {}
    now: dict[str, int] = {}
    written: dict[tuple[str, int | None], set[str]] = {}
    for model, inputs in models.items():
        table = None if everything else pinned.get(model)
        reads = Reads({}) if table is None else last_silver_reads(table)
        before[model] = reads.versions
        for name in inputs:
            silver = pinned.get(name)
            if silver is None or silver.partition_column != LAKE_HOUR.name:
                continue
            now[name] = silver.version
            if table is not None and table.actions.num_rows:
                since = reads.since(name, silver)
                if (name, since) not in written:
                    written[name, since] = _hours_written(silver, since)
                hours |= written[name, since]
    return CatchingUp(frozenset(hours), before, now)


def last_silver_reads(model: Pinned) -> Reads:
    """The versions of silver that a model has caught up with, by its newest commit that says so.

    An older commit claims less, so that one may be taken where the newest says nothing.
    """
    text = model.table.metadata().configuration.get(NOTE)
    note = json.loads(text) if text else {}
    for entry in model.table.history(10):
        reads = {k.removeprefix(READ): int(v) for k, v in entry.items() if k.startswith(READ)}
        if not reads and entry.get("version") == note.get("at"):
            reads = note["reads"]
        if reads:
            silver = {table: version for table, version in reads.items() if table.startswith("silver.")}
            return Reads(silver, entry.get("timestamp"))
    silver = {table: version for table, version in note.get("reads", {}).items() if table.startswith("silver.")}
    return Reads(silver)


def _hours_written(table: Pinned, since: int | None) -> set[str]:
    """The hours in which rows of ``table`` may differ from those of version ``since``; all, when that is unknown."""
    if since is not None:
        found = partitions_written(table, since)
        if found is None and since <= table.version and (then := older(table, since)) is not None:
            found = differing_partitions(table, then)
        if found is not None:
            return {*found}
    return {*table.partitions()}


def partitions_written(table: Pinned, since: int) -> list[str] | None:
    """The partitions in which a commit after version ``since`` added or removed rows; None when the log does not tell.

    What only lays out files anew counts for nothing.
    """
    versions = range(since + 1, table.version + 1)
    if since > table.version or len(versions) > _MOST_COMMITS or table.partition_column is None:
        return None
    log = table.uri / "_delta_log"
    try:
        with ThreadPoolExecutor(8) as threads:
            commits = list(threads.map(lambda version: (log / f"{version:020}.json").read_text(), versions))
    except FileNotFoundError:
        return None  # expired
    found: set[str] = set()
    for action in (json.loads(line) for commit in commits for line in commit.splitlines() if line):
        file = action.get("add") or action.get("remove")
        if file is None or not file.get("dataChange", True):
            continue
        value = (file.get("partitionValues") or {}).get(table.partition_column)
        if value is None:
            return None
        found.add(value)
    return sorted(found)
