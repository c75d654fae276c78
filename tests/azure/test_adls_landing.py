"""Raw in ADLS Gen2: conditional writes instead of locks, and files read through fsspec."""

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest
from upath import UPath

from dagster_lake import clock
from dagster_lake.contract.model import FileSource, contracts
from dagster_lake.lake_hour import HOUR as HOUR_LONG
from dagster_lake.lake_hour import HourRange, parse_hour
from dagster_lake.landing import attempt, hours, whole
from dagster_lake.landing.dropped import look_into
from dagster_lake.landing.empty_hour import empty_hour
from dagster_lake.landing.fold import FOLD_AT
from dagster_lake.landing.hours import land_hours
from dagster_lake.landing.land import manifests, partitions
from dagster_lake.landing.newest_hour import newest_hub_hour
from dagster_lake.landing.snapshot import land_snapshot
from dagster_lake.shop.database import ShopDatabase
from dagster_lake.sources.database.database import Database
from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.adls import blobs
from dagster_lake.storage.adls.blobs import Blob, BlobChanged, UnchangedBlob, etag_of, list_blobs, put_blob, upload_blob
from dagster_lake.storage.adls.errors import StorageError
from dagster_lake.storage.manifest import (
    ManifestError,
    ManifestReplaced,
    landed_files,
    read_manifest,
    verify,
    write_manifest,
)
from dagster_lake.storage.paths import Lake
from tests.azure.adls_lakes import adls_settings
from tests.azure.azurite import KEY, Azurite
from tests.lake.landings import CLICKS, ORDERS, PRODUCTS, USERS, World, at
from tests.unit.test_manifest import MANIFEST

HOUR = "2026-01-05T12"


