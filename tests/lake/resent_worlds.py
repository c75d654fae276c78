"""Ratings that were sent more than once, hours apart, and a lake in which each hour can be made by itself."""

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa

from dagster_lake.contract.model import contracts
from dagster_lake.engines.duckdb.engine import DuckDBEngine
from dagster_lake.engines.step import Engine, Step, StepResult
from dagster_lake.lake_hour import HOUR, HourRange, hour_key
from dagster_lake.landing.land import land_hours
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.database.database import Database
from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import quarantine_table, silver_table
from tests.lake.lakes import content_of

FIRST = datetime(2026, 1, 5, 12, tzinfo=UTC)
STARS = contracts()["stars"]


Tables = tuple[list[tuple[str, str, int]], list[tuple[str, str, int, tuple[str, ...]]]]
"""Silver as (hour, id, stars), and quarantine with its reasons."""


@dataclass(frozen=True)
class Sent:
    """One rating, on its way ``minutes`` after the start of the world's hour number ``hours``."""

    id: str
    hours: int
    stars: int = 5
    minutes: int = 30

    @property
    def hour(self) -> str:
        return hour_key(FIRST + self.hours * HOUR)

    @property
    def arrives(self) -> datetime:
        return FIRST + self.hours * HOUR + timedelta(minutes=self.minutes)

    @property
    def body(self) -> bytes:
        time = FIRST.isoformat().replace("+00:00", "Z")
        return json.dumps({"event_id": self.id, "user_id": 1, "stars": self.stars, "event_time": time}).encode()


def what_they_give(events: Iterable[Sent]) -> Tables:
    """What silver and quarantine must hold, by the rule's words: of the valid copies of an event, one counts when no
    other came in the 24 hours before it; one that does not and says something else than the first of these is kept in
    quarantine."""
    silver, kept_out = [], []
    valid = sorted((event for event in events if event.stars <= 5), key=lambda event: event.arrives)
    for event in events:
        if event.stars > 5:
            kept_out.append((event.hour, event.id, event.stars, ("stars:maximum",)))
            continue
        before = [
            other
            for other in valid
            if other.id == event.id and other.arrives < event.arrives and event.hours - other.hours <= 24
        ]
        if not before:
            silver.append((event.hour, event.id, event.stars))
        elif before[0].stars != event.stars:
            kept_out.append((event.hour, event.id, event.stars, ("event_id:conflict",)))
    return sorted(silver), sorted(kept_out)


class World:
    """A lake and its hub in ``folder``, far after the events: every hour is closed."""

    def __init__(self, folder: Path, engine: Callable[..., Engine] = DuckDBEngine) -> None:
        self.settings = Settings(root=str(folder / "lake"), pii_key="k" * 48, pii_key_id="test-1", threads=1)
        self.lake = Lake.of(self.settings)
        self.engine = engine(self.lake, contracts(), self.settings)
        self._hub = EmbeddedEventHub(self.lake.sources / "event_hub")
        self._sources = Sources(self._hub, Database(f"sqlite:///{folder / 'shop.db'}"))
        self._batches = 0

    @contextmanager
    def here(self) -> Iterator[None]:
        """Makes this process use this lake."""
        own = {"LAKE_ROOT": str(self.settings.root), "LAKE_PII_KEY": "k" * 48, "LAKE_PII_KEY_ID": "test-1"}
        with patch.dict(os.environ, {**own, "LAKE_THREADS": "1"}):
            yield

    def send(self, *events: Sent) -> None:
        """Enqueues events, each at its own instant."""
        self._batches += 1
        ordered = sorted(events, key=lambda event: event.arrives)
        batch = pa.RecordBatch.from_arrays(
            [
                pa.array([event.arrives for event in ordered], pa.timestamp("us", "UTC")),
                pa.array(["1" for _ in ordered], pa.string()),
                pa.array([event.body for event in ordered], pa.binary()),
            ],
            ["enqueued_time", "partition_key", "body"],
        )
        self._hub.append("stars", str(self._batches), [batch])

    def land(self, *hours: str) -> None:
        """Raw of these hours, and what came for them since it was landed."""
        for hour in hours:
            land_hours(STARS, self.lake, HourRange.of(hour), self._sources, refresh=True)

    def make(self, *hours: str) -> StepResult:
        """Raw, bronze and silver of these hours, as one run makes them; what the silver step did."""
        self.bronze(*hours)
        return self.engine.run(Step("stars", "silver", hours))

    def bronze(self, *hours: str) -> None:
        """Raw and bronze of these hours."""
        self.land(*hours)
        self.engine.run(Step("stars", "bronze", hours))

    def tables(self) -> Tables:
        """What silver and quarantine hold."""
        silver = self._rows(silver_table(self.lake, STARS))
        kept_out = self._rows(quarantine_table(self.lake, STARS))
        return (
            sorted((row["_lake_hour"], row["event_id"], row["stars"]) for row in silver),
            sorted((row["_lake_hour"], row["event_id"], int(row["stars"]), tuple(row["_reasons"])) for row in kept_out),
        )

    def silver(self) -> dict[str, list[str]]:
        """The ids that silver holds, by hour."""
        found = defaultdict(list)
        for row in self._rows(silver_table(self.lake, STARS)):
            found[row["_lake_hour"]].append(row["event_id"])
        return {hour: sorted(ids) for hour, ids in sorted(found.items())}

    @staticmethod
    def _rows(table: TableSpec) -> list[dict[str, Any]]:
        return content_of(Path(str(table.uri)))
