"""The product as a simulation uses it: in this process, asset by asset, by a clock of its own."""

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache, partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import dagster as dg

from dagster_lake import clock
from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.manifest import manifest
from dagster_lake.dbt_runner.run import build
from dagster_lake.defs.conditions import MAKES_GOLD, MAKES_STREAMS
from dagster_lake.defs.contracts.acceptance import run_silver
from dagster_lake.defs.contracts.pending import pending_snapshots
from dagster_lake.defs.steps import silver_made
from dagster_lake.engines.step import Step
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, hour_of, parse_hour
from dagster_lake.lake_resource import LakeResource
from dagster_lake.landing.land import land_hours, land_snapshot
from dagster_lake.storage import unfinished
from dagster_lake.storage.manifest import Manifest, read_manifest
from dagster_lake.storage.unfinished import GOLD, STREAMS
from tests.lake.lakes import TestLake, content_of
from tests.simulation.delivered import Delivered
from tests.simulation.outside import TABLES, Outside, lines_of
from tests.simulation.trouble import Trouble, a_run, tried

EXPORTS = {"users": False, "vip_users": False, "products": True}
"""The data sets that come as files, and whether a file is one whole document."""
HOURLY = (*TABLES, "pageviews", "stars")
_LOG = logging.Logger("simulation")
_LOG.disabled = True
LAYERS = ("raw", "bronze", "silver", "newest")


