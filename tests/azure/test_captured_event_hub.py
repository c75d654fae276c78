"""What Event Hubs Capture writes is landed as if it had been read from the hub."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from upath import UPath

from dagster_lake import clock
from dagster_lake.contract import Contract, EventHubSource, contracts
from dagster_lake.lake_hour import HourRange
from dagster_lake.landing.hubs import hub_of
from dagster_lake.landing.land import land_hours, late_commits, manifests
from dagster_lake.landing.result import LandingError, Sources
from dagster_lake.resources import event_batch
from dagster_lake.resources.captured_event_hub import CAPTURE_LAG, CapturedEventHub
from dagster_lake.resources.event_hub import EVENT_SCHEMA, EventHubError, Position
from dagster_lake.settings import Settings
from dagster_lake.storage.adls_path import AddressError
from dagster_lake.storage.manifest import landed_files
from dagster_lake.storage.paths import Lake

from .azurite import ACCOUNT, KEY, Azurite
from .captured import Captured, capture

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
NOON_HOUR = HourRange.of("2026-01-05T12")
STARS = contracts()["stars"]


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def rows(batches: Iterator[pa.RecordBatch]) -> list[dict[str, Any]]:
    return pa.Table.from_batches(batches, EVENT_SCHEMA).to_pylist()


def bodies(hub: CapturedEventHub, start: datetime = NOON, end: datetime = NOON + HOUR) -> list[bytes]:
    return [row["body"] for row in rows(hub.read("stars", start, end))]


@pytest.fixture
def hub(tmp_path: Path) -> CapturedEventHub:
    return CapturedEventHub(UPath(tmp_path / "capture"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where Capture writes the hub's files."""
    return tmp_path / "capture" / "shop" / "stars"


# ---- reading --------------------------------------------------------------------------------------------------------


def test_an_event_keeps_its_bytes_its_number_its_time_and_its_key(folder: Path, hub: CapturedEventHub) -> None:
    events = [
        Captured(7, at(1.234), b"\0\xff", key="by azure"),
        Captured(8, at(2), None, own_key="by us"),
        Captured(9, at(3), b"{not json", exact=False),
    ]
    capture(folder, 3, NOON, events)
    assert [tuple(row.values()) for row in rows(hub.read("stars", NOON, NOON + HOUR))] == [
        ("3", 7, at(1.234), "by azure", b"\0\xff"),
        ("3", 8, at(2), "by us", b""),
        ("3", 9, at(3), None, b"{not json"),
    ]


def test_the_end_of_a_range_belongs_to_it_and_the_start_does_not(folder: Path, hub: CapturedEventHub) -> None:
    for begun, stamps in ((NOON - 5 * MINUTE, (-1, 0, 0.001)), (NOON + 50 * MINUTE, (3_000, 3_600, 3_600.001, 3_601))):
        capture(folder, 0, begun, [Captured(n, at(s), str(s).encode()) for n, s in enumerate(stamps)])
    assert bodies(hub) == [b"0.001", b"3000", b"3600"]
    assert bodies(hub, NOON - HOUR, NOON) == [b"-1", b"0"]
    assert bodies(hub, NOON + HOUR, NOON + 2 * HOUR) == [b"3600.001", b"3601"]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stamps=st.lists(st.tuples(st.integers(0, 1), st.integers(-1_000, 4_600)), max_size=40),
    window=st.sampled_from([60, 300, 900]),
    exact=st.booleans(),
)
def test_any_hour_is_exactly_its_events_however_they_fell_into_windows(
    tmp_path_factory: pytest.TempPathFactory, stamps: list[tuple[int, int]], window: int, exact: bool
) -> None:
    folder = tmp_path_factory.mktemp("capture")
    expected = []
    for partition in (0, 1):
        seconds = sorted(stamp for number, stamp in stamps if number == partition)
        events = [Captured(n, at(s), f"{partition} {n}".encode(), exact=exact) for n, s in enumerate(seconds)]
        for begun in range(-1_200, 4_800, window):
            inside = [event for event in events if at(begun) <= event.enqueued < at(begun + window)]
            capture(folder / "shop" / "stars", partition, at(begun), inside)
        expected += [event.body for event in events if NOON < event.enqueued <= NOON + HOUR]
    assert bodies(CapturedEventHub(UPath(folder))) == expected


def test_a_large_file_is_read_batch_by_batch(
    folder: Path, hub: CapturedEventHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_batch, "BATCH_EVENTS", 100)
    capture(folder, 0, NOON, [Captured(n, at(n / 10 + 1)) for n in range(250)])
    assert [len(batch) for batch in hub.read("stars", NOON, NOON + HOUR)] == [100, 100, 50]


