"""A source or a history that is damaged is told by its file, with what to do."""

import re
from pathlib import Path

import pytest

from dagster_lake.operations.instance.sqlite_history import HistoryDamaged, LocalHistory
from dagster_lake.shop.database import ShopDatabase
from dagster_lake.sources.database.database import Database, DatabaseError
from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
from dagster_lake.sources.event_hub.protocol import EventHubError

from .test_database import HOUR, NOON, ORDERS
from .test_event_hub import ALWAYS, events

GARBAGE = b"this is no longer what was written here " * 200


def damage(file: Path) -> str:
    """Spoils a file; gives what must be said of it."""
    for beside in file.parent.glob(f"{file.name}-*"):
        beside.unlink()
    file.write_bytes(GARBAGE)
    return re.escape(str(file))


@pytest.fixture
def hub(tmp_path: Path) -> EmbeddedEventHub:
    hub = EmbeddedEventHub(tmp_path / "event_hub")
    hub.append("clicks", "first", [events((1, "a", "1"), (2, "b", "2"))])
    return hub


def test_a_damaged_index_of_the_hub(hub: EmbeddedEventHub) -> None:
    file = damage(hub.index)
    with pytest.raises(EventHubError, match=f"{file} is damaged .*; bring it back from a copy"):
        hub.newest("clicks")


def test_a_damaged_segment_of_the_hub(hub: EmbeddedEventHub) -> None:
    files = [damage(segment) for segment in hub.folder.rglob("*.parquet")]
    said = f"({'|'.join(files)}) cannot be read .*; bring it back from a copy.*lake doctor --deep"
    with pytest.raises(EventHubError, match=said):
        list(hub.read("clicks", *ALWAYS))


def test_a_segment_of_the_hub_that_is_gone(hub: EmbeddedEventHub) -> None:
    for segment in hub.folder.rglob("*.parquet"):
        segment.unlink()
    with pytest.raises(EventHubError, match=r"\.parquet cannot be read .*; bring it back from a copy"):
        list(hub.read("clicks", *ALWAYS))


def test_a_damaged_database_of_the_shop_whether_it_is_read_or_written(tmp_path: Path) -> None:
    shop = ShopDatabase(f"sqlite:///{tmp_path / 'shop.db'}")
    shop.create_tables()
    file = damage(tmp_path / "shop.db")
    said = f"^{file} is damaged .*file is not a database.; bring it back from a copy"
    with pytest.raises(DatabaseError, match=said):
        Database(shop.url).fingerprint("orders", ORDERS, "updated_at", NOON, NOON + HOUR)
    with pytest.raises(DatabaseError, match=said):
        shop.upsert({"orders": []})
    with pytest.raises(DatabaseError, match=said):
        ShopDatabase(shop.url).create_tables()


def test_a_damaged_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "lake"))
    LocalHistory.from_config_value(None, {}).dispose()
    folder = tmp_path / "lake" / ".dagster" / "history"
    damage(folder / "history" / "runs.db")
    with pytest.raises(HistoryDamaged, match=f"{folder} is damaged .*; move .* away: the tables stay"):
        LocalHistory.from_config_value(None, {})
