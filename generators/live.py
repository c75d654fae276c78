"""Events that happen now: the rows of a data set of events at a steady rate, sent as they fall due.

Row *i* of a live stream has the same event id whenever it is sent, and no row of the generated past has it. When it
happens follows from an absolute schedule, so that a late wake-up is made good and never adds up.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import pyarrow as pa

from generators.catalog import EventDataSet, event_data_set
from generators.columns import chunks, required, text_of, times
from generators.counter import Ints
from generators.dials import Dirt
from generators.lines import lines_of
from generators.pace import MICROSECONDS
from generators.stars import VIEWS_PER_STAR
from generators.world import World

SENT_SCHEMA = pa.schema([required("partition_key", pa.string()), required("body", pa.binary())])
BATCH_ROWS = 8_192
TICK = MICROSECONDS // 2
"""How long rows that fell due may wait for others; a batch is sent at most this often."""

# Beyond every row of the generated past. A live rating follows a live session, as 50 pageviews have one rating.
_FIRST_VIEW = 10_000_000_000
_FIRST_ROW = {"pageviews": _FIRST_VIEW, "stars": _FIRST_VIEW // VIEWS_PER_STAR}
_VIEWS_A_ROW = {"pageviews": 1, "stars": VIEWS_PER_STAR}


@dataclass(frozen=True)
class LiveDataSet:
    """Rows of `source` at `per_second` a second: row `first` arrives at `origin`, in microseconds.

    It stands for its source wherever rows are made into lines, dirt included. Nothing arrived before `first`.
    """

    source: EventDataSet
    origin: int
    first: int
    per_second: float

    @property
    def NAME(self) -> str:  # as a module of rows has it
        """The data set's name."""
        return self.source.NAME

    @property
    def SCHEMA(self) -> pa.Schema:
        """The columns of its rows."""
        return self.source.SCHEMA

    def rows_at(self, world: World, rows: Ints) -> pa.RecordBatch:
        """The source's rows, with the times at which they happen here."""
        batch = self.source.rows_at(world, rows)
        at = batch.schema.get_field_index("event_time")
        return batch.set_column(at, batch.schema.field(at), times(self.event_times(world, rows)))

    def keys(self, world: World, rows: Ints) -> pa.Array:
        """The event ids."""
        return self.source.keys(world, rows)

    def user_ids(self, world: World, rows: Ints) -> Ints:
        """The user of each row."""
        return self.source.user_ids(world, rows)

    def began(self, world: World) -> int:
        """Since when there are any, in microseconds."""
        return self.origin

    def arrivals(self, world: World, rows: Ints) -> Ints:
        """When each row falls due, in microseconds."""
        due: Ints = self.origin + ((rows - self.first) * (MICROSECONDS / self.per_second)).astype(np.int64)
        return due

    def event_times(self, world: World, rows: Ints) -> Ints:
        """When each row happened: before it falls due by the time that its source's row takes to arrive."""
        return self.arrivals(world, rows) - self.source.arrivals(world, rows) + self.source.event_times(world, rows)

    def rows_near(self, world: World, moments: Ints) -> Ints:
        """The row that fell due last before each moment (microseconds); -1 when there is none."""
        rows = self.first + np.floor((moments - self.origin) * (self.per_second / MICROSECONDS)).astype(np.int64)
        return np.where(rows < self.first, -1, rows)

    def batch(self, world: World, rows: Ints, dirt: Dirt) -> pa.RecordBatch:
        """The rows with their dirt, as an event hub takes them."""
        lines = lines_of(world, self, rows, dirt)
        user = text_of(self.user_ids(world, lines.rows))
        return pa.record_batch([user, lines.text.cast(pa.binary())], schema=SENT_SCHEMA)


def live_data_set(
    world: World, data_set: str, per_second: float, start_row: int, origin: int
) -> tuple[LiveDataSet, World]:
    """The rows of a live stream from `start_row` on, which falls due at `origin` (microseconds), and their world.

    It has as many sessions at once as the rate takes. Raises `ValueError` for a data set that has no events, or a rate
    that no world has.
    """
    source = event_data_set(data_set)
    an_hour = round(per_second * 3_600 * _VIEWS_A_ROW[data_set])
    live = LiveDataSet(source, origin, _FIRST_ROW[data_set] + start_row, per_second)
    return live, replace(world, pageviews_per_hour=max(1, an_hour))


class LiveClock(Protocol):
    """The time, in microseconds since 1970, and whether somebody asked to stop."""

    @property
    def stopping(self) -> bool: ...
    def now(self) -> int: ...
    def wait_until(self, moment: int) -> None: ...


@dataclass(frozen=True)
class Progress:
    """How far a live stream is: rows and events sent (dirt adds events), and how late the last row was, in seconds."""

    rows: int
    events: int
    behind: float


def send_live(
    live: LiveDataSet,
    world: World,
    dirt: Dirt,
    rows: int | None,
    clock: LiveClock,
    send: Callable[[pa.RecordBatch], None],
    on_progress: Callable[[Progress], None],
) -> None:
    """Sends each row when it falls due, `rows` of them (None: for ever), until the clock is `stopping`.

    A batch is always sent whole before anything else; `on_progress` is told after each. What `send` raises ends it: the
    rows told of so far are sent, the others not, or not all.
    """
    done, events = 0, 0
    while True:
        now = clock.now()
        due = live.rows_near(world, np.array([now]))[0] + 1 - live.first
        due = due if rows is None else min(due, rows)
        for some in chunks(live.first + done, live.first + max(due, done), BATCH_ROWS):
            if clock.stopping:
                return
            batch = live.batch(world, some, dirt)
            send(batch)
            done, events = int(some[-1]) + 1 - live.first, events + len(batch)
            behind = (clock.now() - int(live.arrivals(world, some[-1:])[0])) / MICROSECONDS
            on_progress(Progress(done, events, max(behind, 0.0)))
        if clock.stopping or done == rows:
            return
        next_due = int(live.arrivals(world, np.array([live.first + done]))[0])
        clock.wait_until(max(next_due, now + TICK))
