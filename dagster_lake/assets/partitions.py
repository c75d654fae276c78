"""The lake hour as Dagster partitions."""

from dagster import HourlyPartitionsDefinition

from dagster_lake.lake_hour import KEY_FORMAT

FIRST_HOUR = "2026-01-01T00"

# The open hour is a partition too, so that it can be materialised early; the closing tick does it again.
hourly = HourlyPartitionsDefinition(start_date=FIRST_HOUR, fmt=KEY_FORMAT, timezone="UTC", end_offset=1)
