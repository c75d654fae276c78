"""A table that is written every few seconds keeps a bounded number of files, and every row."""

import threading
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from dagster_lake.contract.model import contracts
from dagster_lake.definitions import defs
from dagster_lake.defs.streams.tidy_tables import tidy_job, tidy_tables
from dagster_lake.lake_hour import hour_key, hour_of
from dagster_lake.lake_resource import LakeResource
from dagster_lake.live import tables, tidy
from dagster_lake.live.landing import LiveLanding
from dagster_lake.live.loop import Live
from dagster_lake.live.plan import Plan
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.paths import Lake
from tests.lake.crashing import dying_at
from tests.lake.lakes import content_of
from tests.live.conftest import Still
from tests.live.event_worlds import START, Event, EventWorld

NOW = timedelta(0)
SCHEMA = pa.schema([("n", pa.int64()), ("_lake_hour", pa.string())])
HOURS = ("2026-01-05T12", "2026-01-05T13")


@pytest.fixture
def spec(tmp_path: Path) -> TableSpec:
    return TableSpec(Lake.at(str(tmp_path)).table("streams", "busy"), SCHEMA, "_lake_hour")


def replace(spec: TableSpec, n: int, hour: str) -> None:
    rows = pa.table({"n": [n], "_lake_hour": [hour]}, SCHEMA)
    delta.replace_partitions(spec, [hour], rows.to_reader, {})


def files(spec: TableSpec) -> dict[str, int]:
    folder = Path(str(spec.uri))
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {
        "data": sum(path.suffix == ".parquet" and "_delta_log" not in path.parts for path in found),
        "checksums": sum(path.suffix == ".crc32" for path in found),
        "log": sum("_delta_log" in path.parts for path in found),
    }


def test_files_that_were_replaced_go_and_the_log_is_cut_at_its_checkpoints(spec: TableSpec) -> None:
    replace(spec, 0, HOURS[0])
    most = 0
    for n in range(250):
        replace(spec, n, HOURS[1])
        if n % 25 == 0:
            delta.tidy(spec.uri, kept=NOW, log_kept=NOW)
            most = max(most, sum(files(spec).values()))
    delta.tidy(spec.uri, kept=NOW, log_kept=NOW)
    assert [files(spec)["data"], files(spec)["checksums"]] == [2, 2]
    assert most < 200
    assert sorted(row["n"] for row in content_of(Path(str(spec.uri)))) == [0, 249]


def test_what_was_replaced_a_moment_ago_stays_for_whoever_reads_it(spec: TableSpec) -> None:
    replace(spec, 1, HOURS[0])
    reading = delta.pin(spec.uri)
    assert reading is not None
    replace(spec, 2, HOURS[0])
    assert delta.tidy(spec.uri, kept=tidy.KEPT, log_kept=tidy.KEPT) == []
    assert reading.are_there(reading.files())


def test_files_of_a_writer_that_has_not_committed_yet_stay(spec: TableSpec) -> None:
    replace(spec, 1, HOURS[0])
    uncommitted = Path(str(spec.uri)) / f"_lake_hour={HOURS[0]}" / "part-being-written.parquet"
    uncommitted.write_bytes(b"x")
    replace(spec, 2, HOURS[0])
    assert len(delta.tidy(spec.uri, kept=NOW, log_kept=NOW)) == 1
    assert uncommitted.exists()


