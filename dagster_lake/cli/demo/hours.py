"""Which hours a demonstration builds, and with which one its lake begins."""

import os
from datetime import datetime

from dagster_lake.cli.shared.errors import CommandError
from dagster_lake.clock import utc_now
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, hour_of, parse_hour
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.first_hour import first_hour
from dagster_lake.storage.paths import DEFAULT_FIRST_HOUR, Lake, is_remote


def wanted_hours(day: str | None, hours: int) -> HourRange:
    """So many hours from midnight of ``day``, or those that ended last.

    Raises CommandError for a day that is none, that has not been yet, or of which nothing is generated.
    """
    if day is None:
        last = hour_of(utc_now()) - HOUR
        return HourRange(last - (hours - 1) * HOUR, last)
    try:
        first = parse_hour(f"{datetime.strptime(day, '%Y-%m-%d'):%Y-%m-%d}T00")
    except ValueError:
        raise CommandError(f"--day {day!r} is not a date; write it as 2026-01-05") from None
    wanted = HourRange(first, first + (hours - 1) * HOUR)
    if first < parse_hour(DEFAULT_FIRST_HOUR):
        raise CommandError(f"--day {day}: nothing is generated before {DEFAULT_FIRST_HOUR[:10]}; take a later day")
    if wanted.end > utc_now():
        raise CommandError(
            f"{hour_key(wanted.last)} has not ended yet (it is {utc_now():%Y-%m-%dT%H:%M} UTC); "
            "take an earlier --day or fewer --hours"
        )
    return wanted


def begin_with(wanted: HourRange, settings: Settings, day: str | None) -> None:
    """Has a new local lake begin with the first hour that is wanted, so that nothing in it looks as if it were missing;
    one that is there begins earlier, where it has to for the hours that ended last.

    Raises CommandError for a ``day`` before the first hour of a lake that is there, or of a remote one.
    """
    first = hour_key(wanted.first)
    if not is_remote(settings.root):
        new = not Lake.placed(settings).exists()
        if (new and settings.first_hour is None) or (day is None and first < first_hour(settings)):
            os.environ["LAKE_FIRST_HOUR"] = first
            return
    if first < (begins := first_hour(settings)):
        raise CommandError(
            f"{first} is before the lake's first hour, {begins}; take a later --day, or set LAKE_FIRST_HOUR={first}"
        )
