"""A small world to land from: contracts, a lake, sources and a clock that stands still."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_lake import clock
from dagster_lake.contract.model import Contract, DatabaseSource, EventHubSource, FileSource, Property, Source
from dagster_lake.lake_hour import HourRange
from dagster_lake.landing.land import Landed, land_hours, manifests
from dagster_lake.landing.whole import NOTE_NAME
from dagster_lake.shop.database import ShopDatabase
from dagster_lake.sources.database.database import Database
from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.manifest import landed_files
from dagster_lake.storage.paths import Lake

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def _contract(name: str, source: Source, *properties: Property) -> Contract:
    cadence = "snapshot" if isinstance(source, FileSource) else "hourly"
    return Contract(name, "1.0.0", "A row.", "shop", "team:shop", source, cadence, properties, file=f"{name}.odcs.yaml")


CLICKS = _contract("clicks", EventHubSource("clicks"), Property("id", "string", "The event.", key=True))
ORDERS = _contract(
    "orders",
    DatabaseSource("orders", "updated_at"),
    Property("order_id", "integer", "The order.", key=True),
    Property("order_value", "number", "CZK.", precision=12, scale=2),
    Property("updated_at", "timestamp", "Last written."),
)
USERS = _contract("users", FileSource("json_lines"), Property("id", "integer", "The user.", key=True))
PRODUCTS = _contract("products", FileSource("json_document"), Property("id", "integer", "The product.", key=True))


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


JUST_OVER = HOUR + timedelta(milliseconds=1)
"""An event stamped at the very end belongs to the hour: it is over a moment later."""


@dataclass
class World:
    """One lake and its sources. ``now`` is what the clock says."""

    lake: Lake
    sources: Sources
    now: datetime = NOON + JUST_OVER

    @property
    def hub(self) -> EmbeddedEventHub:
        assert isinstance(self.sources.event_hub, EmbeddedEventHub)
        return self.sources.event_hub

    def send(self, batch_id: str, *dated: tuple[float, str]) -> None:
        """Appends (seconds after noon, body) as events; the body is the key too."""
        columns = [
            pa.array([at(seconds) for seconds, _ in dated], pa.timestamp("us", "UTC")),
            pa.array([body for _, body in dated], pa.string()),
            pa.array([body.encode() for _, body in dated], pa.binary()),
        ]
        names = ["enqueued_time", "partition_key", "body"]
        self.hub.append("clicks", batch_id, [pa.RecordBatch.from_arrays(columns, names=names)])

    def order(self, *rows: tuple[int, float, str]) -> None:
        """Writes (order id, seconds after noon, value) as orders."""
        stamp = pa.timestamp("us", "UTC")
        columns = {
            "order_id": pa.array([number for number, _, _ in rows], pa.int64()),
            "user_id": pa.array([1 for _ in rows], pa.int64()),
            "order_date": pa.array([NOON for _ in rows], stamp),
            "order_value": pa.array([Decimal(value) for _, _, value in rows], pa.decimal128(12, 2)),
            "updated_at": pa.array([at(seconds) for _, seconds, _ in rows], stamp),
        }
        ShopDatabase(self.sources.database.url).upsert({"orders": [pa.RecordBatch.from_pydict(columns)]})

    def land(self, contract: Contract, hour: str = "2026-01-05T12", *, refresh: bool = False) -> Landed:
        (landed,) = land_hours(contract, self.lake, HourRange.of(hour), self.sources, refresh=refresh)
        return landed

    def raw(self, contract: Contract, partition: str = "2026-01-05T12") -> list[dict]:
        """The rows of a partition's Parquet files, in landing order."""
        (manifest,) = manifests(self.lake, contract, [partition])
        folder = self.lake.raw_partition(contract.name, partition, sensitive=contract.sensitive)
        return [row for _, _, file in landed_files(folder, manifest) for row in pq.read_table(str(file)).to_pylist()]

    def bodies(self, hour: str = "2026-01-05T12") -> list[str]:
        return [row["body"].decode() for row in self.raw(CLICKS, hour)]

    def orders(self, hour: str = "2026-01-05T12") -> list[tuple[int, str]]:
        return [(row["order_id"], str(row["order_value"])) for row in self.raw(ORDERS, hour)]

    def drop(self, contract: Contract, name: str, content: bytes | str) -> Path:
        """Puts a file into the landing folder."""
        path = Path(str(self.lake.landing(contract.name))) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def unnamed_files(self, contract: Contract) -> set[str]:
        """Files in raw that no manifest names, but for locks and the note of the last look at the landing folder."""
        raw = Path(str(self.lake.raw(contract.name, sensitive=contract.sensitive)))
        unnamed = {
            str(path.relative_to(raw))
            for path in raw.rglob("*")
            if path.is_file() and path.name not in (".lock", NOTE_NAME)
        }
        for folder in (path for path in raw.iterdir() if path.is_dir()):
            if (folder / "_manifest.json").exists():
                (manifest,) = manifests(self.lake, contract, [folder.name])
                unnamed -= {f"{folder.name}/_manifest.json", *(f"{folder.name}/{f.path}" for f in manifest.files)}
        return unnamed


def new_world(folder: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A world of its own in ``folder``; the clock is the newest world's."""
    lake = Lake.at(str(folder))
    database = Database(f"sqlite:///{folder}/sources/shop.sqlite")
    (folder / "sources").mkdir()
    ShopDatabase(database.url).create_tables()
    world = World(lake, Sources(EmbeddedEventHub(folder / "sources" / "event_hub"), database))
    monkeypatch.setattr(clock, "utc_now", lambda: world.now)
    return world


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return new_world(tmp_path / "lake", monkeypatch)