def test_what_the_reader_has_is_left_out(folder: Path, hub: CapturedEventHub) -> None:
    for partition in (0, 1):
        capture(folder, partition, NOON, [Captured(n, at(n), f"{partition}{n}".encode()) for n in range(1, 5)])
    read = hub.read("stars", NOON, NOON + HOUR, {"0": 3, "1": 1})
    assert [row["body"] for row in rows(read)] == [b"04", b"12", b"13", b"14"]


@pytest.mark.parametrize("below", ["", "shop", "shop/stars"])
def test_the_folder_may_be_capture_s_own_the_namespace_s_or_the_hub_s(folder: Path, below: str, tmp_path: Path) -> None:
    capture(folder, 0, NOON, [Captured(1, at(1), b"x")])
    capture(folder.parent / "pageviews", 0, NOON, [Captured(1, at(1), b"of another hub")])
    assert bodies(CapturedEventHub(UPath(tmp_path / "capture" / below))) == [b"x"]


def test_what_else_lies_in_the_folder_is_left_alone(folder: Path, hub: CapturedEventHub) -> None:
    written = capture(folder, 0, NOON, [Captured(1, at(1), b"x")])
    (written.parent / "notes.avro").write_text("not by Capture")
    (written.parent / "99.avro").write_bytes(b"")
    (written.parent / "30.avro").touch()  # Capture has begun to write it
    assert bodies(hub) == [b"x"]


def test_a_file_that_is_none_of_capture_s_is_named(folder: Path, hub: CapturedEventHub) -> None:
    written = capture(folder, 0, NOON, [Captured(1, at(1)), Captured(2, at(2))])
    whole = written.read_bytes()
    for damaged in (b"not avro", whole[:-30], whole.replace(b"EnqueuedTimeUtc", b"EnqueuedTimeXyz")):
        written.write_bytes(damaged)
        with pytest.raises(EventHubError, match=r"12/00/00\.avro is not as Event Hubs Capture writes it .*; move it"):
            bodies(hub)


def test_a_hub_of_which_nothing_was_captured_is_an_error(folder: Path, hub: CapturedEventHub) -> None:
    told = r"has nothing of the event hub 'stars': .* correct customProperties\.source\.capture in the contract"
    for ask in (lambda: bodies(hub), lambda: hub.newest("stars"), lambda: hub.held_since("stars")):
        with pytest.raises(EventHubError, match=told):
            ask()
    capture(folder.parent / "pageviews", 0, NOON, [Captured(1, at(1))])
    with pytest.raises(EventHubError, match=told):
        bodies(hub)


