"""The verifier finds nothing where nothing is wrong, and whatever somebody does to a table."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from bench.verify_streams import Findings, Verdict, told, verify
from dagster_lake import clock
from dagster_lake.lake_hour import HourRange, hour_of
from dagster_lake.live.plan import plan
from dagster_lake.live.tables import LiveTables
from tests.live.event_worlds import START, Event, EventWorld

HOURS = HourRange(hour_of(START), hour_of(START + timedelta(minutes=20)))
EVENTS = [
    Event(f"e{n % 13}", n * 40_000, 70_000 * (n % 4 == 3), user=n % 2, latency=1_900 + 30 * n, stars=stars)
    for n in range(20)
    for stars in (None, 1 + n % 5)
]
SILVER, ALERTS, PAIRS, WINDOWS, NOTICES = (
    "silver.pageviews",
    "streams.high_latency_alerts",
    "streams.pageviews_stars_correlation",
    "streams.pageviews_by_http_method_5m",
    "streams.alert_notices",
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> EventWorld:
    world = EventWorld(tmp_path_factory.mktemp("sound"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "utc_now", lambda: world.now)
        world.send(EVENTS)
        world.now += timedelta(minutes=1)
        world.land()
        wanted = plan(world.lake, world.settings, [])
        tables = LiveTables(
            world.lake, world.settings, world.engine, wanted.contracts, wanted.kinds, "test", lambda: False, print
        )
        tables.make(dict.fromkeys(wanted.contracts, HOURS.keys), {})
    return world


def findings(world: EventWorld, folder: Path | None = None) -> Findings:
    lake = world.lake if folder is None else replace(world.lake, root=type(world.lake.root)(folder))
    return verify(lake, world.sources, HOURS)


def test_nothing_is_wrong_with_a_lake_that_nobody_touched(sound: EventWorld) -> None:
    found = findings(sound)
    assert [name for name, verdict in found.verdicts.items() if not verdict.is_exact] == []
    assert all(verdict.rows for verdict in found.verdicts.values())
    assert found.events == len(EVENTS)
    assert f"{len(EVENTS)} events sent" in told(found)


def drop_one(table: DeltaTable) -> None:
    first = table.to_pyarrow_table().slice(0, 1)
    rest = table.to_pyarrow_table().slice(1)
    assert len(first)
    write_deltalake(table, rest, mode="overwrite")


def double_one(table: DeltaTable) -> None:
    write_deltalake(table, table.to_pyarrow_table().slice(0, 1), mode="append")


def shift_one(column: str) -> Callable[[DeltaTable], None]:
    def shift(table: DeltaTable) -> None:
        rows = table.to_pyarrow_table()
        values = rows[column].to_pylist()
        values[0] += timedelta(milliseconds=1) if hasattr(values[0], "year") else 1
        at = rows.schema.get_field_index(column)
        moved = rows.set_column(at, rows.schema.field(at), pa.array(values, rows.schema.field(at).type))
        write_deltalake(table, moved, mode="overwrite")

    return shift


@pytest.mark.parametrize(
    ("table", "touch", "wrong"),
    [
        (SILVER, drop_one, Verdict(lost=1)),
        (SILVER, double_one, Verdict(duplicates=1)),
        (SILVER, shift_one("_sequence_number"), Verdict(out_of_sequence=1)),
        (SILVER, shift_one("_enqueued_time"), Verdict(out_of_sequence=1)),
        (ALERTS, drop_one, Verdict(lost=1)),
        (ALERTS, double_one, Verdict(duplicates=1)),
        (ALERTS, shift_one("_time"), Verdict(out_of_sequence=1)),
        (PAIRS, drop_one, Verdict(lost=1)),
        (PAIRS, double_one, Verdict(duplicates=1)),
        (PAIRS, shift_one("_time"), Verdict(out_of_sequence=1)),
        (WINDOWS, shift_one("pageviews"), Verdict(duplicates=1)),
        (NOTICES, drop_one, Verdict(lost=1)),
        (NOTICES, double_one, Verdict(duplicates=1)),
    ],
)
def test_whatever_is_done_to_a_table_is_found(
    tmp_path: Path, sound: EventWorld, table: str, touch: Callable[[DeltaTable], None], wrong: Verdict
) -> None:
    layer, name = table.split(".")
    for kept in ("silver", "streams"):
        shutil.copytree(Path(str(sound.lake.root)) / kept, tmp_path / kept)
    touch(DeltaTable(str(tmp_path / layer / name)))
    found = findings(sound, tmp_path).verdicts
    assert (found[table].lost, found[table].duplicates, found[table].out_of_sequence) == (
        wrong.lost,
        wrong.duplicates,
        wrong.out_of_sequence,
    ), found[table].examples
    assert found[table].examples
    assert all(verdict.is_exact for other, verdict in found.items() if other != table)