@dataclass
class Product(TestLake):
    """A lake and what was done to it.

    ``hourly`` are the data sets that are landed by the hour, and ``streams`` says whether streams are made.
    ``behind`` are the hours that a layer has to make again because the one before it was made; ``pending`` those that
    streams and gold have to: silver's hours are carried on by automation, layers by whoever made the one before alone.
    ``trouble`` is what the next run meets.
    """

    __test__ = False

    outside: Outside = field(kw_only=True)
    now: datetime = field(kw_only=True)
    hourly: tuple[str, ...] = HOURLY
    streams: bool = False
    delivered: Delivered = field(default_factory=Delivered)
    behind: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    made: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    pending: set[str] = field(default_factory=set)
    trouble: Trouble | None = None

    @contextmanager
    def here(self) -> Iterator[None]:
        """Makes this process use this lake, by the simulation's clock."""
        with (
            patch.dict(os.environ, self.environment),
            patch.object(clock, "utc_now", lambda: self.now),
            patch.object(clock, "wait", lambda _: None, create=True),
        ):
            yield

    # ---- hours

    def run_hours(self, hours: Iterable[str], *, refresh: bool = False, gold: bool = True) -> None:
        """Everything for these hours, as the hourly job makes it; without ``gold``, all up to silver."""
        keys, trouble = list(hours), self.trouble
        self.trouble, behind, pending = None, {of: {*hours} for of, hours in self.behind.items()}, {*self.pending}
        with a_run(trouble):
            for data_set in self.hourly:
                for layer in LAYERS:
                    self.make(data_set, layer, keys, refresh=refresh, goes_on=gold)
            if gold:
                self.gold(keys, trouble)
        if trouble is not None:  # what such a run leaves undone is the schedule's to find, not ours
            self.behind = {of: hours & behind.get(of, set()) for of, hours in self.behind.items()}
            if gold:  # nor automation's, of a run that was to go on
                self.pending &= pending

    def make(
        self, data_set: str, layer: str, hours: Iterable[str], *, refresh: bool = False, goes_on: bool = False
    ) -> None:
        """One layer of one hourly data set, for those of ``hours`` of which there is the layer before, in a run that
        ``goes_on`` to streams and gold, or in one that does not."""
        keys = sorted(hours if layer == "raw" else {*hours} & self._made(data_set, _before(layer)))
        if layer == "newest" and data_set not in TABLES:
            return
        for range_ in ranges_of(keys):
            if layer == "raw":
                tried(partial(self._land, data_set, range_, refresh))
            else:
                tried(partial(self._run, data_set, layer, range_.keys))
        if after := _after(layer, data_set):
            self._behind(data_set, after).update(keys)
        if layer in ("silver", "newest"):
            self.pending |= {*keys}
        if layer == LAYERS[-1] or after is None:
            tags = {**({MAKES_STREAMS: "true"} if self.streams else {}), MAKES_GOLD: "true"} if goes_on else {}
            context: Any = SimpleNamespace(run=SimpleNamespace(tags=tags))
            with self.here():
                silver_made(context, self.resource.lake, contracts()[data_set], keys)
        self._behind(data_set, layer).difference_update(keys)
        self._made(data_set, layer).update(keys)

    def _land(self, data_set: str, hours: HourRange, refresh: bool) -> None:
        contract = contracts()[data_set]
        with self.here():
            for hour in hours:
                before = self._landed(data_set, hour)
                try:
                    land_hours(
                        contract, self.resource.lake, HourRange(hour, hour), self.resource.sources, refresh=refresh
                    )
                finally:
                    # Of a landing that failed or died, what it had published counts.
                    if data_set in TABLES and (sys.exception() is None or self._landed(data_set, hour) != before):
                        self.delivered.rows(data_set, self.outside.rows_of_hour(data_set, hour))

    def _landed(self, data_set: str, hour: datetime) -> Manifest | None:
        contract = contracts()[data_set]
        return read_manifest(self.resource.lake.raw_partition(data_set, hour_key(hour), sensitive=contract.sensitive))

    def catch_up(self) -> None:
        """Makes what somebody left behind: a layer whose hour was made without the layers after it."""
        for layer in LAYERS[1:]:
            for data_set in self.hourly:
                if hours := {*self._behind(data_set, layer)}:
                    self.make(data_set, layer, hours)

    def asked(self) -> list[str]:
        """The hours that the schedule asks for at this time, in the order in which it does."""
        from dagster_lake.definitions import defs
        from dagster_lake.defs.schedules import close_the_hour
        from dagster_lake.operations.hourly_runs import hours_of

        with (
            self.here(),
            dg.build_schedule_context(
                scheduled_execution_time=self.now,
                resources={"lake": LakeResource()},
                repository_def=defs.get_repository_def(),
            ) as context,
        ):
            requests = close_the_hour.evaluate_tick(context).run_requests
        return [hour for request in requests or [] for hour in hours_of(request.tags, request.partition_key)]

    def never_landed(self, first: datetime) -> list[str]:
        """The closed hours from ``first`` that some data set lacks."""
        closed = HourRange(first, hour_of(self.now) - HOUR).keys
        return [key for key in closed if any(key not in self._made(name, "raw") for name in self.hourly)]

    def reconcile(self) -> None:
        """The daily reconciliation of each table; however many keys are gone, they were deleted on purpose."""
        from dagster_lake.quality.reconciliation import SETTLED_AFTER, reconcile

        for table in (name for name in TABLES if name in self.hourly):
            landed = sorted(self._made(table, "raw"))
            last = hour_of(self.now) - HOUR - SETTLED_AFTER
            if landed and parse_hour(landed[0]) <= last:
                for hour in HourRange(parse_hour(landed[0]), last):
                    rows = self.outside.rows_of_hour(table, hour)
                    if any(not self.delivered.has(table, row) for row in rows):
                        self.delivered.rows(table, rows)
            with self.here():
                lake = self.resource
                arguments = (contracts()[table], lake.lake, lake.settings, lake.sources, lake.engine, self.now)
                found = reconcile(*arguments, accept_deletions=True)
            if found is not None:
                self.pending |= {*found.made_again, *found.refreshed}
                for layer in LAYERS:
                    self._made(table, layer).update(found.made_again)

    # ---- exports

    def run_exports(self, *, again: bool) -> None:
        """Raw to newest of what comes as files; ``again`` where nothing has come as well."""
        for data_set in EXPORTS:
            if again or self.delivered.is_new(data_set, self.outside.files(data_set)):
                self.land_export(data_set)
                self.silver_of_export(data_set)

    def land_export(self, data_set: str) -> None:
        """Raw of one folder."""
        files = self.outside.files(data_set)
        with self.here():
            landed = land_snapshot(contracts()[data_set], self.resource.lake)
        assert landed.changed == self.delivered.is_new(data_set, files), f"{data_set}: changed is {landed.changed}"
        if landed.changed:
            lines = lines_of(files, whole=EXPORTS[data_set])
            assert landed.rows == len(lines), f"{data_set}: landed {landed.rows} rows of {len(lines)}"
            before = [snapshot.key for snapshot in self.delivered.snapshots.get(data_set, [])]
            latest = self.now + timedelta(seconds=60)
            assert before[-1:] < [landed.partition] <= [f"{latest:%Y-%m-%dT%H%M%SZ}"], landed.partition
            self.delivered.export(data_set, landed.partition, files, lines)

    def silver_of_export(self, data_set: str, *, accept: bool = False) -> None:
        """Bronze to newest of one folder's snapshots; ``accept`` takes the newest whatever it lost."""
        for layer in LAYERS[1:]:
            with self.here():
                keys = pending_snapshots(self.resource.lake, contracts()[data_set], layer)
            if accept and keys:
                self.delivered.snapshots[data_set][-1].accepted = True
            self._run(data_set, layer, keys, accept=accept)

    def _run(self, data_set: str, layer: str, keys: list[str], *, accept: bool = False) -> None:
        """One step, as the layer's asset runs it."""
        contract = contracts()[data_set]
        context: Any = SimpleNamespace(run_id="simulation", log=_LOG)
        with self.here():
            if layer == "silver":
                run_silver(context, self.resource, contract, keys, accept, False)
            else:
                self.resource.engine.run(Step(data_set, layer, tuple(keys)))  # type: ignore[arg-type]

    # ---- gold

    def gold(self, hours: Iterable[str], trouble: Trouble | None = None) -> None:
        """Streams and gold of these hours, as their assets make them."""
        for range_ in ranges_of(sorted(hours)):
            for what, models in [(STREAMS, "streams")] * self.streams + [(GOLD, "hourly")]:
                tried(partial(self._models_made, what, _models(models), range_), trouble)
            self.pending -= {*range_.keys}

    def _models_made(self, what: str, models: list[str], hours: HourRange) -> None:
        with self.here():
            unfinished.begin(self.resource.lake, what, hours.keys)
        self._build(models, hours)
        with self.here():
            unfinished.end(self.resource.lake, what, hours.keys)

    def whole_gold(self) -> None:
        """The tables of gold that are made whole."""
        self._build(_models("whole"), None)

    def rebuild_streams(self) -> None:
        """The streams of all hours at once."""
        self._build(_models("streams"), None)

    def streams_content(self) -> dict[str, list[dict[str, Any]]]:
        """Every row of every stream."""
        folder = self.root / "streams"
        return {f"streams/{table.name}": content_of(table) for table in sorted(folder.iterdir())}

    def _build(self, models: list[str], hours: HourRange | None) -> None:
        with self.here():
            for _ in build(models, hours, self.resource.lake, self.resource.settings):
                pass

    # ---- bookkeeping

    def _behind(self, data_set: str, layer: str) -> set[str]:
        return self.behind.setdefault((data_set, layer), set())

    def _made(self, data_set: str, layer: str) -> set[str]:
        return self.made.setdefault((data_set, layer), set())

    def table(self, name: str) -> list[dict[str, Any]] | None:
        """A table's rows; None when there is none."""
        with suppress(StopIteration):
            return self.rows(name)
        return None


def _before(layer: str) -> str:
    return LAYERS[LAYERS.index(layer) - 1]


def _after(layer: str, data_set: str) -> str | None:
    rest = LAYERS[LAYERS.index(layer) + 1 :]
    return next((name for name in rest if name != "newest" or data_set in TABLES), None)


def ranges_of(keys: list[str]) -> list[HourRange]:
    """The fewest ranges that hold exactly these hours."""
    ranges: list[HourRange] = []
    for key in keys:
        hour = parse_hour(key)
        if ranges and ranges[-1].end == hour:
            ranges[-1] = HourRange(ranges[-1].first, hour)
        else:
            ranges.append(HourRange(hour, hour))
    return ranges


@cache
def _models(kind: str) -> list[str]:
    nodes = {id: node for id, node in manifest()["nodes"].items() if node["resource_type"] == "model"}
    streams = [id for id, node in nodes.items() if node["schema"] == "streams"]
    hourly = [id for id, node in nodes.items() if "hourly" in node["tags"] and id not in streams]
    kinds = {"streams": streams, "hourly": hourly, "whole": [id for id in nodes if id not in {*streams, *hourly}]}
    return sorted(kinds[kind])