def test_without_fastavro_the_remedy_is_told(
    folder: Path, hub: CapturedEventHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    capture(folder, 0, NOON, [Captured(1, at(1))])
    monkeypatch.setitem(sys.modules, "fastavro", None)
    with pytest.raises(EventHubError, match=r"need fastavro: pip install 'dagster-lake\[azure\]'"):
        bodies(hub)


def test_nothing_is_sent_to_files(hub: CapturedEventHub) -> None:
    with pytest.raises(EventHubError, match="send events to the hub itself"):
        hub.send("stars", [])


# ---- what the files say ---------------------------------------------------------------------------------------------


def test_the_newest_events_are_told_by_partition_past_empty_files(folder: Path, hub: CapturedEventHub) -> None:
    capture(folder, 0, NOON, [Captured(1, at(1)), Captured(2, at(2))])
    capture(folder, 0, NOON + 3 * HOUR, [])
    capture(folder, 1, NOON - timedelta(days=40), [])
    assert hub.newest("stars") == {"0": Position(2, at(2))}


def test_hours_before_the_oldest_file_are_not_held(folder: Path, hub: CapturedEventHub) -> None:
    capture(folder, 0, NOON + 30 * MINUTE, [])
    capture(folder, 1, NOON + timedelta(days=40), [])
    assert hub.held_since("stars") == NOON


def test_what_is_settled_lies_as_far_back_as_capture_takes(
    hub: CapturedEventHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "utc_now", lambda: NOON)
    assert hub.settled_until("stars") == NOON - CAPTURE_LAG


# ---- landing --------------------------------------------------------------------------------------------------------

NOTHING: Any = None


def captured_stars(folder: str = "captured") -> Contract:
    return replace(STARS, source=EventHubSource("stars", folder))


def landed_bodies(lake: Lake) -> list[bytes]:
    (manifest,) = manifests(lake, STARS, NOON_HOUR.keys)
    folder = lake.raw_partition("stars", NOON_HOUR.keys[0], sensitive=True)
    files = landed_files(folder, manifest)
    return [row["body"] for _, _, file in files for row in pq.read_table(str(file)).to_pylist()]


def test_an_hour_is_complete_when_capture_has_written_all_of_it_and_what_is_later_still_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, sources, contract = Lake.at(str(tmp_path)), Sources(NOTHING, NOTHING), captured_stars()
    now = NOON + HOUR + 5 * MINUTE
    monkeypatch.setattr(clock, "utc_now", lambda: now)
    folder = tmp_path / "landing" / "captured" / "shop" / "stars"
    capture(folder, 0, NOON, [Captured(1, at(1), b"first")])
    (landed,) = land_hours(contract, lake, NOON_HOUR, sources)
    assert (landed.rows, landed.complete) == (1, False)

    capture(
        folder, 0, NOON + 50 * MINUTE, [Captured(2, at(3_500), b"last"), Captured(3, at(3_601), b"the next hour's")]
    )
    now = NOON + HOUR + CAPTURE_LAG
    (landed,) = land_hours(contract, lake, NOON_HOUR, sources)
    assert (landed.rows, landed.complete) == (2, True)
    assert late_commits(contract, lake, NOON_HOUR, sources) == []

    capture(folder, 1, NOON + 30 * MINUTE, [Captured(9, at(2_000), b"late")])
    assert late_commits(contract, lake, NOON_HOUR, sources) == [NOON]
    (landed,) = land_hours(contract, lake, NOON_HOUR, sources)
    assert (landed.rows, landed.complete) == (3, True)
    assert landed_bodies(lake) == [b"first", b"last", b"late"]
    assert late_commits(contract, lake, NOON_HOUR, sources) == []
    assert not land_hours(contract, lake, NOON_HOUR, sources)[0].changed


def test_an_hour_before_capture_was_turned_on_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "utc_now", lambda: NOON + 3 * HOUR)
    capture(tmp_path / "landing" / "captured" / "stars", 0, NOON + HOUR, [])
    with pytest.raises(LandingError, match="holds only events after 2026-01-05T13:00:00"):
        land_hours(captured_stars(), Lake.at(str(tmp_path)), NOON_HOUR, Sources(NOTHING, NOTHING))


def test_an_address_in_azure_needs_a_lake_in_azure(tmp_path: Path) -> None:
    contract = captured_stars("abfss://capture@shop.dfs.core.windows.net/events")
    with pytest.raises(LandingError, match=r"stars\.odcs\.yaml: .*\.capture is in ADLS Gen2, and the lake is on this"):
        hub_of(contract, Lake.at(str(tmp_path)), Sources(NOTHING, NOTHING))


def test_files_in_adls_are_landed_as_local_ones_are(
    azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "utc_now", lambda: NOON + 2 * HOUR)
    container = azurite.new_container()
    values = {"azure_endpoint": azurite.endpoint, "azure_account_key": KEY}
    root = f"abfss://{container}@{ACCOUNT}.dfs.core.windows.net"
    lake = Lake.of(Settings(_env_file=None, root=f"{root}/lake", sources=tmp_path, **values))  # type: ignore[arg-type]
    local = tmp_path / "shop" / "stars"
    for partition in range(2):
        for minute in (0, 59):
            events = [Captured(minute + n, at(60 * minute + n), f"{partition} {minute} {n}".encode()) for n in (1, 2)]
            capture(local, partition, NOON + minute * MINUTE, events)
    (local / "0" / "2026" / "01" / "05" / "12" / "30" / "00.avro").parent.mkdir(parents=True)
    (local / "0" / "2026" / "01" / "05" / "12" / "30" / "00.avro").touch()
    for file in local.rglob("*.avro"):
        azurite.client.get_blob_client(container, f"captured/{file.relative_to(tmp_path)}").upload_blob(
            file.read_bytes()
        )
    contract, sources = captured_stars(f"{root}/captured"), Sources(NOTHING, NOTHING)
    (landed,) = land_hours(contract, lake, NOON_HOUR, sources)
    assert (landed.rows, landed.complete) == (8, True)
    there, here = hub_of(contract, lake, sources), CapturedEventHub(UPath(tmp_path))
    assert rows(there.read("stars", NOON, NOON + HOUR)) == rows(here.read("stars", NOON, NOON + HOUR))
    assert there.newest("stars") == here.newest("stars") == {p: Position(61, at(3_542)) for p in ("0", "1")}
    assert there.held_since("stars") == NOON
    assert late_commits(contract, lake, NOON_HOUR, sources) == []
    with pytest.raises(AddressError, match="another storage account"):
        hub_of(captured_stars("abfss://capture@elsewhere.dfs.core.windows.net/x"), lake, sources)
