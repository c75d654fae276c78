"""Events of a small shop, sent to the embedded hub at chosen instants, and a clock that goes with them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.run import build
from dagster_lake.engines.duckdb.engine import DuckDBEngine
from dagster_lake.engines.step import Step
from dagster_lake.lake_hour import HourRange, hour_of
from dagster_lake.landing.land import land_hours
from dagster_lake.live.tables import stream_models
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.database.database import Database
from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.paths import Lake
from tests.lake.lakes import content_of

START = datetime(2026, 1, 5, 12, 56, tzinfo=UTC)
KEY = "a masking key that only tests use, 48 bytes long"


@dataclass(frozen=True)
class Event:
    """One pageview or rating: sent ``at`` ms after ``START``; its own clock is ``delay`` ms before that."""

    id: str
    at: int
    delay: int = 500
    user: int = 1
    latency: int = 100
    stars: int | None = None
    method: str = "GET"

    @property
    def arrives(self) -> datetime:
        return START + timedelta(milliseconds=self.at)

    @property
    def data_set(self) -> str:
        return "pageviews" if self.stars is None else "stars"

    @property
    def body(self) -> bytes:
        time = (self.arrives - timedelta(milliseconds=self.delay)).isoformat().replace("+00:00", "Z")
        own: dict[str, Any] = {"event_id": self.id, "user_id": self.user, "event_time": time}
        if self.stars is None:
            own |= {"http_method": self.method, "uri": "/", "client_ip": "10.0.0.1", "user_agent": "x"}
            own["latency"] = self.latency
        else:
            own["stars"] = self.stars
        return json.dumps(own).encode()


@st.composite
def story(draw: st.DrawFn, most: int = 40, minutes: int = 8) -> list[Event]:
    """Events in order of arrival, some sent again, some late, early, out of order or invalid."""
    count = draw(st.integers(1, most))
    arrivals = sorted(draw(st.lists(st.integers(1, minutes * 60_000), min_size=count, max_size=count)))
    delays = st.sampled_from(
        [0, 500, 1_999, 30_000, 49_000, 60_000, 60_001, 400_000, -1_000, -299_000, -300_000, -300_001]
    )
    events: list[Event] = []
    for number, at in enumerate(arrivals):
        id = (
            draw(st.sampled_from([event.id for event in events]))
            if events and draw(st.integers(0, 5)) == 0
            else f"e{number}"
        )
        events.append(
            Event(
                id,
                at,
                draw(delays),
                draw(st.integers(1, 4)),
                draw(st.sampled_from([100, 2_000, 2_001, 4_000, 70_000])),
                draw(st.sampled_from([None, None, None, 1, 2, 5])),
                draw(st.sampled_from(["GET", "POST", "BREW"])),
            )
        )
    return events


def send(hub: EmbeddedEventHub, events: Sequence[Event], name: str) -> None:
    """Enqueues events, in order of arrival, each at its own instant, as a batch of that name."""
    for data_set in ("pageviews", "stars"):
        of_data_set = [event for event in events if event.data_set == data_set]
        batch = pa.RecordBatch.from_arrays(
            [
                pa.array([event.arrives for event in of_data_set], pa.timestamp("us", "UTC")),
                pa.array([str(event.user) for event in of_data_set], pa.string()),
                pa.array([event.body for event in of_data_set], pa.binary()),
            ],
            ["enqueued_time", "partition_key", "body"],
        )
        hub.append(data_set, name, [batch])


@dataclass
class EventWorld:
    """A lake and its hub in ``folder``. ``now`` is what the clock says."""

    folder: Path
    now: datetime = START

    def __post_init__(self) -> None:
        self.settings = Settings(root=str(self.folder / "lake"), pii_key=KEY, pii_key_id="test-1", threads=1)
        self.lake = Lake.of(self.settings)
        self.hub = EmbeddedEventHub(self.lake.sources / "event_hub")
        self.engine = DuckDBEngine(self.lake, contracts(), self.settings)
        self.sources = Sources(self.hub, Database(f"sqlite:///{self.folder / 'shop.db'}"))
        self.sent = 0

    def send(self, events: Sequence[Event]) -> None:
        """Enqueues events, in order of arrival, each at its own instant."""
        self.sent += 1
        send(self.hub, events, str(self.sent))
        self.now = max([self.now, *(event.arrives for event in events)])

    def land(self, *hours: str) -> None:
        """Lands pageviews and stars of these hours, by default those that have begun."""
        keys = hours or HourRange(hour_of(START), hour_of(self.now)).keys
        for name in ("pageviews", "stars"):
            for key in keys:
                land_hours(contracts()[name], self.lake, HourRange.of(key), self.sources)

    def silver(self, *hours: str) -> None:
        """Bronze and silver of these hours, in one step each."""
        keys = hours or HourRange(hour_of(START), hour_of(self.now)).keys
        for layer in ("bronze", "silver"):
            for name in ("pageviews", "stars"):
                self.engine.run(Step(name, layer, tuple(keys)))  # type: ignore[arg-type]

    def streams(self, *hours: str) -> None:
        """The streams of a range of hours, given by its first and last, or of one hour."""
        for _ in build(stream_models(), HourRange.of(hours[0], hours[-1]), self.lake, self.settings):
            pass

    def content(self) -> dict[str, list[dict[str, Any]]]:
        """Every row of every stream."""
        return {folder.name: content_of(folder) for folder in sorted((self.folder / "lake" / "streams").iterdir())}
