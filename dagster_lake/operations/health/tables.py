"""What each table and each raw data set of the lake holds, from manifests and Delta's logs alone."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dagster_lake.contract.model import FileSource, contracts
from dagster_lake.lake_hour import HOUR, parse_hour
from dagster_lake.operations.health.newest_data import data_until
from dagster_lake.storage.delta.write import Pinned, pin
from dagster_lake.storage.examine import UNREADABLE
from dagster_lake.storage.listing import LakeTable, raw_data_sets, tables
from dagster_lake.storage.manifest import read_manifest
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import quarantine_table, silver_name


@dataclass(frozen=True)
class TableHealth:
    """What one table holds.

    ``newest`` is the newest lake hour or snapshot that has rows, None of a table that has no such parts.
    ``changed_at`` is when it was last written, UTC, and ``delivered_at``, of snapshots, when the one in force arrived.
    ``quarantine_share`` is the part of the rows of the newest hour or snapshot that were kept out of a silver table,
    0 to 1. Of raw, rows and what is Delta's are None. ``problem`` is why a table cannot be read; all else is None then.
    """

    layer: str
    plain_name: str
    newest: str | None = None
    changed_at: datetime | None = None
    delivered_at: datetime | None = None
    rows: int | None = None
    bytes: int | None = None
    files: int | None = None
    version: int | None = None
    quarantine_share: float | None = None
    problem: str | None = None

    @property
    def name(self) -> str:
        """``silver.users``."""
        return f"{self.layer}.{self.plain_name}"

    def age(self, now: datetime) -> timedelta | None:
        """How old the newest rows are: since the end of the newest lake hour, nothing while it is open; of snapshots
        since their delivery; of the rest, since it was written. None of a table that cannot be read."""
        until = self.delivered_at or self.changed_at
        with contextlib.suppress(ValueError):  # a snapshot, a day, or nothing
            until = parse_hour(self.newest or "") + HOUR
        return None if until is None else max(now - until, timedelta(0))


def raw_health(lake: Lake) -> Iterator[TableHealth]:
    """Each data set that has landed in raw."""
    for data_set in raw_data_sets(lake):
        for partition in data_set.partitions[-1:]:
            try:
                manifest = read_manifest(data_set.uri / partition)
            except UNREADABLE as error:
                yield TableHealth("raw", data_set.name, problem=str(error))
                continue
            if manifest is not None:
                delivered_at = None if manifest.end else manifest.delivered_at
                yield TableHealth("raw", data_set.name, partition, manifest.landed_at, delivered_at)


def tables_health(lake: Lake) -> Iterator[TableHealth]:
    """Each Delta table, by layer and name, one that cannot be read too: it must not hide the others."""
    for table in tables(lake):
        try:
            pinned = pin(table.uri)
            if pinned is not None:
                yield _health(lake, table, pinned)
        except UNREADABLE as error:
            yield TableHealth(table.layer, table.plain_name, problem=str(error))


def _health(lake: Lake, table: LakeTable, pinned: Pinned) -> TableHealth:
    partitions = pinned.partitions()
    newest = partitions[-1] if partitions else None
    return TableHealth(
        layer=table.layer,
        plain_name=table.plain_name,
        newest=newest,
        changed_at=datetime.fromtimestamp(pinned.table.history(1)[0]["timestamp"] / 1000, UTC),
        delivered_at=_delivered_at(lake, table),
        rows=pinned.rows(),
        bytes=pinned.bytes(),
        files=pinned.actions.num_rows,
        version=pinned.version,
        quarantine_share=_quarantine_share(lake, table, pinned, newest),
    )


def _delivered_at(lake: Lake, table: LakeTable) -> datetime | None:
    for contract in contracts().values():
        own = {("bronze", contract.name), ("silver", silver_name(contract)), ("silver", contract.name)}
        if isinstance(contract.source, FileSource) and (table.layer, table.plain_name) in own:
            with contextlib.suppress(*UNREADABLE):  # another table or manifest than this one, whose own row says so
                return data_until(lake, contract)
    return None


def _quarantine_share(lake: Lake, table: LakeTable, pinned: Pinned, newest: str | None) -> float | None:
    contract = next((one for one in contracts().values() if silver_name(one) == table.plain_name), None)
    if table.layer != "silver" or contract is None or newest is None:
        return None
    try:
        quarantine = pin(quarantine_table(lake, contract).uri)
    except UNREADABLE:  # its own row says so
        return None
    kept_out = quarantine.rows([newest]) if quarantine else 0
    all_rows = pinned.rows([newest]) + kept_out
    return kept_out / all_rows if all_rows else None
