"""Landing snapshots: every byte as it was, whatever the files are called, and nothing new when nothing changed."""

# ruff: noqa: F811  # world is an imported fixture

import os
import re
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_lake.landing import dropped, snapshot
from dagster_lake.landing.land import LandingError, land_snapshot, manifests, partitions
from dagster_lake.storage.manifest import Manifest

from .crashing import dying_at, points_of
from .landings import CLICKS, PRODUCTS, USERS, World, new_world, world  # noqa: F401


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
    content = {"a.jsonl": b'{"id":1}\n{"id":2}', "b/c.ndjson": b"\xff\x00\r\n\n", "empty.json": b""}
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


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(NAMES.map(lambda name: f"{name}.jsonl"), st.binary(max_size=50), min_size=1, max_size=5))
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


def test_what_is_not_taken_is_reported_and_what_is_being_written_is_not_seen(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = world.drop(USERS, "users.jsonl", "x").parent
    for name in ("readme.txt", ".hidden.jsonl", "_draft/a.jsonl", "b.jsonl.tmp", "c.jsonl.part"):
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
        "link.jsonl": "is a symbolic link; drop the file itself",
        "folder": "is a symbolic link; drop the file itself",
        "pipe.jsonl": "is not a regular file",
    }
    assert copies(world) == {"users.jsonl": b"x"}


def test_an_empty_landing_folder_lands_nothing_and_says_where_to_drop_files(world: World) -> None:
    landed = land_snapshot(USERS, world.lake)
    assert (landed.partition, landed.changed, landed.rows) == ("", False, 0)
    assert re.search(r"no file to land; drop \*\.jsonl.* into .*landing/users", landed.notes[0])
    world.drop(PRODUCTS, "products.csv", "x")
    assert re.search(
        r"no file to land \(1 other files are there\); drop \*\.json", land_snapshot(PRODUCTS, world.lake).notes[0]
    )
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


def test_a_file_from_the_future_does_not_name_the_snapshot(world: World) -> None:
    touch(world.drop(USERS, "a.jsonl", "a"), datetime(2031, 1, 1, tzinfo=UTC))
    assert land_snapshot(USERS, world.lake).partition == "2026-01-05T130000Z"


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
def test_a_file_that_changes_while_it_is_read_is_read_again(
    world: World,
    contract,
    monkeypatch: pytest.MonkeyPatch,  # type: ignore[no-untyped-def]
) -> None:
    file = world.drop(contract, "a.json", "old")
    stamp, looks = dropped._stamp, []

    def writing_meanwhile(path: Path) -> dropped.Stamp:
        looks.append(path)
        if len(looks) == 3:  # listed, looked at before the read, and now after it
            file.write_text("newer")
        return stamp(path)

    monkeypatch.setattr(dropped, "_stamp", writing_meanwhile)
    land_snapshot(contract, world.lake)
    assert (copies(world) if contract is USERS else documents(world)) == {"a.json": b"newer"}
    monkeypatch.undo()
    assert not land_snapshot(contract, world.lake).changed


def test_a_file_that_never_stops_changing_or_goes_away_is_an_error(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = world.drop(USERS, "a.jsonl", "a")
    stamp = dropped._stamp

    def always_writing(path: Path) -> dropped.Stamp:
        file.write_text(file.read_text() + "a")
        return stamp(path)

    monkeypatch.setattr(dropped, "_stamp", always_writing)
    with pytest.raises(LandingError, match=r"a\.jsonl changed while it was being read, 3 times; write it under"):
        land_snapshot(USERS, world.lake)

    def vanishing(path: Path) -> dropped.Stamp:
        found = stamp(path)
        file.unlink()
        return found

    monkeypatch.setattr(dropped, "_stamp", vanishing)
    with pytest.raises(LandingError, match=r"a\.jsonl went away"):
        land_snapshot(USERS, world.lake)
    assert partitions(world.lake, USERS) == []


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