@pytest.fixture
def world(azurite: Azurite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A lake in a container of its own, with sources on this machine."""
    settings = adls_settings(azurite, azurite.new_container(), sources=tmp_path)
    database = Database(f"sqlite:///{tmp_path}/shop.sqlite")
    ShopDatabase(database.url).create_tables()
    world = World(Lake.of(settings), Sources(EmbeddedEventHub(tmp_path / "event_hub"), database))
    monkeypatch.setattr(clock, "utc_now", lambda: world.now)
    return world


def drop(world: World, data_set: str, name: str, content: str) -> None:
    upload_blob(world.lake.landing(data_set) / name, content.encode(), {})


def names(world: World) -> list[str]:
    """Every blob of raw, by its name below the lake."""
    raw = world.lake.root / "sensitive" / "raw"
    return [str(blob.path).removeprefix(f"{world.lake.root}/") for blob in list_blobs(raw)]


def test_a_manifest_replaces_only_the_one_it_was_made_from(world: World) -> None:
    folder = world.lake.raw_partition("users", HOUR, sensitive=True)
    write_manifest(folder, MANIFEST, replacing=None)
    assert read_manifest(folder) == MANIFEST
    with pytest.raises(ManifestReplaced, match="replaced by another landing"):
        write_manifest(folder, MANIFEST, replacing=None)
    changed = replace(MANIFEST, complete=False)
    write_manifest(folder, changed, replacing=MANIFEST)
    assert read_manifest(folder) == changed


def test_of_two_first_writes_at_once_one_is_refused_by_the_storage(world: World) -> None:
    place, together = world.lake.root / "one", Barrier(8)

    def write(number: int) -> bool:
        together.wait()
        try:
            put_blob(place, b"%d" % number, replacing=None)
        except BlobChanged:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(write, range(8))) == 1


def test_a_write_whose_answer_was_lost_is_not_taken_for_another_writer(world: World) -> None:
    place = world.lake.root / "one"
    put_blob(place, b"mine", replacing=None)
    put_blob(place, b"mine", replacing=None)  # what the client does when it got no answer to the first
    with pytest.raises(BlobChanged):
        put_blob(place, b"other", replacing=None)


def test_a_blob_that_changed_since_it_was_listed_is_not_read(world: World) -> None:
    place = world.lake.root / "one"
    upload_blob(place, b"first", {})
    etag = etag_of(place) or ""
    with io.BufferedReader(UnchangedBlob(place, etag)) as opened:
        assert opened.read() == b"first"
    upload_blob(place, b"other", {})
    with pytest.raises(BlobChanged):
        UnchangedBlob(place, etag).read()


def test_the_newest_hour_of_a_hub_is_found_across_months_and_only_after_the_hour_named(world: World) -> None:
    pageviews = contracts()["pageviews"]
    for hour in ("2026-01-31T22", "2026-01-31T23", "2026-02-01T00"):
        empty = empty_hour(pageviews, parse_hour(hour), parse_hour(hour) + HOUR_LONG)
        write_manifest(
            world.lake.raw_partition("pageviews", hour, sensitive=pageviews.sensitive), empty, replacing=None
        )
    assert newest_hub_hour(world.lake, "2026-01-31T20") == "2026-02-01T00"
    assert newest_hub_hour(world.lake, "2026-02-01T00") is None


def test_two_landings_of_one_hour_at_once_land_each_event_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.send("a", (1, "one"), (2, "two"))
    together, meet = Barrier(2, timeout=60), [True, True]
    publish = hours._publish

    def publish_together(*arguments: object) -> object:
        if meet:  # the first time of each: both have read the source, and neither has published
            meet.pop()
            together.wait()
        return publish(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(hours, "_publish", publish_together)
    with ThreadPoolExecutor(2) as threads:
        landed = list(threads.map(lambda _: world.land(CLICKS), range(2)))
    assert sorted(one.changed for one in landed) == [False, True]
    (manifest,) = manifests(world.lake, CLICKS, [HOUR])
    assert manifest.rows == 2
    # The loser took its files away.
    assert len(names(world)) == 1 + len(manifest.files)
    assert verify(world.lake.raw_partition("clicks", HOUR, sensitive=True), manifest) == []


def test_a_landing_that_lake_stream_overtakes_again_and_again_backs_off_at_random_and_wins(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish, left, waited = hours._publish, list(range(6)), list[timedelta]()

    def overtaken(*arguments: object) -> object:
        if left:
            number = left.pop()
            world.send(str(number), (number + 1, f"event {number}"))
            with pytest.MonkeyPatch.context() as stream:
                stream.setattr(hours, "_publish", publish)
                world.land(CLICKS)
            world.send(f"{number} again", (number + 101, f"later {number}"))  # for the next attempt to find
        return publish(*arguments)  # type: ignore[arg-type]

    world.send("first", (0.5, "event 6"))
    monkeypatch.setattr(hours, "_publish", overtaken)
    monkeypatch.setattr(clock, "wait", waited.append)
    world.now = at(1800)
    world.land(CLICKS)
    (manifest,) = manifests(world.lake, CLICKS, [HOUR])
    assert manifest.rows == 13
    longest = [timedelta(seconds=0.5 * 2**n) for n in range(6)]
    assert all(timedelta() <= pause <= most for pause, most in zip(waited, longest, strict=True))
    assert len(set(waited)) == 6, "another one might wait as long"


def test_of_two_landings_that_fold_an_open_hour_at_once_one_does_and_no_event_is_lost(world: World) -> None:
    for second in range(1, FOLD_AT + 1):
        world.now = at(second + 0.5)
        world.send(str(second), (second, str(second)))
        world.land(CLICKS)
    (before,) = manifests(world.lake, CLICKS, [HOUR])
    world.send("last", (FOLD_AT + 1, "last"))
    world.now = at(FOLD_AT + 2)
    with ThreadPoolExecutor(2) as threads:
        assert sorted(one.changed for one in threads.map(lambda _: world.land(CLICKS), range(2))) == [False, True]
    (after,) = manifests(world.lake, CLICKS, [HOUR])
    folder = world.lake.raw_partition("clicks", HOUR, sensitive=True)
    assert (len(before.attempts), [file.rows for file in after.files]) == (FOLD_AT, [FOLD_AT, 1])
    assert verify(folder, after) == []
    assert len(list(landed_files(folder, before))) == FOLD_AT, "for whoever has the old manifest"


def test_a_late_row_adds_an_attempt_with_that_row_only(world: World) -> None:
    world.order((1, 60, "10.00"))
    world.land(ORDERS)
    world.order((2, 120, "20.00"))
    assert world.land(ORDERS).attempt == 2
    (manifest,) = manifests(world.lake, ORDERS, [HOUR])
    assert [file.rows for file in manifest.files] == [1, 1]
    assert not world.land(ORDERS).changed


def test_the_files_of_a_partition_are_looked_up_by_one_listing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.send("a", (1, "one"))
    world.land(CLICKS)
    (manifest,) = manifests(world.lake, CLICKS, [HOUR])
    folder = world.lake.raw_partition("clicks", HOUR, sensitive=True)
    many = replace(manifest, attempts=manifest.attempts * 5)
    listings: list[UPath] = []

    def counted(listed: UPath) -> list[Blob]:
        listings.append(listed)
        return list_blobs(listed)

    monkeypatch.setattr(blobs, "list_blobs", counted)
    monkeypatch.setattr(type(folder), "stat", lambda *_, **__: pytest.fail("asked for one file"))
    assert len(list(landed_files(folder, many))) == 5
    assert listings == [folder]


def test_a_file_that_is_missing_is_named(world: World) -> None:
    world.send("a", (1, "one"))
    world.land(CLICKS)
    (manifest,) = manifests(world.lake, CLICKS, [HOUR])
    folder = world.lake.raw_partition("clicks", HOUR, sensitive=True)
    (folder / manifest.files[0].path).unlink()
    with pytest.raises(ManifestError, match=r"events-0000\.parquet is missing, but its manifest says"):
        list(landed_files(folder, manifest))
    assert len(verify(folder, manifest)) == 1


def test_dropped_files_are_landed_once_and_again_when_one_changed(world: World) -> None:
    drop(world, "users", "a.jsonl", '{"id": 1}\n')
    drop(world, "users", "deep/b.jsonl", '{"id": 2}\n{"id": 3}\n')
    drop(world, "users", "_unfinished.jsonl", "x")
    drop(world, "users", "notes.txt", "x")
    first = land_snapshot(USERS, world.lake)
    assert (first.rows, first.files, [s.source for s in first.skipped]) == (
        *(3, 2),
        ["_unfinished.jsonl", "notes.txt"],
    )
    assert not land_snapshot(USERS, world.lake).changed
    drop(world, "users", "a.jsonl", '{"id": 9}\n')  # the same size, and perhaps the same second
    assert land_snapshot(USERS, world.lake).changed
    assert len(partitions(world.lake, USERS)) == 2


def test_documents_are_packed_with_their_bytes(world: World) -> None:
    for number in range(20):
        drop(world, "products", f"{number:03}.json", f'{{"id": {number}}}')
    landed = land_snapshot(PRODUCTS, world.lake)
    assert (landed.rows, landed.files) == (20, 1)


def test_the_noted_time_of_a_copied_file_counts(world: World) -> None:
    noted = datetime(2026, 1, 1, 0, 0, 0, 123456, UTC)
    upload_blob(world.lake.landing("users") / "a.jsonl", b"{}\n", {"mtime": "2026-01-01T00:00:00.123456789Z"})
    [file] = look_into(world.lake.landing("users"), FileSource("json_lines")).files
    assert file.stamp.modified == noted
    assert land_snapshot(USERS, world.lake).partition == "2026-01-01T000000Z"


def test_a_noted_time_in_the_future_is_not_believed(world: World) -> None:
    upload_blob(world.lake.landing("users") / "a.jsonl", b"{}\n", {"mtime": "2131-01-01T00:00:00Z"})
    landed = land_snapshot(USERS, world.lake)
    assert "a.jsonl is dated 2131-01-01T00:00:00Z, after it arrived" in landed.warnings[0]
    (manifest,) = manifests(world.lake, USERS, [landed.partition])
    assert manifest.files[0].modified is not None
    assert manifest.files[0].modified < datetime.now(UTC) + timedelta(seconds=2)


def test_a_folder_that_is_still_being_filled_is_not_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    drop(world, "users", "a.jsonl", '{"id": 1}\n')
    monkeypatch.setattr(clock, "wait", lambda _: drop(world, "users", "b.jsonl", '{"id": 2}\n'))
    assert "are not taken yet" in land_snapshot(USERS, world.lake).warnings[0]
    assert partitions(world.lake, USERS) == []
    monkeypatch.setattr(clock, "wait", lambda _: None)
    assert land_snapshot(USERS, world.lake).rows == 2
    monkeypatch.setattr(clock, "wait", lambda _: pytest.fail("waited"))
    drop(world, "users", "c.jsonl", '{"id": 3}\n')
    whole.tell_whole(USERS, world.lake, lambda _: True)
    assert land_snapshot(USERS, world.lake).rows == 3


def test_what_a_crashed_landing_left_goes_when_it_is_old_and_not_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.send("a", (1, "one"))
    folder = world.lake.raw_partition("clicks", HOUR, sensitive=True)
    left = folder / "attempt-0001-deadbeef" / "events-0000.parquet"
    upload_blob(left, b"half", {})
    world.land(CLICKS)
    assert etag_of(left) is not None  # another landing may be at work on it
    monkeypatch.setattr(attempt, "LEFTOVER_AGE", timedelta(seconds=-60))
    world.send("b", (3, "three"))
    world.land(CLICKS, refresh=True)
    assert etag_of(left) is None
    (manifest,) = manifests(world.lake, CLICKS, [HOUR])
    assert manifest.rows == 2
    assert verify(folder, manifest) == []


@pytest.mark.parametrize(
    ("own", "says"),
    [
        ({"azure_account_key": KEY[:-8] + "AAAAAA=="}, "does not accept LAKE_AZURE_ACCOUNT_KEY"),
        ({"azure_account_key": None, "azure_sas": "expired"}, "LAKE_AZURE_SAS: it expired at"),
        ({"root": "abfss://nowhere@devstoreaccount1.dfs.core.windows.net/lake"}, "there is no container 'nowhere'"),
    ],
    ids=["wrong key", "expired signature", "no container"],
)
def test_a_lake_that_cannot_be_opened_says_which_setting_to_mend(
    azurite: Azurite, own: dict[str, object], says: str
) -> None:
    if own.get("azure_sas") == "expired":
        own = {**own, "azure_sas": azurite.signature(hours=-1)}
    with pytest.raises(StorageError, match=says) as error:
        Lake.of(adls_settings(azurite, azurite.new_container(), **own))
    assert "sig=" not in str(error.value)


def test_a_signature_that_expires_in_mid_run_is_told_by_table_and_raw_alike(azurite: Azurite) -> None:
    from dagster_lake.storage.delta import write as delta

    container = azurite.new_container()
    Lake.of(adls_settings(azurite, container))
    expired = adls_settings(azurite, container, azure_account_key=None, azure_sas=azurite.signature(hours=-1))
    lake = Lake.placed(expired)
    for attempt_it in (
        lambda: delta.pin(lake.table("silver", "users")),
        lambda: read_manifest(lake.raw_partition("users", HOUR, sensitive=True)),
        lambda: list_blobs(lake.raw("users", sensitive=True)),
        lambda: land_hours(CLICKS, lake, HourRange.of(HOUR), None),  # type: ignore[arg-type]
    ):
        with pytest.raises(StorageError, match="LAKE_AZURE_SAS: it expired at") as error:
            attempt_it()
        assert "sig=" not in str(error.value)
