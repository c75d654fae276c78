"""The lake hour as Dagster partitions."""

import dagster as dg
from pydantic import ValidationError

from dagster_lake.clock import utc_now
from dagster_lake.lake_hour import HOUR, KEY_FORMAT, HourRange
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.first_hour import first_hour
from dagster_lake.storage.paths import DEFAULT_FIRST_HOUR


def _first_hour() -> str:
    """The lake's first hour; settings that cannot be used are left for a run to tell of."""
    try:
        return first_hour(Settings())
    except ValidationError:
        return DEFAULT_FIRST_HOUR


FIRST_HOUR = _first_hour()

# An hour is a partition once it has ended: nothing but near real time fills it before (operations/open_hour.py).
hourly = dg.HourlyPartitionsDefinition(start_date=FIRST_HOUR, fmt=KEY_FORMAT, timezone="UTC")


def is_hour_of_lake(key: str) -> bool:
    """Whether ``key`` names an hour of the lake that has begun."""
    with dg.partition_loading_context(effective_dt=utc_now() + HOUR):
        return hourly.has_partition_key(key)


def hours_of(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> HourRange:
    """The lake hours that a run is for: one, or a range."""
    keys = context.partition_key_range
    return HourRange.of(keys.start, keys.end)


def hours_if_any(context: dg.AssetCheckExecutionContext) -> HourRange | None:
    """The lake hours that a check is for; None when it runs by itself, for no partition."""
    return hours_of(context) if context.has_partition_key_range or context.has_partition_key else None
