"""Landing snapshots: every byte as it was, whatever the files are called, and nothing new when nothing changed."""

# ruff: noqa: F811  # world is an imported fixture

import os
import re
import shutil
import socket
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_lake import clock
from dagster_lake.contract.model import FileSource
from dagster_lake.landing import dropped, snapshot, whole
from dagster_lake.landing.form import form_of, unreadable
from dagster_lake.landing.land import LandingError, land_snapshot, manifests, partitions
from dagster_lake.storage.manifest import Manifest

from .crashing import dying_at, points_of
from .landings import CLICKS, JUST_OVER, NOON, PRODUCTS, USERS, World, new_world, world  # noqa: F401

MARKED = replace(USERS, source=FileSource("json_lines", marker="_SUCCESS"))
LATEST = replace(USERS, source=FileSource("json_lines", files="latest_file"))


def touch(path: Path, instant: datetime) -> None:
    os.utime(path, (instant.timestamp(), instant.timestamp()))


def newest(world: World, contract=USERS) -> Manifest:  # type: ignore[no-untyped-def]
    (manifest,) = manifests(world.lake, contract, partitions(world.lake, contract)[-1:])
    return manifest


def copies(world: World) -> dict[str, bytes]:
    manifest = newest(world)
    folder = Path(str(world.lake.raw_partition("users", manifest.partition, sensitive=True)))
    return {str(file.source): (folder / file.path).read_bytes() for file in manifest.files}


def documents(world: World) -> dict[str, bytes]:
    return {row["source_file"]: row["body"] for row in world.raw(PRODUCTS, newest(world, PRODUCTS).partition)}


def test_lines_are_copied_byte_for_byte_and_counted(world: World) -> None:
    content = {"a.jsonl": b'{"id":1}\n{"id":2}', "b/c.ndjson": b"\xff\xfd\r\n\n", "empty.json": b""}
    for name, body in content.items():
        world.drop(USERS, name, body)
    landed = land_snapshot(USERS, world.lake)
    assert copies(world) == content
    assert {file.source: file.rows for file in newest(world).files} == {"a.jsonl": 2, "b/c.ndjson": 1, "empty.json": 0}
    assert (landed.rows, landed.files, landed.complete, landed.changed) == (3, 3, True, True)


def test_documents_are_packed_byte_for_byte(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "_BATCH_FILES", 7)
    monkeypatch.setattr(snapshot, "_BATCH_BYTES", 40)
    content = {f"{i % 3}/{i}.json": (b"\xff" if i % 5 == 0 else b'{"id":%d}' % i) * (i % 4) for i in range(50)}
    for name, body in content.items():
        world.drop(PRODUCTS, name, body)
    assert land_snapshot(PRODUCTS, world.lake).rows == 50
    assert documents(world) == content
    (row,) = (r for r in world.raw(PRODUCTS, newest(world, PRODUCTS).partition) if r["source_file"] == "1/1.json")
    modified_ns = (Path(str(world.lake.landing("products"))) / "1/1.json").stat().st_mtime_ns
    assert row["modified"] == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=modified_ns // 1000)


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=30
).filter(lambda n: not n.startswith((".", "_")) and len(n.encode()) < 200)  # fmt: skip


LINES = st.binary(max_size=50).filter(lambda content: unreadable(content) is None and form_of(content).plain)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES.map(lambda name: f"{name}.jsonl"), LINES, min_size=1, max_size=5))
def test_any_file_name_is_landed_under_a_harmless_one(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, content: dict[str, bytes]
) -> None:
    world = new_world(tmp_path_factory.mktemp("lake") / "lake", monkeypatch)
    for name, body in content.items():
        world.drop(USERS, name, body)
    land_snapshot(USERS, world.lake)
    assert copies(world) == content
    assert not world.unnamed_files(USERS)


@given(st.integers(0, 10**6), st.text(max_size=300))
def test_a_safe_name_is_a_plain_file_name(number: int, source: str) -> None:
    name = dropped.safe_name(number, source)
    assert name.isascii()
    assert len(name) <= 90
    assert Path(name).name == name
    assert not set(name) & set("/\\ \n\0*?")


@pytest.mark.parametrize(
    "name", ["%2e%2e%2fx.jsonl", "-rf.jsonl", "a b\n.jsonl", "a\\..\\x.jsonl", "žluť 🐈.jsonl", "$(x).JSONL"]
)
def test_hostile_names_are_kept_as_text_only(world: World, name: str) -> None:
    world.drop(USERS, name, "x")
    land_snapshot(USERS, world.lake)
    assert copies(world) == {name: b"x"}


