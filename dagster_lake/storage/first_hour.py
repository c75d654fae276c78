"""The lake's first hour: the oldest partition that Dagster knows. The lake keeps it, and it only moves back."""

import logging

from dagster_lake.errors import LakeError
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import DEFAULT_FIRST_HOUR, Lake, LakeFormatError, is_remote

log = logging.getLogger(__name__)


class FirstHourError(LakeError):
    """The definitions begin later than the lake; the message names the setting to write."""


def first_hour(settings: Settings) -> str:
    """The key of the first hour for the definitions: what the lake keeps, or the setting where that is earlier.

    A lake in ADLS is not asked, since a code location must load without it: there the setting alone counts, and
    ``check_first_hour`` compares it when a run opens the lake. A local lake that cannot be read is left for a run to
    tell of.
    """
    wanted = settings.first_hour or DEFAULT_FIRST_HOUR
    if is_remote(settings.root):
        return wanted
    try:
        stored = Lake.placed(settings).first_hour()
    except (LakeFormatError, OSError, ValueError, AttributeError):
        stored = None
    if stored is None:
        return wanted
    return min(stored, settings.first_hour) if settings.first_hour else stored


def check_first_hour(lake: Lake, settings: Settings) -> None:
    """Raises FirstHourError where the definitions' first hour is later than the lake's, so that hours are hidden.

    A setting that would move a local lake's first hour forward is told in the log, and has no other effect.
    """
    stored, defined = lake.first_hour(), first_hour(settings)
    if stored is None:
        return
    if stored < defined:
        raise FirstHourError(
            f"{lake.marker} says that the first hour is {stored}, but Dagster's partitions begin with {defined}. "
            f"Set LAKE_FIRST_HOUR={stored} wherever Dagster runs, and load the definitions again"
        )
    if settings.first_hour and settings.first_hour > stored:
        log.warning(
            "LAKE_FIRST_HOUR=%s has no effect: the lake begins with %s, and its first hour never moves forward",
            settings.first_hour,
            stored,
        )
