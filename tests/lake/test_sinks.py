"""Sinks that are files and tables: each holds its stream's final rows once, whatever happens on the way."""

import contextlib
import multiprocessing
import shutil
import signal
import tempfile
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from dagster_lake.cli.doctor.sinks import sink_findings
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
from dagster_lake.sources.event_hub.protocol import SendInterrupted
from dagster_lake.storage.guarded import alone
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.sinks import deliver, place
from dagster_lake.streams.sinks.database import DatabaseSink
from dagster_lake.streams.sinks.deliver import TOGETHER
from dagster_lake.streams.sinks.hub import ENVELOPE
from dagster_lake.streams.sinks.since import hours_since
from dagster_lake.streams.sinks.sink import Sink
from dagster_lake.streams.sinks.trouble import troubles
from tests.depth import examples
from tests.lake.crashing import Death, dying_at, dying_at_number, points_of, watching
from tests.lake.sink_world import (
    CSV,
    FILES,
    HUB,
    JSONL,
    NOW,
    PARQUET,
    SCHEMA,
    STREAM,
    TABLE,
    Row,
    SinkWorld,
    empty_row,
    fill_until_killed,
    hour,
    row,
)

from .postgres import postgres_server, postgres_url  # noqa: F401  # fixtures


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> SinkWorld:
    """A lake whose tables of sinks are in either system."""
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    return SinkWorld(tmp_path / "lake", url)


ON_SQLITE = pytest.mark.parametrize("world", ["sqlite"], indirect=True)
"""For what is the same in all databases."""


@pytest.fixture
def files(tmp_path: Path) -> SinkWorld:
    """A lake whose sinks are files."""
    return SinkWorld(tmp_path / "lake")


def test_every_type_of_value_is_in_a_table_as_it_is_in_the_stream(world: SinkWorld) -> None:
    world.write([row(1), row(2), row(3, uri="", bytes=b"", seen=[]), empty_row(4), row(1, 1)], 0, 1)
    [filled] = world.filled(TABLE)
    assert world.held(TABLE) == world.rows()
    assert (filled.rows, filled.hours, filled.version, filled.lacking) == (5, 2, world.pinned.version, 0)


@pytest.mark.parametrize("sink", FILES, ids=lambda sink: sink.format)
def test_every_type_of_value_is_in_files_as_it_is_in_the_stream(files: SinkWorld, sink: Sink) -> None:
    files.write([row(1), row(2), row(3, uri="", bytes=b"", seen=[]), empty_row(4), row(1, 1)], 0, 1)
    files.filled(sink)
    assert files.held(sink) == files.rows()
    assert [file.stem for file in files.drops(sink)] == [hour(0), hour(1)]


# --- what changes -----------------------------------------------------------------------------------------------------


def test_an_hour_that_is_computed_anew_takes_the_place_of_what_the_sinks_held_and_no_other_is_touched(
    world: SinkWorld,
) -> None:
    world.write([row(n, of) for of in range(3) for n in range(4)], 0, 1, 2)
    world.filled(TABLE, *FILES)
    before = {file: file.stat().st_mtime_ns for sink in FILES for file in world.drops(sink)}
    world.write([row(1, 1, latency=7.5), row(9, 1)], 1)
    for filled in world.filled(TABLE, *FILES):
        assert (filled.hours, filled.rows) == (1, 2)
    for sink in (TABLE, *FILES):
        assert world.held(sink) == world.rows()
    after = {file: file.stat().st_mtime_ns for sink in FILES for file in world.drops(sink)}
    assert {file.stem for file in after if after[file] != before[file]} == {hour(1)}


@ON_SQLITE
def test_rows_that_may_still_change_are_not_sent_before_they_are_final(world: SinkWorld) -> None:
    world.write([row(1), row(2, _is_final=False)], 0)
    world.filled(TABLE, JSONL)
    assert [one["id"] for one in world.held(TABLE)] == [1]
    world.write([row(1), row(2)], 0)
    world.filled(TABLE, JSONL)
    assert [one["id"] for one in world.held(TABLE)] == [one["id"] for one in world.held(JSONL)] == [1, 2]


