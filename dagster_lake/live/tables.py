"""Making the tables of the hours that changed: bronze, silver and quarantine of each data set, then the streams."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dagster_lake.contract.model import Contract
from dagster_lake.dbt_runner.manifest import STREAMS, manifest
from dagster_lake.dbt_runner.run import build
from dagster_lake.engines.judged import accepted_loads
from dagster_lake.engines.made import tables_made
from dagster_lake.engines.step import Engine, Step, StepResult
from dagster_lake.errors import LakeError
from dagster_lake.lake_hour import HOUR, HourRange, hour_of
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.alerts.kinds import AlertKind
from dagster_lake.streams.alerts.notices import Noted
from dagster_lake.streams.alerts.notify import tell
from dagster_lake.streams.alerts.written import written_hours
from dagster_lake.streams.settled import note_time


class Stopped(LakeError):
    """The work was left at a point from which it can be done again."""


@dataclass(frozen=True)
class Made:
    """How long the tables took, how many alerts they gave that were not told before, how many of their rows wait until
    they can no longer change, why bronze or silver of a data set could not be made, and why some streams could not."""

    seconds: float
    alerts: int
    held: int
    failures: Mapping[str, Exception] = field(default_factory=dict)
    streams_failed: Exception | None = None


@dataclass(frozen=True)
class LiveTables:
    """What makes the tables, as a Dagster run makes them of the same hours.

    ``stopping`` is asked between steps; ``say`` takes what is told of alerts, and of hours that
    silver withheld.
    """

    lake: Lake
    settings: Settings
    engine: Engine
    contracts: Mapping[str, Contract]
    kinds: list[AlertKind]
    run: str
    stopping: Callable[[], bool]
    say: Callable[[str], None]
    withheld: dict[tuple[str, str], str | None] = field(default_factory=dict)

    def make(self, hours: Mapping[str, Collection[str]], settled: Mapping[str, datetime]) -> Made:
        """Makes the tables of these hours, by data set, and of the later ones that they change, and notes their alerts.

        ``settled`` says, by data set, up to when its events had all landed before this was called.

        What fails is in ``failures`` and ``streams_failed``; all else is made, and told of. A stream that failed takes
        up by itself, the next time, what was written meanwhile. Raises Stopped when it was asked to stop in between.
        """
        started = time.monotonic()
        failures: dict[str, Exception] = {}
        for name, of_data_set in hours.items():
            try:
                self._make(name, of_data_set)
            except Stopped:
                raise
            except Exception as error:  # one data set's trouble is its own
                failures[name] = error
        self._go_on()
        note_time(self.lake, {name: until for name, until in settled.items() if name not in failures})
        changed = {hour for of_data_set in hours.values() for hour in of_data_set}
        further: set[str] = set()
        streams_failed = None
        try:
            for made in build(stream_models(), HourRange.of(min(changed), max(changed)), self.lake, self.settings):
                further.update(made.further)
        except Exception as error:  # raised after the last model: the others are written
            streams_failed = error
        every = HourRange.of(min(changed | further), max(changed | further))
        noted = self._tell(self.kinds, every, settled)
        return Made(time.monotonic() - started, sum(noted.states.values()), noted.held, failures, streams_failed)

    def _make(self, name: str, hours: Collection[str]) -> None:
        """Bronze and silver of a data set's hours."""
        for layer in ("bronze", "silver"):
            self._go_on()
            accepted = accepted_loads(self.lake, self.contracts[name]) if layer == "silver" else ()
            result = self.engine.run(Step(name, layer, tuple(sorted(hours)), accepted=accepted))
            self._tell_of_withheld(name, result)
        tables_made(self.lake, self.contracts[name], hours)

    def tell_final(self, now: datetime, settled: Mapping[str, datetime]) -> Made:
        """Notes the alerts of the last hours whose rows can no longer change, since time has passed without events."""
        started = time.monotonic()
        waiting = [kind for kind in self.kinds if kind.told_after is not None]
        last = hour_of(now)
        noted = self._tell(waiting, HourRange(last - HOUR, last), settled)
        return Made(time.monotonic() - started, sum(noted.states.values()), noted.held)

    def _tell(self, kinds: list[AlertKind], hours: HourRange, settled: Mapping[str, datetime]) -> Noted:
        rows = written_hours(self.lake, kinds, hours, settled)
        return tell(self.lake, self.settings, rows, self.run, self.say)

    def _tell_of_withheld(self, name: str, result: StepResult) -> None:
        """Says which hours silver holds nothing of, and why: once, until the reason is another. The others go on."""
        for hour in result.counts:
            why = result.withheld.get(hour)
            if why is not None and self.withheld.get((name, hour)) != why:
                self.say(f"{result.table.replace('.', '/')}: {hour} withheld: {why}")
            self.withheld[name, hour] = why

    def _go_on(self) -> None:
        if self.stopping():
            raise Stopped


def stream_models() -> list[str]:
    """The dbt models of the streams, by their unique ids."""
    nodes = manifest()["nodes"].values()
    return sorted(n["unique_id"] for n in nodes if n["resource_type"] == "model" and n["schema"] == STREAMS)
