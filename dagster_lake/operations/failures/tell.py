"""Telling of failures: each is noted once in ``streams/alert_notices`` and sent to its channels as alerts are."""

from collections.abc import Callable, Iterable

from dagster_lake import clock
from dagster_lake.operations.failures.failure import Failure, as_rows
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.alerts.notices import Noted
from dagster_lake.streams.alerts.notify import tell


def tell_failures(
    lake: Lake, settings: Settings, failures: Iterable[Failure], run: str, say: Callable[[str], None]
) -> Noted:
    """Notes and says those failures that were not told of in the last days; a ``Sender`` sends them."""
    return tell(lake, settings, as_rows(failures, settings, clock.utc_now()), run, say)
