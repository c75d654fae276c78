"""Landing lake hours: raw only grows, an hour is read once, and what comes late is found."""

# ruff: noqa: F811  # world is an imported fixture

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from dagster_lake.lake_hour import HourRange
from dagster_lake.landing import attempt, rows
from dagster_lake.landing.land import LandingError, land_hours, late_commits, manifests, partitions
from dagster_lake.storage.manifest import ManifestError, landed_files, verify

from .crashing import dying_at, points_of
from .landings import CLICKS, HOUR, JUST_OVER, NOON, ORDERS, USERS, World, at, new_world, world  # noqa: F401

NOON_KEY = "2026-01-05T12"


def test_an_hour_of_events_holds_what_was_enqueued_in_it(world: World) -> None:
    world.send("1", (0, "before"), (1, "first"), (3600, "last"), (3601, "after"))
    landed = world.land(CLICKS)
    assert sorted(world.bodies()) == ["first", "last"]
    assert (landed.partition, landed.rows, landed.attempt, landed.changed, landed.complete) == (
        NOON_KEY,
        2,
        1,
        True,
        True,
    )
    (manifest,) = manifests(world.lake, CLICKS, [NOON_KEY])
    assert (manifest.start, manifest.end, manifest.kind) == (NOON, NOON + HOUR, "event_hub")
    assert manifest.last_sequence == {row["partition"]: row["sequence_number"] for row in world.raw(CLICKS)}


def test_a_complete_hour_landed_again_changes_nothing(world: World) -> None:
    world.send("1", (1, "x"))
    world.order((1, 1, "1.00"))
    for contract in (CLICKS, ORDERS):
        world.land(contract)
        before = manifests(world.lake, contract, [NOON_KEY])
        world.now += HOUR
        assert not world.land(contract).changed
        assert not world.land(contract, refresh=True).changed
        assert manifests(world.lake, contract, [NOON_KEY]) == before


def test_an_hour_without_data_is_landed_with_no_rows(world: World) -> None:
    world.send("1")
    for contract in (CLICKS, ORDERS):
        landed = world.land(contract)
        assert (landed.rows, landed.files, landed.changed, landed.complete) == (0, 0, True, True)
        assert partitions(world.lake, contract) == [NOON_KEY]


def test_an_open_hour_is_landed_incomplete_and_again_when_it_has_closed(world: World) -> None:
    world.now = at(1800)
    world.send("1", (1, "early"))
    world.order((1, 1, "1.00"))
    for contract in (CLICKS, ORDERS):
        assert not world.land(contract).complete
    world.send("2", (2000, "late"))
    world.order((2, 2000, "2.00"))
    world.now = NOON + JUST_OVER
    for contract in (CLICKS, ORDERS):
        landed = world.land(contract)
        assert (landed.complete, landed.rows, landed.attempt, landed.changed) == (True, 2, 2, True)
    assert world.bodies() == ["early", "late"]
    assert world.orders() == [(1, "1.00"), (2, "2.00")]


def test_closing_an_hour_in_which_nothing_more_came_adds_no_attempt(world: World) -> None:
    world.now = at(1800)
    world.order((1, 1, "1.00"))
    world.land(ORDERS)
    world.now = NOON + JUST_OVER
    landed = world.land(ORDERS)
    assert (landed.complete, landed.attempt, landed.changed) == (True, 1, True)


def test_an_hour_that_has_not_begun_is_refused(world: World) -> None:
    with pytest.raises(LandingError, match=r"clicks, hour 2026-01-05T14: has not begun"):
        world.land(CLICKS, "2026-01-05T14")


def test_files_are_not_landed_by_hour(world: World) -> None:
    with pytest.raises(LandingError, match="users: arrives as files"):
        world.land(USERS)


def test_a_range_is_landed_hour_by_hour(world: World) -> None:
    world.order(*((i, 3600 * i + 1, "1.00") for i in range(3)))
    world.now = NOON + 3 * HOUR
    landed = land_hours(ORDERS, world.lake, HourRange.of(NOON_KEY, "2026-01-05T14"), world.sources)
    assert [(one.partition, one.rows) for one in landed] == [(f"2026-01-05T1{h}", 1) for h in (2, 3, 4)]
    assert partitions(world.lake, ORDERS) == ["2026-01-05T12", "2026-01-05T13", "2026-01-05T14"]


def test_a_late_commit_is_found_and_adds_only_the_missing_row(world: World) -> None:
    world.order((1, 1, "1.00"))
    world.land(ORDERS)
    hours = HourRange.of("2026-01-05T10", NOON_KEY)
    assert late_commits(ORDERS, world.lake, hours, world.sources) == []
    world.order((2, 2, "2.00"))
    assert late_commits(ORDERS, world.lake, hours, world.sources) == [NOON]
    landed = world.land(ORDERS)
    assert (landed.attempt, landed.rows, landed.changed) == (2, 2, True)
    assert world.orders() == [(1, "1.00"), (2, "2.00")]
    assert late_commits(ORDERS, world.lake, hours, world.sources) == []


