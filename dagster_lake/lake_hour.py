"""The lake hour: (start, end], named by its start, in UTC.

An event stamped exactly 13:00:00 belongs to the hour that ends at 13:00, as in Stream Analytics' windows, so
hour ``2026-01-05T12`` covers (12:00:00, 13:00:00]. For events the stamp is the arrival (enqueued) time; for
database rows it is ``updated_at``, by the database's clock.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

KEY_FORMAT = "%Y-%m-%dT%H"
HOUR = timedelta(hours=1)


def hour_key(start: datetime) -> str:
    """The key of the hour that starts at ``start``: the Dagster partition key and the value of ``_lake_hour``."""
    return start.astimezone(UTC).strftime(KEY_FORMAT)


def parse_hour(key: str) -> datetime:
    """The start of the hour named ``key``.

    Raises ValueError, naming the expected form, for anything else.
    """
    try:
        return datetime.strptime(key, KEY_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise ValueError(f"{key!r} is not a lake hour; write it as 2026-01-05T12 (UTC, the hour's start)") from None


def hour_of(instant: datetime) -> datetime:
    """The start of the lake hour that holds ``instant``: the end of an hour belongs to it, the start does not."""
    instant = instant.astimezone(UTC)
    floor = instant.replace(minute=0, second=0, microsecond=0)
    return floor - HOUR if instant == floor else floor


@dataclass(frozen=True)
class HourRange:
    """Consecutive lake hours, ``first`` to ``last``, both included, each given by its start."""

    first: datetime
    last: datetime

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"the range ends ({hour_key(self.last)}) before it starts ({hour_key(self.first)})")

    @classmethod
    def of(cls, first_key: str, last_key: str | None = None) -> "HourRange":
        """The range between two hour keys; one key gives one hour."""
        return cls(parse_hour(first_key), parse_hour(last_key or first_key))

    @property
    def end(self) -> datetime:
        """The instant at which the last hour closes; it belongs to the range."""
        return self.last + HOUR

    def __iter__(self) -> Iterator[datetime]:
        hour = self.first
        while hour <= self.last:
            yield hour
            hour += HOUR

    def __len__(self) -> int:
        return (self.last - self.first) // HOUR + 1

    @property
    def keys(self) -> list[str]:
        """The key of each hour, in order."""
        return [hour_key(hour) for hour in self]

    def with_look_back(self, hours: int) -> "HourRange":
        """The same range, begun ``hours`` earlier."""
        return HourRange(self.first - hours * HOUR, self.last)
