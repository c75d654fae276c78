"""Landing what is new, again and again, hour after hour."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from dagster_lake import clock
from dagster_lake.contract.model import Contract, EventHubSource
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, hour_of
from dagster_lake.landing.hubs import hub_of
from dagster_lake.landing.land import land_hours
from dagster_lake.landing.result import Landed
from dagster_lake.live.finished import MOST_HOURS, finished_hours, hours_to_do
from dagster_lake.sources.event_hub.protocol import EventHubError
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.manifest import Manifest, read_manifest
from dagster_lake.storage.paths import Lake


@dataclass
class Pass:
    """What one look at the hubs brought, by data set.

    ``settled`` is up to when the hub's events had all come into sight before they were read; a hub that could not be
    read, an hour that could not be landed, and events that are missing are in ``failures``, with the reason. ``hours``
    are those that were looked at, but for any that ever failed; ``rows`` counts their new events, ``changed`` are the
    hours whose raw is not as it was, and ``complete`` those that will not change any more. ``expired`` names data
    sets of which events may have expired in the hub.
    """

    settled: dict[str, datetime] = field(default_factory=dict)
    hours: dict[str, list[str]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    changed: dict[str, list[str]] = field(default_factory=dict)
    complete: dict[str, list[str]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    expired: set[str] = field(default_factory=set)


class Landing(Protocol):
    """Brings events into raw. ``first`` is the first hour that is not finished, by data set."""

    @property
    def first(self) -> Mapping[str, datetime]: ...

    def land(self) -> Pass:
        """Lands what is new in every hour that is not complete."""
        ...


class LiveLanding:
    """Which hours of which data sets are still to be landed, from the unfinished ones to the open one."""

    def __init__(self, lake: Lake, contracts: Iterable[Contract], sources: Sources) -> None:
        self.lake, self.sources = lake, sources
        self.contracts = {contract.name: contract for contract in contracts}
        now, finished = clock.utc_now(), finished_hours(lake)
        self.first = {name: hours_to_do(finished.get(name), now).first for name in self.contracts}
        self._next = dict(self.first)
        self._ahead: dict[str, set[str]] = {name: set() for name in self.contracts}  # complete, and one before is not
        self._failed: dict[str, set[str]] = {name: set() for name in self.contracts}
        self._rows: dict[tuple[str, str], int] = {}

    def _due(self, name: str) -> list[str]:
        """The hours of a data set that are not complete, up to the open one; the hourly run has the oldest."""
        open_hour = hour_of(clock.utc_now())
        self._next[name] = max(self._next[name], open_hour - MOST_HOURS * HOUR)
        hours = HourRange(self._next[name], max(open_hour, self._next[name])).keys
        return [hour for hour in hours if hour not in self._ahead[name]]

    def land(self) -> Pass:
        """Lands what is new in every hour that is due. What fails in one hour or data set stops no other."""
        found = Pass()
        for name, contract in self.contracts.items():
            assert isinstance(contract.source, EventHubSource)
            try:
                settled = hub_of(contract, self.lake, self.sources).settled_until(contract.source.hub)
                whole = self._land(contract, found)
            except EventHubError as error:
                found.failures[name] = str(error)
            except Exception as error:  # a contract or a disk that is refused: the others go on
                found.failures[name] = f"{type(error).__name__}: {error}"
            else:
                if whole:
                    found.settled[name] = settled
        return found

    def _land(self, contract: Contract, found: Pass) -> bool:
        """Lands the hours of a data set that are due; whether the last two of them could be."""
        name, due, lacks, failed = contract.name, self._due(contract.name), [], {}
        for hour in due:
            try:
                landed = self._land_hour(contract, hour, found)
            except EventHubError:
                raise
            except Exception as error:  # a damaged file, a lock that somebody holds: the next hours go on
                failed[hour] = f"hour {hour}: {type(error).__name__}: {error}"
                continue
            lacks += [landed.lacks] if landed.lacks and landed.lacks not in lacks else []
            if landed.over:
                self._ahead[name].add(hour)
                found.expired |= set() if landed.complete else {name}
        self._failed[name].update(failed)
        found.hours[name] = [hour for hour in due if hour not in self._failed[name]]
        if failed or lacks:
            found.failures[name] = _few([*failed.values(), *lacks])
            # The hours before may lack something too.
            self._ahead[name] = {hour for hour in self._ahead[name] if self._is_over(contract, hour)}
        while (hour := hour_key(self._next[name])) in self._ahead[name]:
            self._ahead[name].remove(hour)
            found.complete.setdefault(name, []).append(hour)
            self._next[name] += HOUR
            self._rows.pop((name, hour), None)
        return not failed.keys() & {*due[-2:]}

    def _land_hour(self, contract: Contract, hour: str, found: Pass) -> Landed:
        name, known = contract.name, self._rows.get((contract.name, hour))
        before = self._landed_rows(contract, hour) if known is None else known
        (landed,) = land_hours(contract, self.lake, HourRange.of(hour), self.sources)
        # Of an hour that another landing brought on, nobody here knows what was made of it.
        if landed.changed or landed.rows != known:
            found.changed.setdefault(name, []).append(hour)
        found.rows[name] = found.rows.get(name, 0) + landed.rows - before
        self._rows[name, hour] = landed.rows
        return landed

    def _is_over(self, contract: Contract, hour: str) -> bool:
        manifest = self._manifest(contract, hour)
        return manifest is not None and manifest.is_over

    def _landed_rows(self, contract: Contract, hour: str) -> int:
        manifest = self._manifest(contract, hour)
        return manifest.rows if manifest else 0

    def _manifest(self, contract: Contract, hour: str) -> Manifest | None:
        return read_manifest(self.lake.raw_partition(contract.name, hour, sensitive=contract.sensitive))


def _few(reasons: list[str]) -> str:
    """The first and the last of many reasons: an outage of a day is told in a line or two."""
    return "\n".join(
        reasons if len(reasons) <= 2 else [reasons[0], f"and {len(reasons) - 2:,} more; the last:", reasons[-1]]
    )
