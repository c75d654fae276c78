"""What ``lake stream`` does: one thread lands, judges and tells; another makes tables; a third posts to the webhook; a
fourth fills the sinks."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from dagster_lake import clock
from dagster_lake.lake_hour import parse_hour
from dagster_lake.lake_resource import LakeResource
from dagster_lake.live.early import EarlyAlerts
from dagster_lake.live.final import FinalRows
from dagster_lake.live.finished import note_finished
from dagster_lake.live.landing import Landing, Pass
from dagster_lake.live.plan import Plan
from dagster_lake.live.status import Status
from dagster_lake.live.tables import LiveTables, Made, Stopped
from dagster_lake.live.tidy import Tidy, written_live
from dagster_lake.live.worker import Worker
from dagster_lake.streams.alerts.kinds import AlertKind
from dagster_lake.streams.alerts.notices import Rows
from dagster_lake.streams.alerts.notify import tell
from dagster_lake.streams.alerts.sender import Sender
from dagster_lake.streams.sinks.deliver import fill

WEBHOOK_SECONDS = 2.0
"""Alerts of this long are posted together."""
TABLES, _WEBHOOK, _EARLY, _SINKS = "tables", "webhook", "early alerts", "sinks"


class Live:
    """Events on their way into the lake.

    ``landing`` brings them into raw. ``say`` takes lines for people; ``finished`` is told of hours, by data set, that
    were landed whole and of which every table was made.
    """

    def __init__(
        self,
        resource: LakeResource,
        plan: Plan,
        landing: Landing,
        say: Callable[[str], None],
        finished: Callable[[Mapping[str, list[str]]], None],
    ) -> None:
        self._resource, self._plan, self._say, self._finished = resource, plan, say, finished
        self._landing = landing
        self._stopping = threading.Event()
        self._tables = LiveTables(
            resource.lake,
            resource.settings,
            resource.engine,
            plan.contracts,
            plan.kinds,
            plan.run,
            self._stopping.is_set,
            say,
        )
        self._final = FinalRows(resource.lake, resource.settings)
        self._tidy = self._tidying() if resource.settings.engine == "duckdb" else None
        # What fails is said by ``_tell_of_failure``, once.
        self._sender = Sender(resource.lake, resource.settings, plan.run, lambda line: None)
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._stale: dict[str, set[str]] = {}  # hours whose tables are to be made, by data set
        self._complete: dict[str, set[str]] = {}  # those among them that will not change any more
        self._settled: dict[str, datetime] = {}  # up to when all events have landed, by data set
        # Rows of alert streams that may still change; what another process left is not known before the first look.
        self._held = sum(kind.told_after is not None for kind in plan.kinds)
        self.status = Status(clock.utc_now())

    def run(self, stop: threading.Event, every: float, seconds: float | None, show: Callable[[Status], None]) -> None:
        """Looks at the hubs ``every`` so many seconds, until ``stop`` is set or ``seconds`` have passed; once at least.

        When the time is up, the tables are brought up to what has landed; when stopped, they are left as they stand.
        ``show`` is called after each look. What fails is in ``status.failures``, and stops nothing else.
        """
        with ExitStack() as ending:
            judges = self._judges(ending)
            # Ended last: the tables that are made at the end may hold alerts that nobody has told of.
            webhook = Worker(_WEBHOOK, self._deliver, WEBHOOK_SECONDS, lambda error: self._failed(_WEBHOOK, error))
            ending.callback(lambda: webhook.end(finish=True))
            pause = self._plan.tables_every
            sinks = Worker(_SINKS, self._fill, pause, lambda error: self._failed(_SINKS, error))
            ending.callback(lambda: sinks.end(finish=not stop.is_set()))
            ending.callback(self._ending.set)
            tables = Worker(
                TABLES,
                lambda: self._make_tables(webhook.wake, sinks.wake),
                pause,
                lambda error: self._failed(TABLES, error),
            )
            ending.callback(lambda: tables.end(finish=not stop.is_set()))
            webhook.wake()  # for what another process has left
            sinks.wake()
            ending.callback(lambda: self._stopping.set() if stop.is_set() else None)
            began = time.monotonic()
            while not stop.is_set():
                turn = time.monotonic()
                found = self._land()
                if found.changed or self._held or self._final.waiting:
                    tables.wake()
                if self._judge(judges, found) or found.expired:
                    webhook.wake()
                show(self.status)
                if seconds is not None and time.monotonic() - began >= seconds:
                    break
                stop.wait(max(0.0, every - (time.monotonic() - turn)))

    # ---- landing ----

    def _land(self) -> Pass:
        found = self._landing.land()
        with self._lock:
            _add(self._stale, found.changed)
            _add(self._complete, found.complete)
            self._settled.update(found.settled)
            self.status.behind = self.status.behind or bool(found.changed)
        self.status.hours = sorted({hour for hours in found.hours.values() for hour in hours})
        self.status.count(clock.utc_now(), found.rows)
        for name in self._plan.contracts:
            self._tell_of_failure(name, found.failures.get(name))
        if found.expired:
            self._tell_owners()
        return found

    def _tell_owners(self) -> None:
        """Notes that events have expired for those whom failures are told; who watches the lake tells it otherwise."""
        from dagster_lake.operations.failures.of_data import expired_events
        from dagster_lake.operations.failures.tell import tell_failures

        lake, settings = self._resource.lake, self._resource.settings
        try:
            tell_failures(lake, settings, expired_events(lake), self._plan.run, self._say)
        except Exception as error:
            self._failed("telling of expired events", error)

    # ---- alerts at once ----

    def _judges(self, ending: ExitStack) -> dict[str, EarlyAlerts]:
        lake, settings = self._resource.lake, self._resource.settings
        judges = {}
        for name, sql in self._plan.early.items():
            try:
                judge = EarlyAlerts(lake, settings, self._plan.contracts[name], sql, self._landing.first[name])
            except Exception as error:  # they will be told from the tables
                self._failed(f"{_EARLY} of {name}", error)
                continue
            judges[name] = judge
            ending.callback(judge.close)
        return judges

    def _judge(self, judges: dict[str, EarlyAlerts], found: Pass) -> bool:
        """Tells of the alerts among what has landed; whether any of them was not told before."""
        told = False
        for name, judge in list(judges.items()):
            if name not in found.settled:
                continue
            try:
                alerts = judge.judge(found.hours[name], found.settled[name])
                told = self._tell(alerts) or told
            except Exception as error:  # they will be told from the tables
                del judges[name]
                self._failed(f"{_EARLY} of {name}", error)
        return told

    def _tell(self, alerts: Mapping[AlertKind, pa.Table]) -> bool:
        rows = {kind: Rows(found) for kind, found in alerts.items()}
        if not rows:
            return False
        noted = tell(self._resource.lake, self._resource.settings, rows, self._plan.run, self._say)
        new = sum(noted.states.values())
        if new:
            arrived = max(pc.max(found["_enqueued_time"]).as_py() for found in alerts.values())
            self.status.alerts += new
            self.status.alert_seconds = (clock.utc_now() - arrived).total_seconds()
        return new > 0

    def _deliver(self) -> bool:
        """Posts what is due; whether something was not taken. Why a webhook does not take it is said once."""
        sent = self._sender.send(at_once=self._ending.is_set())
        self.status.alerts_waiting, self.status.alerts_set_aside = sent.waiting, sent.set_aside
        if sent.failure or not sent.waiting:  # what rests says nothing of the webhook
            self._tell_of_failure(_WEBHOOK, sent.failure)
        return sent.waiting > 0

    # ---- tables ----

    def _make_tables(self, told: Callable[[], None], made_some: Callable[[], None]) -> bool:
        """Makes the tables of the hours that changed since the last time, and calls ``told`` when they gave alerts that
        are new, ``made_some`` in any case. When none has changed, time alone may make alerts new. Whether something
        failed, and is left: of what is new, a landing says."""
        with self._lock:
            stale, self._stale = self._stale, {}
            complete, self._complete = self._complete, {}
            settled = dict(self._settled)
        if not stale:
            final = self._tables.tell_final(self.status.now, settled)
            self._held = final.held
            if final.alerts:
                told()
            if self._final.make(self.status.now, settled):
                made_some()
        if stale:
            try:
                made = self._made(stale, complete, settled)
                made_some()
                if made.alerts:
                    told()
                return bool(made.failures or made.streams_failed)
            except BaseException as error:
                with self._lock:
                    _add(self._stale, stale)
                    _add(self._complete, complete)
                if not isinstance(error, Stopped):
                    raise
        return False

    def _made(
        self, stale: Mapping[str, set[str]], complete: Mapping[str, set[str]], settled: Mapping[str, datetime]
    ) -> Made:
        """Makes the tables of ``stale``; what failed is stale again, and no hour of it is finished."""
        made = self._tables.make(stale, settled)
        self._held, self._final.waiting = made.held, True
        self.status.tables_at, self.status.tables_seconds = clock.utc_now(), made.seconds
        again = {name: stale[name] for name in made.failures}
        if made.streams_failed:  # they take up every hour that was written; any will do to have them made
            again = {name: again.get(name, {max(hours)}) for name, hours in stale.items()}
        unfinished = {name: hours for name, hours in complete.items() if name in again}
        with self._lock:
            _add(self._stale, again)
            _add(self._complete, unfinished)
        if complete := {name: hours for name, hours in complete.items() if name not in again}:
            self._finished({name: sorted(hours) for name, hours in complete.items()})
            note_finished(self._resource.lake, {name: parse_hour(max(hours)) for name, hours in complete.items()})
        with self._lock:
            self.status.behind = bool(self._stale)
        for name in stale:
            self._told(f"{TABLES} of {name}", made.failures.get(name))
        self._told(TABLES, made.streams_failed)
        if self._tidy is not None:
            self._tidy.when_due()
        return made

    def _tidying(self) -> Tidy:
        """For tables of the embedded engine; those of Spark have an upkeep of their own."""
        lake = self._resource.lake
        followed = {sink.table(lake) for sink in self._plan.sinks}
        tables = written_live(lake, self._plan.contracts.values())
        return Tidy(tables, lambda error: self._told("tidying", error), followed)

    # ---- sinks ----

    def _fill(self) -> bool:
        """Fills the sinks; whether one of them lacks something. Why it does not take it is said once."""
        lake, settings = self._resource.lake, self._resource.settings
        filled = fill(lake, settings, self._plan.sinks, at_once=self._ending.is_set())
        for one in filled:
            self._tell_of_failure(one.sink.who, None if one.trouble is None else one.trouble.why_alone)
        self.status.sinks_waiting = sum(one.waits for one in filled)
        return self.status.sinks_waiting > 0

    # ---- failures ----

    def _failed(self, what: str, error: Exception) -> None:
        self._told(what, error)

    def _told(self, what: str, error: Exception | None) -> None:
        self._tell_of_failure(what, None if error is None else f"{type(error).__name__}: {error}")

    def _tell_of_failure(self, what: str, reason: str | None) -> None:
        """Says why something fails, once until the reason is another or it works again."""
        if reason is None:
            self.status.failures.pop(what, None)
        elif self.status.failures.get(what) != reason:
            self.status.failures[what] = reason
            self._say(f"{what}: {reason}")


def _add(to: dict[str, set[str]], hours: Mapping[str, Iterable[str]]) -> None:
    for name, of_data_set in hours.items():
        to.setdefault(name, set()).update(of_data_set)
