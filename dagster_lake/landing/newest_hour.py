"""The newest hour that landed, with events or without: up to it, time has passed for the streams."""

import os
from datetime import UTC, datetime, timedelta

from upath import UPath

from dagster_lake.contract import EventHubSource, contracts
from dagster_lake.lake_hour import parse_hour
from dagster_lake.storage.adls_path import is_adls
from dagster_lake.storage.manifest import MANIFEST_NAME
from dagster_lake.storage.paths import Lake


def newest_hub_hour(lake: Lake, after: str) -> str | None:
    """The key of the last hour later than the hour ``after`` that raw has of any event hub's data set, if there is one.

    The cost follows the time since ``after``, not the history: locally, names are compared and only manifests of later
    hours are looked for; in ADLS the months since are listed, the last first.
    """
    raws = [
        lake.raw(contract.name, sensitive=contract.sensitive)
        for contract in contracts().values()
        if isinstance(contract.source, EventHubSource)
    ]
    found = [_newest(raw, after) for raw in raws]
    return max((hour for hour in found if hour), default=None)


def _newest(raw: UPath, after: str) -> str | None:
    if is_adls(raw):
        return next((hour for month in _months_since(after) if (hour := _newest_blob(raw, month, after))), None)
    if not raw.exists():
        return None
    later = sorted((name for name in os.listdir(raw.path) if name > after), reverse=True)
    return next((name for name in later if (raw / name / MANIFEST_NAME).exists()), None)


def _months_since(after: str) -> list[str]:
    """The months, as hours' keys begin in them, from now back to that of the hour ``after``."""
    first, now = parse_hour(after), datetime.now(UTC)
    days = range(max((now - first).days, 0) + 2)
    return sorted({f"{first + timedelta(days=day):%Y-%m-}" for day in days}, reverse=True)


def _newest_blob(raw: UPath, month: str, after: str) -> str | None:
    from dagster_lake.storage.blobs import list_blobs

    hours = {blob.path.parent.name for blob in list_blobs(raw, month) if blob.path.name == MANIFEST_NAME}
    return max((hour for hour in hours if hour > after), default=None)