def test_an_updated_row_stays_in_the_hour_it_left_and_is_not_taken_for_a_late_commit(world: World) -> None:
    world.order((1, 1, "1.00"), (2, 2, "2.00"))
    world.land(ORDERS)
    world.order((1, 4000, "1.50"))
    assert late_commits(ORDERS, world.lake, HourRange.of(NOON_KEY), world.sources) == []
    landed = world.land(ORDERS)
    assert (landed.attempt, landed.changed) == (1, False)
    assert world.orders() == [(1, "1.00"), (2, "2.00")]
    assert late_commits(ORDERS, world.lake, HourRange.of(NOON_KEY), world.sources) == []


def test_a_row_written_back_and_forth_without_a_new_time_ends_as_the_source_has_it(world: World) -> None:
    for value in ("1.00", "2.00", "1.00"):
        world.order((1, 1, value))
        assert world.land(ORDERS).changed
    assert [value for _, value in world.orders()] == ["1.00", "2.00", "1.00"]


def test_a_row_committed_between_the_look_and_the_read_costs_one_look_too_many_and_no_row(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = rows.look

    def look_then_commit(*arguments: object) -> str:
        seen = look(*arguments)  # type: ignore[arg-type]
        monkeypatch.setattr(rows, "look", look)
        world.order((2, 2, "2.00"))
        return seen

    world.order((1, 1, "1.00"))
    monkeypatch.setattr(rows, "look", look_then_commit)
    world.land(ORDERS)
    assert world.orders() == [(1, "1.00"), (2, "2.00")]
    assert late_commits(ORDERS, world.lake, HourRange.of(NOON_KEY), world.sources) == []
    assert not world.land(ORDERS).changed


def test_events_back_dated_into_a_landed_hour_come_with_a_refresh_only(world: World) -> None:
    world.send("1", (1, "x"))
    world.land(CLICKS)
    world.send("2", (2, "y"), (3, "z"))
    assert not world.land(CLICKS).changed
    landed = world.land(CLICKS, refresh=True)
    assert (landed.rows, landed.attempt, landed.changed) == (3, 2, True)
    assert sorted(world.bodies()) == ["x", "y", "z"]


@pytest.mark.parametrize("more", [0, 40], ids=["with fewer events", "with more events"])
def test_a_hub_that_is_made_anew_within_an_hour_loses_nothing(world: World, more: int) -> None:
    world.now = at(1000)
    world.send("1", *((i, f"old {i}") for i in range(20)))
    world.land(CLICKS)
    shutil.rmtree(world.hub.folder)
    world.send("1", *((1800 + i, f"new {i}") for i in range(10)))
    world.send("2", *((2000 + i, f"new {10 + i}") for i in range(more)))
    world.now = NOON + JUST_OVER
    assert world.land(CLICKS).complete
    assert sorted(world.bodies()) == sorted([f"old {i}" for i in range(1, 20)] + [f"new {i}" for i in range(10 + more)])


def test_a_refresh_keeps_events_that_have_expired_since(world: World) -> None:
    world.send("1", (1, "x"))
    world.land(CLICKS)
    world.hub.expire("clicks", at(5))
    world.send("2", (9, "y"))
    assert world.land(CLICKS, refresh=True).rows == 2
    assert sorted(world.bodies()) == ["x", "y"]


def test_an_hour_of_which_events_expired_unseen_stays_incomplete_and_told_until_refresh_accepts_it(
    world: World,
) -> None:
    world.send("1", (1, "x"), (9, "y"))
    world.hub.expire("clicks", at(5))
    world.now = NOON + JUST_OVER
    landed = world.land(CLICKS)
    assert (landed.rows, landed.complete, landed.over, landed.lacks_more) == (1, False, True, True)
    assert "the event hub clicks no longer has what was enqueued until 2026-01-05T12:00:05+00:00" in str(landed.lacks)
    again = world.land(CLICKS)
    assert (again.changed, again.lacks, again.lacks_more) == (False, landed.lacks, False)
    accepted = world.land(CLICKS, refresh=True)
    assert (accepted.rows, accepted.complete, accepted.lacks) == (1, True, None)
    assert not world.land(CLICKS).changed


def test_events_that_expired_while_their_hour_was_open_are_told_when_it_closes(world: World) -> None:
    world.send("1", (1, "x"), (9, "y"))
    world.hub.expire("clicks", at(5))
    world.now = at(10)
    open_hour = world.land(CLICKS)
    assert (open_hour.complete, open_hour.over, open_hour.lacks) == (False, False, None)
    world.send("2", (1800, "z"))
    world.now = at(1801)
    world.land(CLICKS, refresh=True)
    world.now = NOON + JUST_OVER
    closed = world.land(CLICKS)
    assert (closed.rows, closed.complete, closed.over, closed.lacks_more) == (2, False, True, True)
    assert "no longer has what was enqueued until 2026-01-05T12:00:05+00:00" in str(closed.lacks)
    assert world.land(CLICKS, refresh=True).complete


def test_large_hours_are_split_into_files(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "FILE_ROWS", 20)
    monkeypatch.setattr(attempt, "ROW_GROUP_ROWS", 10)
    world.send("1", *((i, str(i)) for i in range(1, 101)))
    assert world.land(CLICKS).files > 2
    assert sorted(map(int, world.bodies())) == list(range(1, 101))


def _tell(world: World) -> None:
    """A story with every kind of landing: open, closing, late, moved, refreshed."""
    world.now = at(1800)
    world.send("1", (1, "x"))
    world.order((1, 1, "1.00"))
    world.land(CLICKS)
    world.land(ORDERS)


def _tell_more(world: World) -> None:
    world.now = NOON + JUST_OVER
    world.send("2", (2000, "y"))
    world.order((2, 2, "2.00"), (1, 4000, "1.10"))
    world.land(CLICKS)
    world.land(ORDERS)


def test_a_death_at_any_commit_then_a_run_again_gives_the_same_raw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = new_world(tmp_path / "whole", monkeypatch)
    for part, tell in enumerate((_tell, _tell_more)):
        points = [p for p in points_of(lambda tell=tell: tell(whole)) if p.startswith("raw.")]  # type: ignore[misc]
        assert "raw.clicks.files:before" in points
        assert "raw.orders:after" in points
        for number, point in enumerate(points):
            crashed = new_world(tmp_path / f"{part}-{number}", monkeypatch)
            if part == 1:
                _tell(crashed)
            with dying_at(point):
                tell(crashed)
            tell(crashed)
            assert sorted(crashed.bodies()) == sorted(whole.bodies())
            assert crashed.orders() == whole.orders()
            for contract in (CLICKS, ORDERS):
                assert not crashed.unnamed_files(contract), point
                (is_now,), (should_be,) = (manifests(w.lake, contract, [NOON_KEY]) for w in (crashed, whole))
                assert is_now.complete == should_be.complete
                assert is_now.last_sequence == should_be.last_sequence
                assert is_now.rows == should_be.rows
        monkeypatch.setattr("dagster_lake.clock.utc_now", lambda: whole.now)


def test_landings_of_one_hour_at_once_lose_and_double_nothing(world: World) -> None:
    world.send("1", *((i, str(i)) for i in range(1, 50)))
    world.order(*((i, i, "1.00") for i in range(1, 50)))
    together = threading.Barrier(4)

    def land(number: int) -> bool:
        together.wait()
        return world.land(CLICKS if number % 2 else ORDERS, refresh=True).changed

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(land, range(4))) == [False, False, True, True]
    assert sorted(map(int, world.bodies())) == list(range(1, 50))
    assert len(world.orders()) == 49