def test_many_appends_become_one_file_with_every_row_and_a_checksum(spec: TableSpec) -> None:
    for n in range(delta.SMALL_FILES):
        rows = pa.table({"n": [n], "_lake_hour": [HOURS[n % 2 and n > 2]]}, SCHEMA)
        delta.append(spec, rows.to_reader, {}, turn="test")
    delta.append(spec, pa.table({"n": [99, 98], "_lake_hour": [HOURS[0], HOURS[1]]}, SCHEMA).to_reader, {}, turn="test")
    before = content_of(Path(str(spec.uri)))
    for n in range(delta.SMALL_FILES):
        rows = pa.table({"n": [n], "_lake_hour": [HOURS[1]]}, SCHEMA)
        delta.append(spec, rows.to_reader, {}, turn="test")
        before += [{"n": n, "_lake_hour": HOURS[1]}]
    delta.tidy(spec.uri, kept=NOW, log_kept=NOW)
    assert sorted(map(str, content_of(Path(str(spec.uri))))) == sorted(map(str, before))
    assert files(spec)["data"] < delta.SMALL_FILES
    assert files(spec)["checksums"] == files(spec)["data"]


@pytest.mark.parametrize("point", ["before", "after"])
def test_dying_while_tidying_loses_nothing_and_the_next_one_ends_it(spec: TableSpec, point: str) -> None:
    for n in range(3):
        replace(spec, n, HOURS[0])
    with dying_at(f"tidy.streams.busy:{point}"):
        delta.tidy(spec.uri, kept=NOW, log_kept=NOW)
    delta.tidy(spec.uri, kept=NOW, log_kept=NOW)
    assert [row["n"] for row in content_of(Path(str(spec.uri)))] == [2]
    assert files(spec)["data"] == files(spec)["checksums"] == 1


def test_where_dagster_alone_runs_its_job_keeps_the_files_of_tick_after_tick_bounded(
    tmp_path: Path, still: Still, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tidy, "KEPT", NOW)
    world = still(EventWorld(tmp_path))
    monkeypatch.setenv("LAKE_ROOT", str(world.lake.root))
    pageviews, counts = Path(str(world.lake.table("silver", "pageviews"))), []
    with dg.DagsterInstance.ephemeral() as instance:
        for hour in range(3):
            for tick in range(6):
                number = 6 * hour + tick
                world.send([Event(f"e{number}", 1_000 * number + 1)])
                world.land()
                world.silver()
            assert tidy_job.execute_in_process(instance=instance, resources={"lake": LakeResource()}).success
            counts.append(len(list(pageviews.rglob("*.parquet"))))
    assert counts == [counts[0]] * 3
    assert {row["event_id"] for row in content_of(pageviews)} == {f"e{n}" for n in range(18)}
    schedule = defs.resolve_schedule_def(tidy_tables.name)
    assert schedule.default_status == dg.DefaultScheduleStatus.RUNNING


def test_lake_stream_tidies_what_it_writes_round_after_round_and_loses_and_doubles_nothing(
    tmp_path: Path, still: Still, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A soak in rounds: each looks once, as a process that is killed and started again does."""
    monkeypatch.setattr(tables, "build", lambda *_: iter(()))
    monkeypatch.setattr(tidy, "KEPT", NOW)
    world = still(EventWorld(tmp_path))
    of_stream = {name: contracts()[name] for name in ("pageviews", "stars")}
    counts = []
    for number in range(12):
        world.send([Event(f"{number}-{n}", 1_000 * number + n + 1, stars=3 if n % 2 else None) for n in range(10)])
        resource: Any = SimpleNamespace(lake=world.lake, settings=world.settings, engine=world.engine)
        landing = LiveLanding(world.lake, of_stream.values(), world.sources)
        live = Live(resource, Plan(of_stream, [], {}, 0.0, f"round {number}"), landing, print, lambda hours: None)
        live.run(threading.Event(), 1.0, 0.0, lambda status: None)
        assert live.status.failures == {}
        silver = [row for name in of_stream for row in content_of(Path(str(world.lake.root)) / "silver" / name)]
        ids = [row["event_id"] for row in silver]
        assert len(ids) == len(set(ids)) == 10 * (number + 1)
        counts.append(len(list(Path(str(world.lake.table("silver", "pageviews"))).rglob("*.parquet"))))
    assert max(counts[2:]) == min(counts[2:])
    assert hour_key(hour_of(START)) in {row["_lake_hour"] for row in silver}
