"""What Event Hubs Capture writes is landed as if it had been read from the hub."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from upath import UPath

from dagster_lake import clock
from dagster_lake.contract.model import Contract, EventHubSource, contracts
from dagster_lake.defs.contracts.landing_checks import check_of
from dagster_lake.defs.contracts.raw import raw_asset
from dagster_lake.lake_hour import HourRange
from dagster_lake.lake_resource import LakeResource
from dagster_lake.landing import gaps
from dagster_lake.landing.hubs import hub_of
from dagster_lake.landing.land import land_hours, late_commits, manifests
from dagster_lake.landing.result import Landed, LandingError
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.event_hub import batches as event_batch
from dagster_lake.sources.event_hub.captured import CAPTURE_LAG, CapturedEventHub
from dagster_lake.sources.event_hub.protocol import EVENT_SCHEMA, EventHubError, Position
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.adls.path import AddressError
from dagster_lake.storage.manifest import landed_files
from dagster_lake.storage.paths import Lake

from ..lake.lakes import TestLake
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


@dataclass
class Capturing:
    """A lake that lands what Capture writes of one partition, by a clock that is set."""

    root: Path
    now: datetime = NOON + 8 * HOUR
    sources: Sources = field(default_factory=Sources)

    @property
    def lake(self) -> Lake:
        return Lake.at(str(self.root / "lake"))

    @property
    def folder(self) -> Path:
        return self.root / "lake" / "landing" / "captured" / "shop" / "stars"

    def write(self, numbers: range, *, minute: float, begun: float | None = None, of: str = "") -> Path:
        """Events enqueued from ``minute`` after noon on, one a second, in a file of the window that began then."""
        events = [Captured(n, at(60 * minute + s), f"{of}{n}".encode()) for s, n in enumerate(numbers, 1)]
        return capture(self.folder, 0, NOON + (minute if begun is None else begun) * MINUTE, events)

    def land(self, *hours: int, refresh: bool = False) -> list[Landed]:
        """These hours of the day, one after the other."""
        contract = captured_stars()
        keys = [HourRange.of(f"2026-01-05T{hour}") for hour in hours]
        return [land_hours(contract, self.lake, key, self.sources, refresh=refresh)[0] for key in keys]

    def bodies(self, hour: int = 12) -> list[str]:
        """What raw holds of an hour, in order."""
        key = f"2026-01-05T{hour}"
        (manifest,) = manifests(self.lake, STARS, [key])
        files = landed_files(self.lake.raw_partition("stars", key, sensitive=True), manifest)
        return sorted(row["body"].decode() for _, _, file in files for row in pq.read_table(str(file)).to_pylist())

    def complete(self, *hours: int) -> list[bool]:
        return [m.complete for m in manifests(self.lake, STARS, [f"2026-01-05T{hour}" for hour in hours])]


@pytest.fixture
def capturing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Capturing:
    made = Capturing(tmp_path)
    monkeypatch.setattr(clock, "utc_now", lambda: made.now)
    return made


def named(numbers: range, of: str = "") -> list[str]:
    return sorted(f"{of}{number}" for number in numbers)


def test_a_damaged_file_that_is_moved_away_and_put_back_repaired_loses_nothing(capturing: Capturing) -> None:
    capturing.write(range(10), minute=0)
    damaged = capturing.write(range(10, 20), minute=20)
    capturing.write(range(20, 40), minute=40)
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-30])
    with pytest.raises(EventHubError, match=r"20/00\.avro is not as Event Hubs Capture writes it .*; move it away"):
        capturing.land(12)
    damaged.unlink()
    (landed,) = capturing.land(12)
    assert (landed.rows, landed.complete, landed.lacks_more) == (30, False, True)
    assert landed.lacks is not None
    assert "10 of partition 0 (10 to 19)" in landed.lacks
    damaged.write_bytes(whole)
    (landed,) = capturing.land(12)
    assert (landed.rows, landed.complete, landed.lacks) == (40, True, None)
    assert capturing.bodies() == named(range(40))


@pytest.mark.parametrize("refresh", [False, True])
def test_a_file_that_comes_after_a_later_one_of_its_partition_is_landed(capturing: Capturing, refresh: bool) -> None:
    capturing.write(range(20, 40), minute=40)
    assert capturing.land(12)[0].complete  # who knows where the numbers begin
    capturing.write(range(20), minute=0)
    assert late_commits(captured_stars(), capturing.lake, NOON_HOUR, capturing.sources) == [NOON]
    assert capturing.land(12, refresh=refresh)[0].rows == 40
    assert capturing.bodies() == named(range(40))
    assert not capturing.land(12, refresh=True)[0].changed


def test_a_hub_that_is_made_anew_within_an_hour_loses_nothing(capturing: Capturing) -> None:
    capturing.write(range(30), minute=0, of="old ")
    capturing.now = NOON + 20 * MINUTE
    capturing.land(12)
    capturing.write(range(10), minute=30, of="new ")
    capturing.write(range(10, 40), minute=40, of="new ")
    capturing.now = NOON + 2 * HOUR
    (landed,) = capturing.land(12)
    assert (landed.rows, landed.complete) == (70, True)
    assert capturing.bodies() == sorted(named(range(30), "old ") + named(range(40), "new "))


def test_a_manifest_of_an_older_version_is_held_against_what_raw_holds(capturing: Capturing) -> None:
    capturing.write(range(10, 20), minute=20)
    capturing.land(12)
    file = next(capturing.root.rglob("_manifest.json"))
    document = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in document.items() if name != "runs"}))
    capturing.write(range(10), minute=0)
    assert capturing.land(12)[0].rows == 20
    assert capturing.bodies() == named(range(20))


# ---- events that never came -----------------------------------------------------------------------------------------


def silent_for_hours(capturing: Capturing) -> None:
    """Capture wrote 20 events at noon and nothing until half past four; each hour was closed in its time."""
    capturing.write(range(20), minute=0)
    for hour in (12, 13, 14, 15):
        capturing.now = NOON + (hour - 10) * HOUR
        assert capturing.land(hour)[0].complete
    capturing.write(range(80, 100), minute=270)
    capturing.now = NOON + 6 * HOUR


def test_the_hours_in_which_capture_was_silent_are_held_and_told_when_it_writes_again(capturing: Capturing) -> None:
    silent_for_hours(capturing)
    (landed,) = capturing.land(16)
    assert (landed.rows, landed.complete, landed.lacks_more) == (20, False, True)
    assert landed.lacks is not None
    assert "60 of partition 0 (20 to 79), enqueued between 2026-01-05 12:00:20 and 2026-01-05 16:30:01" in landed.lacks
    assert "The hours 2026-01-05T12 to 2026-01-05T16 are held" in landed.lacks
    assert capturing.complete(12, 13, 14, 15, 16) == [False] * 5
    assert [one.lacks_more for one in capturing.land(12, 13, 14, 15, 16)] == [False] * 5
    assert capturing.complete(12, 13, 14, 15, 16) == [False] * 5


@pytest.mark.parametrize("begun", [None, 275], ids=["in their windows", "when capture writes again"])
def test_what_capture_writes_hours_late_is_landed_and_closes_the_hours(
    capturing: Capturing, begun: float | None
) -> None:
    silent_for_hours(capturing)
    capturing.land(16)
    capturing.write(range(20, 50), minute=65, begun=begun)
    capturing.write(range(50, 80), minute=185, begun=None if begun is None else begun + 1)
    landed = capturing.land(12, 13, 14, 15, 16, 12, 13, 14, 15, 16)
    assert [one.complete for one in landed[5:]] == [True] * 5
    assert [capturing.bodies(hour) for hour in (12, 13, 14, 15, 16)] == [
        named(range(20)),
        named(range(20, 50)),
        [],
        named(range(50, 80)),
        named(range(80, 100)),
    ]


def test_a_person_can_wait_no_longer_for_what_never_came(capturing: Capturing) -> None:
    silent_for_hours(capturing)
    capturing.land(16)
    capturing.land(14, refresh=True)
    assert [one.complete for one in capturing.land(16, 15, 14, 13, 12)] == [True] * 5
    capturing.write(range(20, 80), minute=65)
    assert capturing.land(13)[0].rows == 60, "what comes all the same is landed"


def test_hours_landed_out_of_order_lack_nothing(capturing: Capturing) -> None:
    for hour in range(4):
        capturing.write(range(10 * hour, 10 * hour + 10), minute=60 * hour + 5)
    assert [one.lacks for one in capturing.land(15, 12, 14, 13)] == [None] * 4
    assert capturing.complete(12, 13, 14, 15) == [True] * 4


def test_a_hub_made_anew_between_hours_lacks_nothing_unless_its_first_events_are_missing(capturing: Capturing) -> None:
    capturing.write(range(50), minute=0, of="old ")
    capturing.write(range(5, 20), minute=70, of="new ")
    assert capturing.land(12)[0].complete
    (landed,) = capturing.land(13)
    assert landed.lacks is not None
    assert "5 of partition 0 (0 to 4)" in landed.lacks
    capturing.write(range(5), minute=69, of="new ")
    assert [one.complete for one in capturing.land(13, 12)] == [True, True]


def test_an_hour_that_lacks_events_costs_no_look_at_the_history(
    capturing: Capturing, monkeypatch: pytest.MonkeyPatch
) -> None:
    for hour in range(6):
        capturing.write(range(10 * hour, 10 * hour + 10), minute=60 * hour + 5)
    capturing.land(12, 13, 14, 15, 16)
    looked: list[str] = []
    read = gaps.read_manifest
    monkeypatch.setattr(gaps, "read_manifest", lambda folder: looked.append(folder.name) or read(folder))
    assert capturing.land(17)[0].complete
    assert looked == ["2026-01-05T16", "2026-01-05T18", "2026-01-05T19"]


def test_the_run_that_finds_events_missing_fails_once_by_its_check_and_warns_from_then_on(
    capturing: Capturing, monkeypatch: pytest.MonkeyPatch
) -> None:
    contract = captured_stars()
    check = check_of(contract)
    assert check is not None
    silent_for_hours(capturing)
    for name, value in TestLake(capturing.root / "lake").environment.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.ephemeral() as instance:
        said = []
        for _ in range(2):
            done = dg.materialize(
                [raw_asset(contract), check],
                partition_key="2026-01-05T16",
                resources={"lake": LakeResource()},
                instance=instance,
                raise_on_error=False,
            )
            (evaluation,) = done.get_asset_check_evaluations()
            said.append((done.success, evaluation.passed, evaluation.severity.value))
    assert said == [(False, False, "ERROR"), (True, False, "WARN")]
    assert "60 of partition 0" in (evaluation.description or "")


def test_an_hour_before_capture_was_turned_on_stays_incomplete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "utc_now", lambda: NOON + 3 * HOUR)
    capture(tmp_path / "landing" / "captured" / "stars", 0, NOON + HOUR, [])
    (landed,) = land_hours(captured_stars(), Lake.at(str(tmp_path)), NOON_HOUR, Sources(NOTHING, NOTHING))
    assert (landed.rows, landed.complete) == (0, False)
    assert "no longer has what was enqueued until 2026-01-05T13:00:00" in str(landed.lacks)


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
        for first, minute in ((0, 0), (2, 59)):
            events = [Captured(first + n, at(60 * minute + n), f"{partition} {minute} {n}".encode()) for n in (1, 2)]
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
    assert there.newest("stars") == here.newest("stars") == {p: Position(4, at(3_542)) for p in ("0", "1")}
    assert there.held_since("stars") == NOON
    assert late_commits(contract, lake, NOON_HOUR, sources) == []
    with pytest.raises(AddressError, match="another storage account"):
        hub_of(captured_stars("abfss://capture@elsewhere.dfs.core.windows.net/x"), lake, sources)
