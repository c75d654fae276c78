"""The open hour in Dagster, which knows hours as partitions once they have ended.

Were it a partition for everybody, each table would show it as missing for as long as it lasts, but for those that near
real time fills. So only a run that is for it has to know it: without that Dagster would note the run's materialisations
without their hour, and say nothing.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import datetime

import dagster as dg

from dagster_lake import clock
from dagster_lake.lake_hour import HOUR, parse_hour
from dagster_lake.operations.hourly_runs import hours_of


@contextmanager
def knowing_hours_of(run_tags: Mapping[str, str]) -> Iterator[None]:
    """While it lasts, the hours of a run with these tags are partitions, though the last may not have ended."""
    ends = _end_of(run_tags)
    with dg.partition_loading_context(effective_dt=ends) if ends and ends > clock.utc_now() else nullcontext():
        yield


def _end_of(run_tags: Mapping[str, str]) -> datetime | None:
    """When the last hour of a run ends; None for a run without hours."""
    try:
        hours = hours_of(run_tags)
        return parse_hour(hours[-1]) + HOUR if hours else None
    except ValueError:
        return None  # an asset of somebody's own, with other partitions
