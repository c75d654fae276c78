"""The newest hour that landed, with events or without: up to it, time has passed for the streams."""

from datetime import UTC, datetime, timedelta

from upath import UPath

from dagster_lake.contract.model import EventHubSource, contracts
from dagster_lake.lake_hour import parse_hour
from dagster_lake.storage.manifest import landed_partitions
from dagster_lake.storage.paths import Lake


def newest_hub_hour(lake: Lake, after: str) -> str | None:
    """The key of the last hour later than the hour ``after`` that raw has of any event hub's data set, if there is one.

    Months are looked into from now back to that of ``after``, until one has such an hour: the cost follows the time
    since ``after``, not the history.
    """
    months = _months_since(after)
    raws = [
        lake.raw(contract.name, sensitive=contract.sensitive)
        for contract in contracts().values()
        if isinstance(contract.source, EventHubSource)
    ]
    return max((hour for raw in raws if (hour := _newest(raw, months, after))), default=None)


def _newest(raw: UPath, months: list[str], after: str) -> str | None:
    for month in months:
        if later := [hour for hour in landed_partitions(raw, month) if hour > after]:
            return later[-1]
    return None


def _months_since(after: str) -> list[str]:
    """The months, as hours' keys begin in them, from now back to that of the hour ``after``."""
    first, now = parse_hour(after), datetime.now(UTC)
    days = range(max((now - first).days, 0) + 2)
    return sorted({f"{first + timedelta(days=day):%Y-%m-}" for day in days}, reverse=True)
