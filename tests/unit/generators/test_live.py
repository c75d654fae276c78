"""A live stream keeps its pace by a clock that stands still, sends every row once, and goes on where it was stopped."""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from generators import pageviews
from generators.dials import Dirt
from generators.events import hub_batches
from generators.live import SENT_SCHEMA, TICK, Progress, live_data_set, send_live
from generators.world import World

SECOND = 1_000_000
NOW = int(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp()) * SECOND
WORLD = World(users=100, products=20)


@dataclass
class SimulatedClock:
    """Time passes when somebody waits for it, and by `hiccups` (microseconds) with each batch sent."""

    time: int = NOW
    hiccups: list[int] = field(default_factory=list)
    stopping: bool = False

    def now(self):
        return self.time

    def wait_until(self, moment):
        self.time = max(moment, self.time)


@dataclass
class Sent:
    """Takes what is sent. It fails at batch `fails_at`, and stops the clock at batch `stops_at`."""

    clock: SimulatedClock
    stops_at: int | None = None
    fails_at: int | None = None
    batches: list = field(default_factory=list)
    times: list = field(default_factory=list)
    progress: list = field(default_factory=lambda: [Progress(0, 0, 0.0)])

    def send(self, batch):
        assert batch.schema == SENT_SCHEMA
        if len(self.batches) == self.fails_at:
            raise OSError("the hub is gone")
        self.clock.time += self.clock.hiccups.pop() if self.clock.hiccups else 0
        self.batches.append(batch)
        self.times.append(self.clock.time)
        self.clock.stopping = len(self.batches) == self.stops_at

    @property
    def bodies(self):
        return [body for batch in self.batches for body in batch.column("body").to_pylist()]

    @property
    def events(self):
        return [json.loads(body) for body in self.bodies]


def streamed(per_second, rows, start=0, data_set="pageviews", dirt=None, clock=None, **sent):
    clock = clock or SimulatedClock()
    taken = Sent(clock, **sent)
    live, world = live_data_set(WORLD, data_set, per_second, start, clock.now())
    send_live(live, world, dirt or Dirt.none(), rows, clock, taken.send, taken.progress.append)
    return taken


def ids(taken):
    return [event["event_id"] for event in taken.events]


def instant(text):
    return datetime.fromisoformat(text)


@pytest.mark.parametrize("per_second", [0.2, 3, 1_000, 40_000])
def test_the_rate_is_kept_to_within_a_tick(per_second):
    taken = streamed(per_second, max(3, int(per_second * 5)))
    rows, by_tick = 0, Counter()
    for batch, sent_at in zip(taken.batches, taken.times, strict=True):
        by_tick[sent_at] += len(batch)
    for sent_at, sent in by_tick.items():
        rows += sent
        due = (sent_at - NOW) / SECOND * per_second
        assert due - 1 <= rows <= due + 1, "every row that fell due, and none before"
    assert (taken.clock.time - NOW) / SECOND == pytest.approx((rows - 1) / per_second, abs=TICK / SECOND)


def test_a_hiccup_is_made_good():
    taken = streamed(100, 1_000, clock=SimulatedClock(hiccups=[0] * 10 + [3 * SECOND] + [0] * 3))
    assert (taken.clock.time - NOW) / SECOND == pytest.approx(10, abs=0.6)
    assert max(progress.behind for progress in taken.progress) >= 3
    assert taken.progress[-1].behind < 0.6


@settings(max_examples=40, deadline=None)
@given(
    per_second=st.floats(0.5, 20_000),
    rows=st.integers(1, 400),
    start=st.integers(0, 10**6),
    hiccups=st.lists(st.integers(0, 5 * SECOND), max_size=5),
)
def test_every_row_is_sent_once_and_in_order_whatever_the_rate_and_the_hiccups(per_second, rows, start, hiccups):
    taken = streamed(per_second, rows, start, clock=SimulatedClock(hiccups=list(hiccups)))
    expected = pageviews.keys(WORLD, 10_000_000_000 + np.arange(start, start + rows)).to_pylist()
    assert ids(taken) == expected
    assert taken.progress[-1].rows == taken.progress[-1].events == rows


