"""Up to which hour everything is done: landed whole, and every table made of it. What is later is done again."""

import json
from collections.abc import Mapping
from datetime import datetime

from dagster_lake.commit import commit
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, hour_of, parse_hour
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.publish import publish

MOST_HOURS = 48
"""Hours before the open one that are caught up on; older ones are the hourly run's."""


def finished_hours(lake: Lake) -> dict[str, datetime]:
    """The start of the last finished hour, by data set."""
    file = lake.root / "live" / "finished.json"
    if not file.exists():
        return {}
    return {data_set: parse_hour(hour) for data_set, hour in json.loads(file.read_text()).items()}


def note_finished(lake: Lake, hours: Mapping[str, datetime]) -> None:
    """Notes the last finished hour of some data sets; the others', and later ones, stay."""
    before = finished_hours(lake)
    after = {**before, **{name: max(hour, before.get(name, hour)) for name, hour in hours.items()}}
    if after != before:
        with commit("live.finished"):
            publish(
                lake.root / "live" / "finished.json",
                json.dumps({name: hour_key(hour) for name, hour in sorted(after.items())}) + "\n",
            )


def hours_to_do(finished: datetime | None, now: datetime) -> HourRange:
    """The hours that are not finished, up to the open one; at first, the hour before the open one is the oldest."""
    open_hour = hour_of(now)
    first = open_hour - HOUR if finished is None else min(finished + HOUR, open_hour)
    return HourRange(max(first, open_hour - MOST_HOURS * HOUR), open_hour)
