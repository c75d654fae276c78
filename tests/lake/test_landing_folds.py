"""An open hour that is landed again and again keeps few files, and every event of it once."""

# ruff: noqa: F811  # world is an imported fixture

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_lake.landing.attempt import REPLACED_AGE
from dagster_lake.landing.fold import FOLD_AT, foldable
from dagster_lake.landing.land import manifests
from dagster_lake.storage.manifest import Attempt, Manifest, RawFile, landed_files, verify

from .crashing import dying_at, points_of
from .landings import CLICKS, HOUR, JUST_OVER, NOON, World, at, new_world, world  # noqa: F401

NOON_KEY = "2026-01-05T12"


def manifest_of(world: World) -> Manifest:
    (manifest,) = manifests(world.lake, CLICKS, [NOON_KEY])
    return manifest


def land_each(world: World, first: int, count: int) -> None:
    """``count`` events, each sent in a second of its own and landed at once."""
    for second in range(first, first + count):
        world.now = at(second + 0.5)
        world.send(str(second), (second, str(second)))
        world.land(CLICKS)


@settings(max_examples=100, deadline=None)
@given(rate=st.integers(1, 3_000), shares=st.lists(st.floats(0.5, 2), min_size=1, max_size=100))
def test_however_many_landings_the_attempts_stay_few_and_a_row_is_rewritten_a_few_times_at_most(
    rate: int, shares: list[float]
) -> None:
    rows = [max(int(rate * share), 1) for share in shares * 10]
    attempts: tuple[Attempt, ...] = ()
    written = 0
    for number, count in enumerate(rows, 1):
        small = foldable(_manifest(attempts))
        if small:
            folded = sum(file.rows for attempt in small for file in attempt.files)
            attempts = (*attempts[: -len(small)], _attempt(number, folded))
            written += folded
        attempts = (*attempts, _attempt(number, count))
    assert len(attempts) <= 4 * FOLD_AT + sum(rows) // 65_536
    assert sum(file.rows for attempt in attempts for file in attempt.files) == sum(rows)
    assert written <= 4 * sum(rows)


def test_an_hour_landed_every_second_holds_each_event_once_in_order_of_landing(world: World) -> None:
    land_each(world, 1, 2 * FOLD_AT + 3)
    manifest = manifest_of(world)
    assert [sum(file.rows for file in attempt.files) for attempt in manifest.attempts] == [16, 16, 1, 1, 1]
    assert sorted(map(int, world.bodies())) == list(range(1, 2 * FOLD_AT + 4))
    assert manifest.rows == 2 * FOLD_AT + 3
    assert manifest.attempts[0].landed_at == at(FOLD_AT + 0.5), "the rows' time of landing is that of the last of them"
    assert [a.number for a in manifest.attempts] == sorted({a.number for a in manifest.attempts})
    assert verify(world.lake.raw_partition("clicks", NOON_KEY, sensitive=True), manifest) == []


def test_whoever_reads_by_an_older_manifest_finds_its_files_for_ten_minutes_and_then_they_go(world: World) -> None:
    land_each(world, 1, FOLD_AT)
    old = manifest_of(world)
    folder = world.lake.raw_partition("clicks", NOON_KEY, sensitive=True)
    land_each(world, 100, 1)
    assert len(manifest_of(world).attempts) == 2, "folded"
    world.now += REPLACED_AGE - timedelta(minutes=1)
    world.land(CLICKS)
    assert len(list(landed_files(folder, old))) == FOLD_AT
    world.now += timedelta(minutes=2)
    assert not manifest_of(world).complete
    assert not world.land(CLICKS).changed, "nothing but the leftovers"
    assert world.unnamed_files(CLICKS) == set()
    assert sorted(map(int, world.bodies())) == [*range(1, FOLD_AT + 1), 100]


def test_an_hour_that_is_begun_tidies_up_one_of_some_hours_before(world: World) -> None:
    land_each(world, 1, FOLD_AT + 1)
    assert world.unnamed_files(CLICKS)
    for hours in (1, 2, 3):
        assert world.unnamed_files(CLICKS)
        world.now = NOON + hours * HOUR + timedelta(minutes=1)
        world.land(CLICKS, f"2026-01-05T{12 + hours}")
    assert world.unnamed_files(CLICKS) == set()
    assert sorted(map(int, world.bodies())) == list(range(1, FOLD_AT + 2))


def test_an_hour_that_is_complete_is_not_folded_even_by_a_refresh(world: World) -> None:
    land_each(world, 1, FOLD_AT - 1)
    world.now = NOON + JUST_OVER
    world.send("late", (900, "900"))
    world.land(CLICKS)
    complete = manifest_of(world)
    assert complete.complete
    assert len(complete.attempts) == FOLD_AT
    world.land(CLICKS, refresh=True)
    assert manifest_of(world) == complete


def test_a_death_at_any_commit_of_a_fold_then_a_run_again_gives_the_same_raw(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def story(world: World) -> None:
        land_each(world, FOLD_AT + 1, 1)

    whole = new_world(tmp_path / "whole", monkeypatch)
    land_each(whole, 1, FOLD_AT)
    points = [point for point in points_of(lambda: story(whole)) if point.startswith("raw.")]
    assert "raw.clicks.fold:after" in points
    for number, point in enumerate(points):
        crashed = new_world(tmp_path / str(number), monkeypatch)
        land_each(crashed, 1, FOLD_AT)
        with dying_at(point):
            story(crashed)
        story(crashed)
        assert sorted(crashed.bodies()) == sorted(whole.bodies()), point
        assert (manifest_of(crashed).rows, manifest_of(crashed).last_sequence) == (
            manifest_of(whole).rows,
            manifest_of(whole).last_sequence,
        )
        named = set(manifest_of(crashed).replaced or ())
        assert {path.split("/")[1] for path in crashed.unnamed_files(CLICKS)} == named, point


def _attempt(number: int, rows: int) -> Attempt:
    return Attempt(number, NOON, (RawFile(f"attempt-{number:04d}/events-0000.parquet", rows, rows, ""),))


def _manifest(attempts: tuple[Attempt, ...]) -> Manifest:
    return Manifest("clicks", NOON_KEY, "event_hub", attempts, complete=False, landed_at=NOON)