def test_an_hour_that_is_empty_by_now_is_empty_in_the_sinks_and_one_that_always_was_has_no_file(
    world: SinkWorld,
) -> None:
    world.write([row(1), row(2, 1, _is_final=False)], 0, 1)
    world.filled(TABLE, *FILES)
    assert [file.stem for file in world.drops(CSV)] == [hour(0)]
    world.write([], 0)
    world.filled(TABLE, *FILES)
    for sink in (TABLE, *FILES):
        assert world.held(sink) == []
    assert [file.name for file in world.drops(JSONL)] == [f"{hour(0)}.jsonl"]


@ON_SQLITE
def test_the_same_rows_again_write_nothing_but_the_position(world: SinkWorld) -> None:
    world.write([row(1)], 0)
    world.filled(TABLE, *FILES)
    assert points_of(lambda: world.filled(TABLE, *FILES)) == []
    world.write([row(1)], 0)
    found = world.filled(TABLE, *FILES)
    assert [(one.rows, one.version) for one in found] == [(0, world.pinned.version)] * 4


@ON_SQLITE
def test_a_stream_without_a_table_fills_nothing(world: SinkWorld) -> None:
    for filled in world.filled(TABLE, JSONL):
        assert (filled.rows, filled.version, filled.lacking) == (0, None, 0)


def test_a_column_that_the_stream_gets_is_added_to_the_table(world: SinkWorld) -> None:
    world.write([row(1)], 0)
    world.filled(TABLE, PARQUET)
    wider = SCHEMA.append(pa.field("note", pa.string()))
    world.write([row(2, 1, note="new")], 1, schema=wider)
    world.filled(TABLE, PARQUET)
    assert [(one["id"], one["note"]) for one in world.held(TABLE)] == [(1, None), (2, "new")]


@ON_SQLITE
def test_a_stream_that_was_removed_and_made_anew_leaves_nothing_of_the_old_one(world: SinkWorld) -> None:
    world.write([row(1), row(2, 1)], 0, 1)
    world.filled(TABLE, JSONL)
    shutil.rmtree(world.spec.uri)
    world.write([row(3, 1)], 1)
    world.filled(TABLE, JSONL)
    assert world.held(TABLE) == world.held(JSONL) == world.rows()


@ON_SQLITE
def test_what_the_log_no_longer_tells_is_compared_hour_by_hour(world: SinkWorld) -> None:
    world.write([row(1), row(2, 1)], 0, 1)
    world.filled(TABLE, JSONL)
    world.write([row(1, latency=9.0)], 0)
    world.write([row(4, 2)], 2)
    table = world.pinned.table
    table.create_checkpoint()
    for version in range(world.pinned.version):
        (Path(str(world.spec.uri)) / "_delta_log" / f"{version:020}.json").unlink()
    found = world.filled(TABLE, JSONL)
    assert [(one.hours, one.rows) for one in found] == [(3, 2), (3, 2)]
    assert world.held(TABLE) == world.held(JSONL) == world.rows()


def test_a_table_that_somebody_dropped_is_filled_anew(world: SinkWorld) -> None:
    world.write([row(1), row(2, 1)], 0, 1)
    world.filled(TABLE)
    world.run(f"DROP TABLE {STREAM}")
    world.filled(TABLE)
    assert world.held(TABLE) == world.rows()


@ON_SQLITE
def test_many_hours_are_written_a_day_at_a_time(world: SinkWorld) -> None:
    of = range(TOGETHER + 5)
    world.write([row(n, n) for n in of], *of)
    with watching() as points:
        world.filled(TABLE)
    assert points.count(f"sink.{TABLE.id}:before") == 2
    assert world.held(TABLE) == world.rows()


# --- whatever happens on the way --------------------------------------------------------------------------------------


def test_a_process_that_dies_at_any_commit_leaves_sinks_that_the_next_one_makes_whole(world: SinkWorld) -> None:
    sinks = (TABLE, JSONL, HUB) if world.database is None else (TABLE,)
    world.write([row(n, of) for of in range(2) for n in range(2)], 0, 1)
    with dying_at("sinks.tables:after"):
        world.fill(TABLE)
    points = [point for point in points_of(lambda: world.filled(*sinks)) if not point.startswith("event_hub.")]
    of_others = {
        *(f"sink.{JSONL.id}.{part}" for part in ("file", "position")),
        *(f"sink.{HUB.id}.{part}" for part in ("sent", "send", "position")),
    }
    announced = {f"sink.{TABLE.id}", *(of_others if len(sinks) > 1 else ())}
    assert {name.partition(":")[0] for name in points} == announced
    for number, point in enumerate(points):
        world.write([row(n, of, latency=float(number + 1)) for of in range(2) for n in range(2)], 0, 1)
        with dying_at(point):
            world.fill(*sinks)
        # Whatever has come in between.
        world.write([row(7, 1, latency=number / 8)], 1)
        world.filled(*sinks)
        for sink in sinks:
            assert world.held(sink) == world.rows(), point