@pytest.mark.parametrize("data_set", ["pageviews", "stars"])
def test_a_row_has_the_same_id_whenever_it_is_sent_and_none_of_the_generated_past(data_set):
    whole = ids(streamed(50, 300, data_set=data_set))
    assert len(set(whole)) == 300
    assert ids(streamed(9, 120, start=180, data_set=data_set)) == whole[180:]
    past = [batch.column("body") for h in range(3) for batch in hub_batches(WORLD, data_set, hour(h), Dirt.none())]
    assert not {json.loads(body)["event_id"] for body in pa.chunked_array(past).to_pylist()} & set(whole)


def hour(number):
    return WORLD.epoch + timedelta(hours=number)


def test_an_event_happened_when_it_fell_due_or_up_to_two_seconds_before():
    taken = streamed(20, 200)
    for number, event in enumerate(taken.events):
        due = datetime.fromtimestamp((NOW + number * SECOND // 20) / SECOND, UTC)
        assert timedelta(0) <= due - instant(event["event_time"]) <= timedelta(seconds=2)


def test_a_stream_has_the_sessions_of_its_rate():
    users = [event["user_id"] for event in streamed(100, 3_000).events]
    pairs = Counter(zip(users, users[1_000:], strict=False))
    assert sum(n for (a, b), n in pairs.items() if a == b) > 1_000, "views of one session are 10 s apart"


def test_duplicates_and_late_events_come_as_often_as_their_dials_say():
    taken = streamed(200, 20_000, dirt=Dirt(0.05, 0, 0, 0.05, 0, 0, 0))
    copies = len(taken.bodies) - len(set(taken.bodies))
    assert copies == len(taken.bodies) - 20_000 == taken.progress[-1].events - 20_000
    assert copies / 20_000 == pytest.approx(0.05, abs=0.01)
    seen = {}
    for number, body in enumerate(taken.bodies):
        assert number - seen.setdefault(body, number) != 1, "a copy comes a second later or more"
    began = datetime.fromtimestamp(NOW / SECOND, UTC)
    late = {e["event_id"] for e in taken.events if instant(e["event_time"]) < began - timedelta(minutes=3)}
    assert len(late) / 20_000 == pytest.approx(0.05, abs=0.01)


def test_a_stop_finishes_the_batch_and_the_next_stream_goes_on_from_there():
    whole = ids(streamed(1_000, 5_000))
    stopped = streamed(1_000, 5_000, stops_at=4)
    assert len(stopped.batches) == 4
    done = stopped.progress[-1].rows
    assert 0 < done < 5_000
    assert ids(stopped) + ids(streamed(1_000, 5_000 - done, start=done)) == whole


def test_a_hub_that_fails_costs_no_row():
    clock = SimulatedClock()
    taken = Sent(clock, fails_at=3)
    live, world = live_data_set(WORLD, "pageviews", 1_000, 0, clock.now())
    with pytest.raises(OSError, match="the hub is gone"):
        send_live(live, world, Dirt.none(), 5_000, clock, taken.send, taken.progress.append)
    done = taken.progress[-1].rows
    assert done == len(taken.bodies)
    assert ids(taken) + ids(streamed(1_000, 5_000 - done, start=done)) == ids(streamed(1_000, 5_000))


def test_a_stream_without_an_end_goes_on_until_it_is_stopped():
    assert len(streamed(10, None, stops_at=500).batches) == 500


def test_what_is_no_data_set_of_events_is_refused():
    with pytest.raises(ValueError, match="'users' is no data set of events: give one of pageviews, stars"):
        live_data_set(WORLD, "users", 1, 0, NOW)
    with pytest.raises(ValueError, match="pageviews_per_hour"):
        live_data_set(WORLD, "pageviews", 10**7, 0, NOW)