def test_a_name_that_is_not_unicode_is_kept_readable(world: World) -> None:
    world.drop(USERS, "a.jsonl", "x").rename(os.fsdecode(bytes(world.lake.landing("users")) + b"/\xe9.jsonl"))
    land_snapshot(USERS, world.lake)
    assert copies(world) == {"\\xe9.jsonl": b"x"}


def test_whatever_is_not_taken_is_reported_with_the_reason(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = world.drop(USERS, "users.jsonl", "x").parent
    for name in ("readme.txt", ".hidden.jsonl", "_draft/a.jsonl", "_draft/b.jsonl", "b.jsonl.tmp", "c.jsonl.part"):
        world.drop(USERS, name, "x")
    (tmp_path / "secret").write_text("secret")
    (users / "link.jsonl").symlink_to(tmp_path / "secret")
    (users / "folder").symlink_to(tmp_path)
    listener = socket.socket(socket.AF_UNIX)
    monkeypatch.chdir(users)  # a socket's path may have 107 characters only
    listener.bind("pipe.jsonl")
    listener.close()
    landed = land_snapshot(USERS, world.lake)
    assert {skipped.source: skipped.reason for skipped in landed.skipped} == {
        "readme.txt": "does not end in .jsonl or .ndjson or .json",
        ".hidden.jsonl": "begins with . or _, which says that it is not to be read; rename it if it is data",
        "_draft/": "begins with . or _, which says that it is not to be read; rename it if it is data",
        "b.jsonl.tmp": "ends in .tmp or .part: somebody is writing it, or broke off",
        "c.jsonl.part": "ends in .tmp or .part: somebody is writing it, or broke off",
        "link.jsonl": "is a symbolic link; drop the file itself",
        "folder": "is a symbolic link; drop the file itself",
        "pipe.jsonl": "is not a regular file",
    }
    assert copies(world) == {"users.jsonl": b"x"}


def test_an_empty_landing_folder_lands_nothing_and_says_where_to_drop_files(world: World) -> None:
    landed = land_snapshot(USERS, world.lake)
    assert (landed.partition, landed.changed, landed.rows) == ("", False, 0)
    assert re.search(r"no file to land; drop \*\.jsonl.* into .*landing/users", landed.warnings[0])
    world.drop(PRODUCTS, "products.csv", "x")
    with pytest.raises(LandingError, match=r"products\.csv was skipped: it does not end in \.json.* drop \*\.json"):
        land_snapshot(PRODUCTS, world.lake)
    assert partitions(world.lake, USERS) == []
    with pytest.raises(LandingError, match="clicks: arrives by hour"):
        land_snapshot(CLICKS, world.lake)


def test_a_snapshot_is_named_after_its_newest_file(world: World) -> None:
    touch(world.drop(USERS, "a.jsonl", "a"), datetime(2026, 1, 5, 10, tzinfo=UTC))
    touch(world.drop(USERS, "b.jsonl", "b"), datetime(2026, 1, 5, 11, 30, 15, tzinfo=UTC))
    assert land_snapshot(USERS, world.lake).partition == "2026-01-05T113015Z"


def test_a_snapshot_is_always_later_than_the_one_before(world: World) -> None:
    file = world.drop(USERS, "a.jsonl", "a")
    touch(file, datetime(2026, 1, 5, 11, tzinfo=UTC))
    keys = [land_snapshot(USERS, world.lake).partition]
    for content in ("bb", "ccc"):
        file.write_text(content)
        touch(file, datetime(2026, 1, 5, 9, tzinfo=UTC))
        keys.append(land_snapshot(USERS, world.lake).partition)
    assert keys == ["2026-01-05T110000Z", "2026-01-05T130000Z", "2026-01-05T130001Z"]
    assert partitions(world.lake, USERS) == keys


def test_a_file_from_the_future_does_not_name_the_snapshot_and_is_told(world: World) -> None:
    touch(world.drop(USERS, "a.jsonl", "a"), datetime(2131, 1, 1, tzinfo=UTC))
    landed = land_snapshot(USERS, world.lake)
    assert landed.partition == "2026-01-05T130000Z"
    assert "a.jsonl is dated 2131-01-01T00:00:00Z, after it arrived" in landed.warnings[0]
    [file] = newest(world).files
    assert file.modified is not None
    assert file.modified < datetime.now(UTC)


def test_a_file_replaced_by_one_of_the_same_name_size_and_time_is_noticed(world: World) -> None:
    file = world.drop(USERS, "a.jsonl", "aaa")
    touch(file, datetime(2026, 1, 5, 11, tzinfo=UTC))
    first = land_snapshot(USERS, world.lake)
    other = file.with_name("b.jsonl.tmp")
    other.write_text("bbb")
    touch(other, datetime(2026, 1, 5, 11, tzinfo=UTC))
    other.replace(file)
    assert land_snapshot(USERS, world.lake).partition > first.partition
    assert copies(world) == {"a.jsonl": b"bbb"}


def test_full_exports_side_by_side_are_one_snapshot_or_the_latest_alone_as_the_contract_says(world: World) -> None:
    for hour, name in enumerate(("a.jsonl", "c.jsonl", "b.jsonl"), 9):
        touch(world.drop(USERS, name, name), datetime(2026, 1, 5, hour, tzinfo=UTC))
    together = land_snapshot(USERS, world.lake)
    assert "3 files are one snapshot together (files: all_files)" in together.notes[0]
    assert "files: latest_file in users.odcs.yaml" in together.notes[0]
    assert len(copies(world)) == 3
    latest = land_snapshot(LATEST, world.lake)
    assert copies(world) == {"b.jsonl": b"b.jsonl"}
    assert latest.notes == ("b.jsonl is the snapshot; 2 older files were left out (files: latest_file)",)
    world.drop(USERS, "a.jsonl", "corrected")
    land_snapshot(LATEST, world.lake)
    assert copies(world) == {"a.jsonl": b"corrected"}


# --- whole deliveries -------------------------------------------------------------------------------------------------


def old(path: Path) -> None:
    """Dated as `tar` and `rsync -t` date what they write."""
    touch(path, datetime(2026, 1, 2, tzinfo=UTC))


def test_a_folder_that_is_still_being_filled_is_not_taken_however_old_its_files_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = iter("bcde")

    def another_file_comes(length: timedelta) -> None:
        assert length >= timedelta(seconds=2)
        old(world.drop(USERS, f"{next(names)}.jsonl", "x"))

    old(world.drop(USERS, "a.jsonl", "x"))
    monkeypatch.setattr(clock, "wait", another_file_comes)
    for _ in range(2):
        landed = land_snapshot(USERS, world.lake)
        assert (landed.partition, landed.changed) == ("", False)
        assert "are not taken yet: they changed within the last 5 s" in landed.warnings[0]
    monkeypatch.setattr(clock, "wait", lambda _: None)
    assert land_snapshot(USERS, world.lake).changed
    assert len(copies(world)) == 3


def test_a_file_that_grows_under_a_name_that_is_not_taken_holds_the_delivery_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.drop(USERS, "a.jsonl", "x")
    part = world.drop(USERS, ".b.jsonl.Xy12", "x")
    monkeypatch.setattr(clock, "wait", lambda _: part.write_text(part.read_text() + "x"))
    assert not land_snapshot(USERS, world.lake).changed


def test_a_second_look_that_comes_later_anyway_costs_no_wait(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.drop(USERS, "a.jsonl", "x")
    seen = dropped.look_into(world.lake.landing("users"), FileSource("json_lines"))
    assert whole.why_not_whole(USERS, world.lake, seen, None) is not None
    monkeypatch.setattr(clock, "wait", lambda _: pytest.fail("waited"))
    world.now += timedelta(seconds=4)
    assert whole.why_not_whole(USERS, world.lake, seen, None) is not None
    world.now += timedelta(seconds=1)
    assert land_snapshot(USERS, world.lake).changed


def test_one_wait_serves_all_data_sets_of_a_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    waits = []

    def wait(length: timedelta) -> None:
        waits.append(length)
        world.now += length

    monkeypatch.setattr(clock, "wait", wait)
    for contract in (USERS, PRODUCTS):
        world.drop(contract, "a.json", "{}")
    for contract in (USERS, PRODUCTS):
        assert land_snapshot(contract, world.lake, others=[USERS, PRODUCTS, CLICKS]).changed
    assert len(waits) == 1
    for contract in (USERS, PRODUCTS):
        assert not land_snapshot(contract, world.lake, others=[USERS, PRODUCTS, CLICKS]).changed
    assert len(waits) == 1


def test_who_wrote_all_files_himself_can_tell_that_they_are_whole_and_not_of_others_files(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def somebody_writes(_: timedelta) -> None:
        world.drop(USERS, "b.jsonl", "half of it, and more")

    monkeypatch.setattr(clock, "wait", somebody_writes)
    world.drop(USERS, "own.jsonl", "x")
    whole.tell_whole(USERS, world.lake, lambda source: source == "own.jsonl")
    assert land_snapshot(USERS, world.lake).changed
    world.drop(USERS, "b.jsonl", "half")
    whole.tell_whole(USERS, world.lake, lambda source: source == "own.jsonl")
    assert not land_snapshot(USERS, world.lake).changed


def test_a_marker_that_the_contract_names_says_when_a_delivery_is_whole(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "wait", lambda _: pytest.fail("waited"))
    old(world.drop(USERS, "a.jsonl", "1"))
    assert "_SUCCESS is not there" in land_snapshot(MARKED, world.lake).warnings[0]
    old(world.drop(USERS, "_SUCCESS", ""))
    first = land_snapshot(MARKED, world.lake)
    assert (first.changed, first.skipped) == (True, ())
    old(world.drop(USERS, "a.jsonl", "22"))
    waiting = land_snapshot(MARKED, world.lake)
    assert (waiting.partition, waiting.changed) == (first.partition, False)
    assert f"_SUCCESS was not written anew since snapshot {first.partition}" in waiting.warnings[0]
    old(world.drop(USERS, "_SUCCESS", ""))
    assert land_snapshot(MARKED, world.lake).changed
    # The same content delivered once more, with its marker: that marker does not stand for the next delivery.
    old(world.drop(USERS, "_SUCCESS", ""))
    assert not land_snapshot(MARKED, world.lake).changed
    old(world.drop(USERS, "a.jsonl", "333"))
    assert not land_snapshot(MARKED, world.lake).changed


def test_the_same_content_delivered_again_is_a_delivery(world: World) -> None:
    file = world.drop(USERS, "a.jsonl", "a")
    land_snapshot(USERS, world.lake)
    assert newest(world).delivered_at == world.now
    world.now += timedelta(days=3)
    assert not land_snapshot(USERS, world.lake).changed
    assert newest(world).delivered_at == NOON + JUST_OVER
    touch(file, datetime(2026, 1, 5, 11, tzinfo=UTC))
    assert not land_snapshot(USERS, world.lake).changed
    assert newest(world).delivered_at == world.now
    assert newest(world).landed_at == NOON + JUST_OVER


@pytest.mark.parametrize("contract", [USERS, PRODUCTS], ids=lambda c: c.name)
def test_what_may_not_be_read_is_an_error_that_names_it(
    world: World,
    contract,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[no-untyped-def]
) -> None:
    file = world.drop(contract, "a.json", "a")

    def refused(path: object, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(dropped, "open", refused, raising=False)
        with pytest.raises(LandingError, match=r"a\.json cannot be read; give its reader permission"):
            land_snapshot(contract, world.lake)
    with monkeypatch.context() as patched:
        patched.setattr(dropped.os, "scandir", refused)
        with pytest.raises(LandingError, match=rf"landing/{contract.name} cannot be read; give its reader permission"):
            land_snapshot(contract, world.lake)
    shutil.rmtree(file.parent)
    file.parent.write_text("no folder")
    with pytest.raises(LandingError, match="is a file, and has to be a folder"):
        land_snapshot(contract, world.lake)


@pytest.mark.parametrize("contract", [USERS, PRODUCTS], ids=lambda c: c.name)
def test_the_same_content_is_not_landed_again_and_a_look_at_the_files_suffices(
    world: World,
    contract,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[no-untyped-def]
) -> None:
    file = world.drop(contract, "a.json", "a")
    touch(file, datetime(2026, 1, 5, 11, tzinfo=UTC))
    first = land_snapshot(contract, world.lake)
    touch(file, datetime(2026, 1, 5, 12, tzinfo=UTC))
    touched = land_snapshot(contract, world.lake)
    assert (touched.partition, touched.changed) == (first.partition, False)
    monkeypatch.setattr(snapshot, "read_steadily", lambda *_: pytest.fail("read again"))
    assert not land_snapshot(contract, world.lake).changed
    assert not world.unnamed_files(contract)
    monkeypatch.undo()
    refreshed = land_snapshot(contract, world.lake, refresh=True)
    assert refreshed.changed
    assert refreshed.partition > first.partition


def test_a_renamed_added_or_removed_file_makes_a_new_snapshot(world: World) -> None:
    file = world.drop(USERS, "a.jsonl", "a")
    seen = [land_snapshot(USERS, world.lake).partition]
    for change in (
        lambda: file.rename(file.with_name("b.jsonl")),
        lambda: world.drop(USERS, "c.jsonl", "c"),
        lambda: file.with_name("b.jsonl").unlink(),
    ):
        change()
        seen.append(land_snapshot(USERS, world.lake).partition)
    assert len(set(seen)) == 4
    assert copies(world) == {"c.jsonl": b"c"}


@pytest.mark.parametrize("contract", [USERS, PRODUCTS], ids=lambda c: c.name)
@pytest.mark.parametrize("change", ["grows", "goes away", "gets company"])
def test_a_delivery_that_changes_while_it_is_read_is_taken_when_it_is_whole(
    world: World,
    contract,
    change: str,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[no-untyped-def]
) -> None:
    world.drop(contract, "a.json", "a")
    first = land_snapshot(contract, world.lake).partition
    file, read = world.drop(contract, "b.json", "old"), snapshot.read_steadily

    def writing_meanwhile(dropped_file: dropped.DroppedFile, reader):  # type: ignore[no-untyped-def]
        content = read(dropped_file, reader)
        if dropped_file.source == "b.json":
            if change == "grows":
                file.write_text("newer")
            elif change == "goes away":
                file.unlink()
            else:
                world.drop(contract, "c.json", "c")
        return content

    monkeypatch.setattr(snapshot, "read_steadily", writing_meanwhile)
    landed = land_snapshot(contract, world.lake)
    assert (landed.partition, landed.changed) == (first, False)
    assert f"Snapshot {first} stays in force" in landed.warnings[0]
    assert partitions(world.lake, contract) == [first]
    assert not world.unnamed_files(contract)
    monkeypatch.undo()
    monkeypatch.setattr(clock, "utc_now", lambda: world.now)
    land_snapshot(contract, world.lake)
    whole = {"grows": {"b.json": b"newer"}, "goes away": {}, "gets company": {"b.json": b"old", "c.json": b"c"}}
    assert (copies(world) if contract is USERS else documents(world)) == {"a.json": b"a", **whole[change]}


def test_a_file_that_changes_or_goes_away_under_its_reader_is_noticed(world: World) -> None:
    file = world.drop(USERS, "a.jsonl", "a")
    [listed] = dropped.look_into(world.lake.landing("users"), FileSource("json_lines")).files

    def read(opened: BinaryIO) -> bytes:
        content = opened.read()
        file.write_text("b")
        os.utime(file, ns=(listed.stamp.modified_ns, listed.stamp.modified_ns))
        return content

    with pytest.raises(dropped.Unsettled, match=r"a\.jsonl changed while it was being read"):
        dropped.read_steadily(listed, read)
    file.unlink()
    with pytest.raises(dropped.Unsettled, match=r"a\.jsonl went away"):
        dropped.read_steadily(listed, read)


@pytest.mark.parametrize("contract", [USERS, PRODUCTS], ids=lambda c: c.name)
def test_a_death_at_any_commit_then_a_run_again_gives_the_same_snapshot(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    contract,  # type: ignore[no-untyped-def]
) -> None:
    def prepared(name: str) -> World:
        world = new_world(tmp_path / name, monkeypatch)
        touch(world.drop(contract, "a.json", "a"), datetime(2026, 1, 5, 9, tzinfo=UTC))
        land_snapshot(contract, world.lake)
        touch(world.drop(contract, "b.json", "b"), datetime(2026, 1, 5, 10, tzinfo=UTC))
        return world

    whole = prepared("whole")
    points = points_of(lambda: land_snapshot(contract, whole.lake))
    assert [p for p in points if p.endswith(":before")] == [
        f"raw.{contract.name}.listing:before",
        f"raw.{contract.name}.files:before",
        f"raw.{contract.name}:before",
    ]
    for number, point in enumerate(points):
        crashed = prepared(str(number))
        with dying_at(point):
            land_snapshot(contract, crashed.lake)
        land_snapshot(contract, crashed.lake)
        assert partitions(crashed.lake, contract) == partitions(whole.lake, contract)
        assert newest(crashed, contract).content == newest(whole, contract).content
        assert not crashed.unnamed_files(contract)


def test_what_a_crash_left_is_gone_after_the_next_landing(world: World) -> None:
    file = world.drop(USERS, "a.jsonl", "a")
    with dying_at("raw.users:before"):
        land_snapshot(USERS, world.lake)
    assert world.unnamed_files(USERS)
    file.write_text("other")
    touch(file, datetime(2026, 1, 5, 12, tzinfo=UTC))
    assert land_snapshot(USERS, world.lake).partition == "2026-01-05T120000Z"
    assert not world.unnamed_files(USERS)
