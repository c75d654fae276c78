"""The lake hour's rules hold in every order of writes, commits, landings, crashes, refreshes and expiry."""

import contextlib
from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from .hour_ledger import (
    HOUR,
    LOOK_BACK,
    Crash,
    Event,
    EventLedger,
    Hub,
    Refused,
    Row,
    RowLedger,
    Table,
    end_of,
    hour_of,
)

KEYS = st.sampled_from("abc")


class RowsMachine(RuleBasedStateMachine):
    """Writers stamp a row, commit it up to LOOK_BACK hours after its hour closed; landings happen in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1
        self.table = Table()
        self.ledger = RowLedger()
        self.value = 0
        self.landed: set[Row] = set()
        self.ticked: set[int] = set()

    def commit(self, key: str) -> None:
        self.table.commit(key)

    def note(self) -> None:
        self.landed.update(self.ledger.changes())

    @rule(ticks=st.integers(1, 2 * HOUR))
    def time_passes(self, ticks: int) -> None:
        for _ in range(ticks):
            self.now += 1
            for key, row in list(self.table.uncommitted.items()):
                if self.now == end_of(hour_of(row.updated_at)) + LOOK_BACK * HOUR:
                    self.commit(key)

    @rule(key=KEYS)
    def a_row_is_written(self, key: str) -> None:
        if key in self.table.uncommitted:
            return
        self.value += 1
        self.table.write(Row(self.now, key, self.value))

    @precondition(lambda self: self.table.uncommitted)
    @rule(data=st.data())
    def a_row_is_committed(self, data: st.DataObject) -> None:
        self.commit(data.draw(st.sampled_from(sorted(self.table.uncommitted))))

    @rule(back=st.integers(0, 8), refresh=st.booleans(), crash=st.booleans(), commit=st.booleans())
    def any_hour_is_landed(self, back: int, refresh: bool, crash: bool, commit: bool) -> None:
        def somebody_commits() -> None:
            for key in list(self.table.uncommitted) if commit else []:
                self.commit(key)

        hour = hour_of(self.now) - back
        with contextlib.suppress(Crash):
            self.ledger.land(hour, self.table, self.now, refresh=refresh, between=somebody_commits, crash=crash)
        self.note()

    def tick(self, hours: Iterable[int]) -> None:
        """What the schedule does: it closes each hour once, however late."""
        for hour in set(hours) - self.ticked:
            self.ticked.add(hour)
            self.ledger.tick(hour, self.table, self.now)
        self.note()

    @rule(back=st.integers(1, 8))
    def a_closed_hour_is_ticked(self, back: int) -> None:
        self.tick([hour_of(self.now) - back])

    @rule()
    def an_hour_passes_and_the_schedule_runs(self) -> None:
        self.time_passes(HOUR)
        self.tick(range(hour_of(self.now)))

    @invariant()
    def nothing_landed_is_lost_or_doubled(self) -> None:
        changes = self.ledger.changes()
        assert set(changes) == self.landed
        assert len(changes) == len(set(changes))

    @invariant()
    def every_row_lies_in_the_hour_of_its_update(self) -> None:
        for hour, raw in self.ledger.raw.items():
            assert {hour_of(row.updated_at) for row in raw.rows} <= {hour}

    def teardown(self) -> None:
        self.time_passes(2 * LOOK_BACK * HOUR)
        self.tick(range(hour_of(self.now)))
        assert self.ledger.newest() == self.table.rows
        self.nothing_landed_is_lost_or_doubled()
        for hour in range(hour_of(self.now)):
            assert not self.ledger.land(hour, self.table, self.now), "landing again changes nothing"


class EventsMachine(RuleBasedStateMachine):
    """Events arrive, late or back-dated, expire, and hours are landed, refreshed and crashed in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1
        self.hub = Hub()
        self.ledger = EventLedger()
        self.seen: set[Event] = set()

    @rule(ticks=st.integers(1, HOUR))
    def time_passes(self, ticks: int) -> None:
        self.now += ticks

    @rule(partition=st.integers(0, 1), delay=st.integers(0, 3 * HOUR))
    def an_event_arrives(self, partition: int, delay: int) -> None:
        self.hub.append(partition, self.now, self.now - delay)

    @rule(partition=st.integers(0, 1), back=st.integers(0, 3 * HOUR))
    def an_event_is_back_dated(self, partition: int, back: int) -> None:
        enqueued = max(self.now - back, self.hub.held_since + 1)
        self.hub.append(partition, enqueued, enqueued)

    @rule(back=st.integers(0, 4 * HOUR))
    def events_expire(self, back: int) -> None:
        self.hub.expire(max(0, self.now - back))

    @rule(back=st.integers(0, 4), refresh=st.booleans(), crash=st.booleans())
    def any_hour_is_landed(self, back: int, refresh: bool, crash: bool) -> None:
        hour = hour_of(self.now) - back
        before = self.ledger.raw.get(hour)
        held = set(self.hub.read(hour))
        try:
            self.ledger.land(hour, self.hub, self.now, refresh=refresh, crash=crash)
        except Crash:
            assert self.ledger.raw.get(hour) == before
            return
        except Refused:
            assert self.hub.held_since > hour * HOUR
            assert not refresh
            return
        landed = set(self.ledger.raw[hour].events)
        if before and before.complete and not refresh:
            assert self.ledger.raw[hour] == before
        else:
            assert landed == held | set(before.events if before else [])
        self.seen |= landed

    @invariant()
    def nothing_landed_is_lost_or_doubled(self) -> None:
        events = [event for raw in self.ledger.raw.values() for event in raw.events]
        assert set(events) == self.seen
        assert len(events) == len(self.seen)


