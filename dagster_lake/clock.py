"""The one place that asks what time it is, so that a test can hold the clock still."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """The current instant, UTC, whole milliseconds (what a manifest can hold without rounding)."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
