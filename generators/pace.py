"""When the rows of an hourly data set arrive: weekday and hour seasonality, in closed form.

A lake hour is (start, end]: offsets inside an hour run from 1 microsecond to 3600 s inclusive.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

import numpy as np

from generators.counter import Ints, below
from generators.world import require_hour_start

MICROSECONDS = 1_000_000
HOUR = 3_600 * MICROSECONDS
WEEK_HOURS = 168

_UNIX_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_WEEKDAYS = (100, 98, 97, 99, 108, 122, 116)
_NIGHT_AND_MORNING = (30, 22, 18, 16, 18, 25, 38, 56, 78, 98, 110, 116)
_HOURS_OF_DAY = (*_NIGHT_AND_MORNING, 118, 114, 112, 114, 120, 132, 150, 168, 176, 150, 98, 54)


def microseconds(moment: datetime) -> int:
    """A UTC datetime as whole microseconds since 1970."""
    return (moment - _UNIX_EPOCH) // timedelta(microseconds=1)


def hour_key(start: int) -> str:
    """The text key of the lake hour that starts at `start` microseconds, e.g. '2026-01-01T13'."""
    return str(np.datetime64(start, "us").astype("datetime64[h]"))


@dataclass(frozen=True)
class Pace:
    """The arrival of a data set that has `weekly` rows a week from `epoch` (microseconds) on.

    `before[h]` is how many of a week's rows come before its h-th hour (169 entries, week starting at the epoch).
    """

    epoch: int
    weekly: int
    before: Ints

    def rows_of_hour(self, hour: datetime) -> range:
        """The rows that arrive in the lake hour starting at `hour`; empty before the epoch."""
        require_hour_start(hour, "hour")
        index = (microseconds(hour) - self.epoch) // HOUR
        if index < 0:
            return range(0)
        return range(self._rows_before(index), self._rows_before(index + 1))

    def arrivals(self, key: np.uint64, rows: Ints) -> Ints:
        """Arrival times in microseconds. Row j of an hour's n falls in the j-th of n equal slots, so in order."""
        week, row_of_week = np.divmod(rows, self.weekly)
        hour = np.searchsorted(self.before, row_of_week, side="right") - 1
        first = self.before[hour]
        count = self.before[hour + 1] - first
        place = row_of_week - first
        slot = place * HOUR // count
        width = (place + 1) * HOUR // count - slot
        return self.epoch + (week * WEEK_HOURS + hour) * HOUR + slot + 1 + below(key, rows, width)

    def rows_until(self, times: Ints) -> Ints:
        """How many rows have surely arrived by each time (microseconds); at most two more may have."""
        index, offset = np.divmod(times - self.epoch - 1, HOUR)
        week, hour = np.divmod(index, WEEK_HOURS)
        first = self.before[hour]
        count = self.before[hour + 1] - first
        arrived: Ints = np.maximum(week * self.weekly + first + offset * count // HOUR, 0)
        return arrived

    def _rows_before(self, index: int) -> int:
        week, hour = divmod(index, WEEK_HOURS)
        return week * self.weekly + int(self.before[hour])


@lru_cache(maxsize=64)
def pace(epoch: datetime, rows_per_hour: int) -> Pace:
    """The pace of a data set with `rows_per_hour` rows an hour on average over a week."""
    weights = [
        _WEEKDAYS[(epoch.weekday() + (epoch.hour + h) // 24) % 7] * _HOURS_OF_DAY[(epoch.hour + h) % 24]
        for h in range(WEEK_HOURS)
    ]
    weekly = rows_per_hour * WEEK_HOURS
    total, so_far, before = sum(weights), 0, [0]
    for weight in weights:
        so_far += weight
        before.append(weekly * so_far // total)
    return Pace(microseconds(epoch), weekly, np.array(before, dtype=np.int64))