TestRows = RowsMachine.TestCase
TestRows.settings = settings(max_examples=250, stateful_step_count=30, deadline=None)
TestEvents = EventsMachine.TestCase
TestEvents.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)


def test_a_late_commit_is_found_by_the_landing_of_a_following_hour() -> None:
    table, ledger = Table(), RowLedger()
    table.write(Row(5, "a", 1))
    ledger.tick(0, table, now=11)
    table.commit("a")
    ledger.tick(1, table, now=21)
    assert ledger.raw[0].rows == [Row(5, "a", 1)]


def test_after_an_outage_the_look_back_counts_from_the_hour_landed_and_not_from_now() -> None:
    table, ledger = Table(), RowLedger()
    table.write(Row(5, "a", 1))
    ledger.tick(0, table, now=11)
    table.commit("a")
    for hour in range(1, 9):  # nothing ran for eight hours; then the gap is landed
        ledger.tick(hour, table, now=95)
    assert ledger.newest() == table.rows


def test_an_updated_row_is_kept_in_the_hour_it_left() -> None:
    table, ledger = Table(), RowLedger()
    for updated_at, value in ((5, 1), (15, 2)):
        table.write(Row(updated_at, "a", value))
        table.commit("a")
        ledger.tick(hour_of(updated_at), table, now=end_of(hour_of(updated_at)))
    assert [row.value for row in ledger.changes()] == [1, 2]
    assert not ledger.land(0, table, 30, refresh=True), "the source moved on; that is no reason to change raw"


def test_a_row_written_back_without_a_new_time_is_landed_again_by_a_refresh() -> None:
    table, ledger = Table(), RowLedger()
    for value in (1, 2, 1):
        table.write(Row(5, "a", value))
        table.commit("a")
        ledger.land(0, table, 20, refresh=True)
    assert ledger.newest() == table.rows


def test_a_fingerprint_taken_after_the_read_would_hide_a_row_committed_in_between() -> None:
    table, ledger = Table(), RowLedger()
    table.write(Row(5, "a", 1))
    ledger.land(0, table, 11)
    table.write(Row(6, "b", 1))
    ledger.land(0, table, 12, refresh=True, between=lambda: table.commit("b"))
    assert ledger.raw[0].seen == frozenset(), "looked before reading: at worst one look too many"
    assert ledger.late(1, table) == [0]


def test_an_hour_landed_while_open_is_landed_again_when_it_has_closed() -> None:
    hub, ledger = Hub(), EventLedger()
    hub.append(0, 3, 3)
    ledger.land(0, hub, now=5)
    hub.append(0, 7, 7)
    assert not ledger.raw[0].complete
    ledger.land(0, hub, now=10)
    assert ledger.raw[0].complete
    assert [e.enqueued for e in ledger.raw[0].events] == [3, 7]


def test_a_refresh_that_replaced_would_lose_events_although_it_holds_as_many() -> None:
    hub, ledger = Hub(), EventLedger()
    hub.append(0, 3, 3)
    ledger.land(0, hub, now=10)
    hub.expire(4)
    hub.append(0, 8, 8)
    assert len(hub.read(0)) == len(ledger.raw[0].events), "comparing counts would let the loss through"
    ledger.land(0, hub, now=11, refresh=True)
    assert [e.enqueued for e in ledger.raw[0].events] == [3, 8]


def test_a_late_event_belongs_to_the_hour_it_arrived_in() -> None:
    hub, ledger = Hub(), EventLedger()
    hub.append(0, enqueued=15, event_time=2)
    ledger.land(0, hub, now=20)
    ledger.land(1, hub, now=20)
    assert ledger.raw[0].events == []
    assert [e.event_time for e in ledger.raw[1].events] == [2]
