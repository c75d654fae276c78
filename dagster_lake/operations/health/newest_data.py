"""How new a data set's data is: by what came from its source, not by when a run last looked."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from dagster_lake.contract.model import Contract, FileSource
from dagster_lake.lake_hour import HOUR, parse_hour
from dagster_lake.storage.accepted import accepted_snapshots
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.examine import UNREADABLE
from dagster_lake.storage.manifest import read_manifest
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import silver_table


@dataclass(frozen=True)
class NewestData:
    """``until`` is up to when silver has a data set's data, UTC, None when it never had any; ``most`` is how old the
    contract lets that grow."""

    data_set: str
    until: datetime | None
    most: timedelta

    def is_late(self, now: datetime) -> bool:
        """Whether the contract's latency has passed. What never came is late."""
        return self.until is None or now - self.until > self.most

    def said(self, now: datetime) -> str:
        """How new it is, in words."""
        if self.until is None:
            return f"nothing was ever delivered; the contract says every {_length(self.most)}"
        age = max(now - self.until, timedelta(0))
        old = f"{_length(age)} old; the contract says {_length(self.most)}"
        return f"the newest data is of {self.until:%Y-%m-%dT%H:%MZ}, {old}"


def newest_data(lake: Lake, contracts: Iterable[Contract]) -> Iterator[NewestData]:
    """The newest data of each data set whose contract has a latency; one whose table cannot be read is left out."""
    for contract in contracts:
        if contract.freshness_minutes is None:
            continue
        try:
            until = data_until(lake, contract)
        except UNREADABLE:
            continue  # the table's own row says so
        yield NewestData(contract.name, until, timedelta(minutes=contract.freshness_minutes))


def data_until(lake: Lake, contract: Contract) -> datetime | None:
    """Of snapshots, when the one in force was delivered; of the rest, the end of the newest lake hour that has rows.

    A run that looks and finds nothing makes neither newer.
    """
    silver = pin(silver_table(lake, contract).uri)
    if silver is None:
        return None
    if isinstance(contract.source, FileSource):
        return _delivered(lake, contract)
    hours = silver.partitions()
    return parse_hour(hours[-1]) + HOUR if hours else None


def _delivered(lake: Lake, contract: Contract) -> datetime | None:
    for snapshot in accepted_snapshots(lake, contract)[-1:]:
        manifest = read_manifest(lake.raw_partition(contract.name, snapshot, sensitive=contract.sensitive))
        return None if manifest is None else manifest.delivered_at or manifest.landed_at
    return None


def _length(length: timedelta) -> str:
    minutes = length / timedelta(minutes=1)
    for limit, size, unit in ((120, 1, "min"), (48 * 60, 60, "h")):
        if minutes < limit:
            return f"{minutes / size:.0f} {unit}"
    return f"{minutes / (24 * 60):,.0f} d"