def test_a_landing_that_another_holds_up_for_too_long_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "LOCK_SECONDS", 0)
    folder = world.lake.raw_partition("clicks", NOON_KEY, sensitive=True)
    world.send("1")
    with (
        attempt.locked(folder, "other"),
        pytest.raises(LandingError, match="clicks, hour 2026-01-05T12: another process"),
    ):
        world.land(CLICKS)


def test_missing_and_damaged_files_are_found(world: World) -> None:
    world.order((1, 1, "1.00"))
    world.land(ORDERS)
    (manifest,) = manifests(world.lake, ORDERS, [NOON_KEY])
    folder = world.lake.raw_partition("orders", NOON_KEY)
    assert verify(folder, manifest) == []
    file = Path(str(folder / manifest.files[0].path))
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ManifestError, match=r"has sha256 .*land it again"):
        list(landed_files(folder, manifest))
    assert "has sha256" in verify(folder, manifest)[0]
    file.write_bytes(content[:-1])
    with pytest.raises(ManifestError, match=r"has \d+ bytes, but its manifest says .*land it again"):
        list(landed_files(folder, manifest))
    file.unlink()
    with pytest.raises(ManifestError, match="is missing"):
        list(landed_files(folder, manifest))
    assert "is missing" in verify(folder, manifest)[0]


def test_a_partition_that_is_not_landed_is_named(world: World) -> None:
    assert partitions(world.lake, CLICKS) == []
    with pytest.raises(LandingError, match="clicks, 2026-01-05T12: is not landed; materialise"):
        manifests(world.lake, CLICKS, [NOON_KEY])


def test_after_an_outage_the_look_back_from_the_landed_hour_finds_the_late_commit(world: World) -> None:
    world.land(ORDERS)
    world.order((1, 1, "1.00"))
    world.now = NOON + timedelta(days=2)
    world.land(ORDERS, "2026-01-05T13")
    before = HourRange.of("2026-01-05T13").with_look_back(3)
    assert late_commits(ORDERS, world.lake, before, world.sources) == [NOON]