def test_a_process_that_is_killed_in_the_middle_of_a_transaction_has_written_nothing(world: SinkWorld) -> None:
    world.write([row(1), row(1, 1)], 0, 1)
    world.filled(TABLE)
    before = world.held(TABLE)
    world.write([row(1, latency=8.0), row(2, 1)], 0, 1)
    process = multiprocessing.get_context("forkserver").Process(
        target=fill_until_killed, args=(world.root, world.database)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert world.held(TABLE) == before
    world.filled(TABLE)
    assert world.held(TABLE) == world.rows()


@pytest.mark.parametrize("when", ["kill", "error"])
def test_a_transaction_that_is_cut_off_leaves_the_table_as_it_was(world: SinkWorld, when: str) -> None:
    world.write([row(1)], 0)
    world.filled(TABLE)
    before = world.held(TABLE)
    world.write([row(1, latency=8.0), row(2)], 0)
    ending = Death("in the transaction") if when == "kill" else OSError("gone")
    with patch.object(DatabaseSink, "_note", side_effect=ending), contextlib.suppress(Death):
        [filled] = world.fill(TABLE)
        assert filled.trouble is not None
    assert world.held(TABLE) == before
    world.fill(TABLE, at_once=True)
    assert world.held(TABLE) == world.rows()


Happening = tuple[str, int, int]
happenings = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 3), st.integers(0, 6)),
        st.tuples(st.just("die"), st.integers(0, 9), st.just(0)),
        st.tuples(st.just("fill"), st.just(0), st.just(0)),
        st.tuples(st.just("anew"), st.just(0), st.just(0)),
    ),
    max_size=10,
)


