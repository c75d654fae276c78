"""The lake hour as Dagster partitions."""

import dagster as dg
from pydantic import ValidationError

from dagster_lake.lake_hour import KEY_FORMAT, HourRange
from dagster_lake.settings import Settings
from dagster_lake.storage.first_hour import first_hour
from dagster_lake.storage.paths import DEFAULT_FIRST_HOUR


def _first_hour() -> str:
    """The lake's first hour; settings that cannot be used are left for a run to tell of."""
    try:
        return first_hour(Settings())
    except ValidationError:
        return DEFAULT_FIRST_HOUR


FIRST_HOUR = _first_hour()

# The open hour is a partition too, so that it can be materialised early; the closing tick does it again.
hourly = dg.HourlyPartitionsDefinition(start_date=FIRST_HOUR, fmt=KEY_FORMAT, timezone="UTC", end_offset=1)


def hours_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> HourRange:
    """The lake hours that a run is for: one, or a range."""
    keys = context.partition_key_range
    return HourRange.of(keys.start, keys.end)


def hours_if_any(context: dg.AssetCheckExecutionContext) -> HourRange | None:
    """The lake hours that a check is for; None when it runs by itself, for no partition."""
    return hours_of(context) if context.has_partition_key_range or context.has_partition_key else None
