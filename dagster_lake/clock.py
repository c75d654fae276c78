"""The one place that asks what time it is, or lets it pass, so that a test can hold the clock still."""

import time
from datetime import UTC, datetime, timedelta


def utc_now() -> datetime:
    """The current instant, UTC, whole milliseconds (what a manifest can hold without rounding)."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def wait(length: timedelta) -> None:
    """Returns when ``length`` has passed."""
    time.sleep(length.total_seconds())