@hypothesis_settings(max_examples=examples(15, 300), deadline=None)
@given(story=happenings)
def test_any_order_of_hours_computed_again_and_deaths_leaves_sinks_equal_to_the_stream(story: list[Happening]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = SinkWorld(Path(folder) / "lake")
        sinks = (TABLE, CSV, HUB)
        for what, one, other in story:
            if what == "write":
                world.write([row(n, one, latency=float(other)) for n in range(other)], one)
            elif what == "die":
                with dying_at_number(one):
                    world.fill(*sinks)
            elif what == "anew":
                shutil.rmtree(world.spec.uri, ignore_errors=True)
            else:
                world.filled(*sinks)
        world.write([row(1)], 0)
        world.filled(*sinks)
        for sink in sinks:
            assert world.held(sink) == world.rows()


def test_who_began_with_an_older_version_does_not_undo_what_another_process_wrote(world: SinkWorld) -> None:
    """Between the look at the position and the writing, another process writes a newer version."""
    world.write([row(1)], 0)
    world.filled(TABLE)
    world.write([row(1, latency=2.0)], 0)

    def meanwhile(*given: object) -> list[str]:
        hours = hours_since(*given)  # type: ignore[arg-type]
        with patch.object(deliver, "hours_since", hours_since):
            world.write([row(1, latency=3.0)], 0)
            world.filled(TABLE)
        return hours

    with patch.object(deliver, "hours_since", meanwhile):
        world.fill(TABLE)
    assert world.held(TABLE) == world.rows()
    assert points_of(lambda: world.filled(TABLE)) == []


def test_a_sink_that_another_process_fills_is_left_to_it(files: SinkWorld) -> None:
    files.write([row(1)], 0)
    with (
        alone(files.lake.root / "sinks" / JSONL.id, seconds=1),
        patch.object(place, "WAITS_SECONDS", 0.0),
    ):
        [filled] = files.fill(JSONL)
    assert filled.skipped is not None
    assert "another process" in filled.skipped
    assert filled.trouble is None
    files.filled(JSONL)
    assert files.held(JSONL) == files.rows()


# --- trouble ----------------------------------------------------------------------------------------------------------


def test_one_sink_in_trouble_stops_no_other_and_is_tried_less_and_less_often(tmp_path: Path) -> None:
    world = SinkWorld(tmp_path / "lake", "postgresql://nobody:hidden-word@127.0.0.1:1/nowhere")
    world.write([row(1)], 0)
    table, files = world.fill(TABLE, JSONL)
    assert files.trouble is None
    assert world.held(JSONL) == world.rows()
    assert table.trouble is not None
    assert "LAKE_SINK_DATABASE_URL" in table.trouble.why
    assert "hidden-word" not in str(table.trouble)
    assert not table.refused
    rests, now = [], NOW
    for _ in range(8):
        [table] = world.fill(TABLE, at=now)
        assert table.trouble is not None
        rests.append((table.trouble.next_try - now).total_seconds())
        now = table.trouble.next_try
    assert rests == [15, 30, 60, 120, 240, 480, 900, 900]
    assert table.trouble.since == NOW
    assert [one.who for one in troubles(world.lake, now)] == ["database table slow_pages of slow_pages"]
    assert points_of(lambda: world.fill(TABLE, at=now - timedelta(seconds=1))) == []
    mended = SinkWorld(tmp_path / "lake")
    mended.fill(TABLE, at_once=True)
    assert mended.held(TABLE) == mended.rows()
    assert troubles(world.lake, now) == []


def test_a_sink_that_no_stream_declares_any_more_is_in_trouble_for_a_day(tmp_path: Path) -> None:
    world = SinkWorld(tmp_path / "lake", "no address")
    world.write([row(1)], 0)
    world.fill(TABLE)
    assert len(troubles(world.lake, NOW + timedelta(days=1))) == 1
    assert troubles(world.lake, NOW + timedelta(days=1, seconds=15)) == []


def test_a_table_that_no_lake_made_is_left_alone(world: SinkWorld) -> None:
    world.filled(TABLE)  # makes the file
    world.run(f"CREATE TABLE {STREAM} (mine integer)")
    world.write([row(1)], 0)
    [filled] = world.fill(TABLE)
    assert filled.refused
    assert filled.trouble is not None
    assert "a table slow_pages that no lake made; name another in the stream's sinks, or drop it" in filled.trouble.why
    assert world.query(f"SELECT count(*) FROM {STREAM}") == [(0,)]


def test_a_table_of_another_lake_is_left_alone(postgres_url: str, tmp_path: Path) -> None:  # noqa: F811
    one, other = (SinkWorld(tmp_path / name, postgres_url) for name in ("one", "other"))
    for world in (one, other):
        world.write([row(1, latency=1.0 if world is one else 2.0)], 0)
    one.filled(TABLE)
    [filled] = other.fill(TABLE)
    assert filled.refused
    assert filled.trouble is not None
    assert "is filled by the lake" in filled.trouble.why
    assert one.held(TABLE) == one.rows()


def test_a_column_of_another_type_is_refused_with_what_to_do(world: SinkWorld) -> None:
    world.write([row(1)], 0)
    world.filled(TABLE)
    shutil.rmtree(world.spec.uri)
    other = SCHEMA.set(SCHEMA.get_field_index("latency"), pa.field("latency", pa.string()))
    world.write([row(1, latency="slow")], 0, schema=other)
    [filled] = world.fill(TABLE)
    assert filled.trouble is not None
    assert "drop the table slow_pages, and it is filled anew" in filled.trouble.why
    world.run(f"DROP TABLE {STREAM}")
    world.fill(TABLE, at_once=True)
    assert world.query(f"SELECT latency FROM {STREAM}") == [("slow",)]


@pytest.mark.parametrize(
    ("sink", "values", "told"),
    [
        (JSONL, {"latency": float("nan")}, "column latency holds NaN or an infinity, which JSON has not"),
        (JSONL, {"latency": float("inf")}, "column latency holds NaN or an infinity, which JSON has not"),
        (TABLE, {"latency": float("nan")}, "column latency holds NaN, which SQLite has not"),
    ],
)
def test_a_value_that_a_sink_cannot_hold_is_refused_by_its_column(
    files: SinkWorld, sink: Sink, values: Row, told: str
) -> None:
    files.write([row(1), row(2, **values)], 0)
    [filled] = files.fill(sink)
    assert filled.refused
    assert filled.trouble is not None
    assert told in filled.trouble.why
    assert files.drops(sink) == []


def test_values_that_postgresql_and_csv_have_are_not_refused(
    postgres_url: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    world = SinkWorld(tmp_path / "lake", postgres_url)
    world.write([row(1, latency=float("nan")), row(2, latency=float("-inf"))], 0)
    world.filled(TABLE, CSV, PARQUET)
    for sink in (TABLE, CSV, PARQUET):
        assert [str(one["latency"]) for one in world.held(sink)] == ["nan", "-inf"]
    world.write([row(1, uri="a\0b")], 0)
    [filled] = world.fill(TABLE)
    assert filled.trouble is not None
    assert "column uri holds the character 0, which PostgreSQL has not" in filled.trouble.why


def test_a_branch_fills_its_own_folders_and_nothing_outside(postgres_url: str, tmp_path: Path) -> None:  # noqa: F811
    world = SinkWorld(tmp_path / "lake", postgres_url, {"branch": "pr_7"})
    world.write([row(1)], 0)
    table, files = world.fill(TABLE, JSONL)
    assert table.skipped == "the branch pr_7 fills no sink outside of its lake"
    assert files.rows == 1


def test_a_lake_in_azure_needs_a_database_that_is_named(tmp_path: Path) -> None:
    settings = Settings(root="abfss://lake@account.dfs.core.windows.net/shop")
    [filled] = deliver.fill(Lake.at(str(tmp_path / "lake")), settings, [TABLE])
    assert filled.skipped is not None
    assert filled.skipped.endswith("set LAKE_SINK_DATABASE_URL")
    assert (filled.unset, filled.trouble, filled.waits) == (True, None, False)


@pytest.mark.parametrize("url", ["mysql://host/db", "no address", "sqlite://"])
def test_a_database_that_cannot_be_written_to_is_refused(tmp_path: Path, url: str) -> None:
    world = SinkWorld(tmp_path / "lake", url)
    world.write([row(1)], 0)
    [filled] = world.fill(TABLE)
    assert filled.refused
    assert filled.trouble is not None
    assert "use a sqlite:///" in filled.trouble.why


# --- event hubs -------------------------------------------------------------------------------------------------------


@pytest.fixture
def hubs(tmp_path: Path) -> SinkWorld:
    """A lake whose hubs are embedded."""
    return SinkWorld(tmp_path / "lake")


def test_every_type_of_value_is_in_events_as_it_is_in_the_stream(hubs: SinkWorld) -> None:
    hubs.write([row(1), row(2), row(3, uri="", bytes=b"", seen=[]), empty_row(4), row(1, 1)], 0, 1)
    [filled] = hubs.filled(HUB)
    assert hubs.held(HUB) == hubs.rows()
    assert (filled.rows, len(hubs.events(HUB))) == (5, 5)


def test_of_an_hour_that_is_computed_anew_only_what_is_new_changed_or_gone_is_sent(hubs: SinkWorld) -> None:
    hubs.write([row(1), row(2), row(3)], 0)
    hubs.filled(HUB)
    hubs.write([row(1), row(2, latency=9.0), row(4)], 0)
    [filled] = hubs.filled(HUB)
    sent = hubs.events(HUB)
    assert filled.rows == 3
    first = int(NOW.timestamp() * 1000)
    told = sorted((event["id"], event["_revision"] - first + 1, event["_deleted"]) for event in sent)
    assert told == [(1, 1, False), (2, 1, False), (2, 2, False), (3, 1, False), (3, 2, True), (4, 1, False)]
    [gone] = [event for event in sent if event["_deleted"]]
    assert gone.keys() == {*ENVELOPE, "id", "_lake_hour"}
    assert len({event["_id"] for event in sent}) == len(sent)
    hubs.write([row(3)], 0)
    hubs.filled(HUB)
    assert hubs.held(HUB) == hubs.rows()


def test_events_of_a_lake_that_was_removed_and_made_anew_are_newer_than_those_of_before(hubs: SinkWorld) -> None:
    hubs.write([row(1, latency=1.0)], 0)
    hubs.filled(HUB)
    hubs.write([row(1, latency=2.0)], 0)
    hubs.filled(HUB)
    for folder in ("streams", "sinks"):
        shutil.rmtree(hubs.root / folder)
    hubs.write([row(1, latency=3.0)], 0)
    hubs.fill(HUB, at=NOW + timedelta(minutes=1))
    assert hubs.held(HUB) == hubs.rows()


def test_a_row_that_is_again_what_it_was_is_not_taken_for_one_that_came_twice(hubs: SinkWorld) -> None:
    for latency in (1.0, 2.0, 1.0):
        hubs.write([row(1, latency=latency)], 0)
        hubs.filled(HUB)
    assert [event["latency"] for event in hubs.events(HUB)] == [1.0, 2.0, 1.0]
    assert hubs.held(HUB) == hubs.rows()


def test_what_may_have_been_sent_before_a_death_is_sent_again_under_the_same_id(hubs: SinkWorld) -> None:
    hubs.write([row(1), row(2)], 0)
    with dying_at(f"sink.{HUB.id}.send:after"):
        hubs.fill(HUB)
    first = {event["_id"] for event in hubs.events(HUB)}
    hubs.filled(HUB)
    assert len(hubs.events(HUB)) == 4
    assert {event["_id"] for event in hubs.events(HUB)} == first
    assert points_of(lambda: hubs.filled(HUB)) == []


def test_a_row_that_went_back_to_what_it_was_after_a_death_is_sent_again(hubs: SinkWorld) -> None:
    hubs.write([row(1, latency=1.0)], 0)
    hubs.filled(HUB)
    hubs.write([row(1, latency=2.0)], 0)
    with dying_at(f"sink.{HUB.id}.send:after"):
        hubs.fill(HUB)
    hubs.write([row(1, latency=1.0)], 0)
    hubs.filled(HUB)
    assert hubs.held(HUB) == hubs.rows()


def test_two_rows_with_one_key_are_refused_by_a_hub(hubs: SinkWorld) -> None:
    hubs.write([row(1), row(1, latency=7.0)], 0)
    [filled] = hubs.fill(HUB)
    assert filled.refused
    assert filled.trouble is not None
    assert "two rows of 2026-01-05T08 have the key id in common" in filled.trouble.why


def test_a_column_that_events_have_themselves_is_refused(hubs: SinkWorld) -> None:
    hubs.write([row(1, _id="x")], 0, schema=SCHEMA.append(pa.field("_id", pa.string())))
    [filled] = hubs.fill(HUB)
    assert filled.trouble is not None
    assert "events have a field _id of their own; rename the column" in filled.trouble.why


def test_a_hub_that_does_not_take_events_gets_them_when_it_does(hubs: SinkWorld) -> None:
    hubs.write([row(1)], 0)
    with patch.object(EmbeddedEventHub, "send", side_effect=SendInterrupted("the hub is throttled", 0)):
        [filled] = hubs.fill(HUB)
    assert filled.trouble is not None
    assert filled.trouble.why == "event hub slow-pages of slow_pages: the hub is throttled"
    assert (filled.refused, filled.lacking) == (False, 1)
    hubs.fill(HUB, at_once=True)
    assert hubs.held(HUB) == hubs.rows()


# --- lake doctor ------------------------------------------------------------------------------------------------------


def test_the_doctor_says_whether_the_database_of_sinks_takes_writers(
    postgres_url: str,  # noqa: F811
    tmp_path: Path,
) -> None:
    def found(url: str | None) -> list[tuple[str, str]]:
        findings = sink_findings(SinkWorld(tmp_path / "lake", url).settings)
        return [(one.level, one.says.partition(";")[0]) for one in findings]

    assert found(None) == []
    assert found(postgres_url) == [("ok", "it can be reached")]
    world = SinkWorld(tmp_path / "lake", postgres_url)
    world.write([row(1)], 0)
    world.filled(TABLE)
    assert found(postgres_url) == [("ok", "it has the lake's tables")]
    [(level, says)] = found("postgresql://nobody:hidden-word@127.0.0.1:1/nowhere")
    assert (level, "hidden-word" in says, "refused" in says) == ("fail", False, True)
    assert found("mysql://host/db") == [("fail", "LAKE_SINK_DATABASE_URL: mysql is not supported")]
