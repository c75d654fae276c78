"""The streams through dbt, on DuckDB: what each must hold at the edges of hours, windows and joins, whatever the order
in which hours land."""

import math
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_lake import commit
from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner import manifest as dbt_manifest
from dagster_lake.dbt_runner import run as dbt
from dagster_lake.dbt_runner.manifest import DbtRunError
from dagster_lake.engines import pieces
from dagster_lake.lake_hour import HourRange
from dagster_lake.landing.empty_hour import empty_hour
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.manifest import write_manifest
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.declarations import stream_declarations
from tests.lake.stream_world import DAY, Row, StreamWorld, at, rows_of

STREAMS = sorted([*stream_declarations(dbt_manifest.manifest()), "events_in_time"])
ALERTS = ("high_latency_alerts", "high_latency_alerts_enriched")
FLOATS = 1e-12
"""Relative: percentiles and standard deviations may be rounded differently in their last digits."""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.at(str(tmp_path / "lake"))


def models(*names: str) -> list[str]:
    return [f"model.dagster_lake.{name}" for name in names or STREAMS]


def checks(*names: str) -> list[str]:
    """The dbt tests of these streams."""
    wanted = models(*names)
    return [id for id, node in dbt_manifest.manifest()["nodes"].items() if node.get("attached_node") in wanted]


def run(lake: Lake, select: Sequence[str], *hours: str, full_refresh: bool = False) -> None:
    """Builds models and tests for the range between these hours; without hours, for all."""
    of = HourRange.of(hours[0], hours[-1]) if hours else None
    list(dbt.build(select, of, lake, Settings(), full_refresh=full_refresh))


def built(lake: Lake, world: StreamWorld, *streams: str) -> dict[str, list[Row]]:
    """These streams after the world's hours have landed and run one by one; they are what the naive model says."""
    world.write_snapshots(lake)
    for hour in world.hours:
        world.write_hours(lake, [hour])
        run(lake, models(*streams), hour)
    found = read(lake, *streams)
    assert unlike(found, world.streams()) == {}
    return found


def read(lake: Lake, *streams: str) -> dict[str, list[Row]]:
    return {name: rows_of(lake, name) for name in streams or STREAMS}


def unlike(found: dict[str, list[Row]], wanted: dict[str, list[Row]]) -> dict[str, list[str]]:
    """What distinguishes the streams found from those wanted; empty when nothing does."""
    told = {}
    for name, here in found.items():
        there = wanted[name]
        differing = [f"{len(here)} rows instead of {len(there)}"] if len(here) != len(there) else []
        for row, other in zip(here, there, strict=False):
            columns = [c for c in {*row, *other} if not equal(row.get(c), other.get(c))]
            differing += [f"{c}: {row.get(c)} instead of {other.get(c)}" for c in columns]
        if differing:
            told[name] = differing[:6]
    return told


def equal(value: Any, wanted: Any) -> bool:
    if isinstance(value, float) and isinstance(wanted, float):
        return math.isclose(value, wanted, rel_tol=FLOATS, abs_tol=FLOATS)
    return type(value) is type(wanted) and value == wanted


def told(rows: Iterable[Row], *columns: str) -> list[tuple[Any, ...]]:
    return sorted(tuple(row[column] for column in columns) for row in rows)


# ---- hours and times ------------------------------------------------------------------------------------------------


def test_a_page_shown_at_the_end_of_an_hour_belongs_to_that_hour_and_its_last_window(lake: Lake) -> None:
    world = StreamWorld()
    world.view("12:30")
    world.view("13:00", 2)
    world.view("13:00:00.000001", 3)
    streams = built(lake, world, "first_pageview_per_hour", "pageviews_by_http_method_5m")
    assert told(streams["first_pageview_per_hour"], "user_id", "_lake_hour") == [
        (1, f"{DAY}T12"),
        (2, f"{DAY}T12"),
        (3, f"{DAY}T13"),
    ]
    assert told(streams["pageviews_by_http_method_5m"], "window_start", "_time", "_lake_hour") == [
        (at("12:25"), at("12:30"), f"{DAY}T12"),
        (at("12:55"), at("13:00"), f"{DAY}T12"),
        (at("13:00"), at("13:05"), f"{DAY}T13"),
    ]


def test_a_page_that_arrives_up_to_60_s_late_counts_in_the_hour_in_which_it_was_shown(lake: Lake) -> None:
    world = StreamWorld()
    late = world.view("13:00:10", 1, shown="12:59:10", latency=2001)
    world.view("14:30", 2)
    too_late = world.view("15:00:59", 3, shown="12:00", latency=2001)  # shown at 14:59:59, as far as anybody can say
    world.view("15:30", 2)
    streams = built(lake, world, "high_latency_alerts")
    assert told(streams["high_latency_alerts"], "event_id", "_time", "_lake_hour") == [
        (late, at("12:59:10"), f"{DAY}T12"),
        (too_late, at("14:59:59"), f"{DAY}T14"),
    ]


def test_a_page_that_arrives_up_to_5_minutes_early_counts_in_the_hour_to_come(lake: Lake) -> None:
    world = StreamWorld()
    early = world.view("12:59", 1, shown="13:04", latency=2001)
    world.view("13:59", 2, shown="14:04:00.000001", latency=2001)
    world.view("14:30", 3)
    streams = built(lake, world, "high_latency_alerts")
    assert told(streams["high_latency_alerts"], "event_id", "_lake_hour") == [(early, f"{DAY}T13")]


def test_a_page_out_of_order_by_more_than_50_s_is_moved_up_to_the_watermark_across_the_hour(lake: Lake) -> None:
    world = StreamWorld()
    world.view("13:00:55", 1)
    moved = world.view("13:00:56", 2, shown="12:59:57", latency=2001)
    world.view("13:30", 3)
    streams = built(lake, world, "high_latency_alerts")
    assert told(streams["high_latency_alerts"], "event_id", "_time", "_lake_hour") == [
        (moved, at("13:00:05"), f"{DAY}T13")
    ]


def test_nothing_is_told_of_a_time_that_has_not_come_until_it_has(lake: Lake) -> None:
    world = StreamWorld()
    world.view("12:50")
    assert built(lake, world, "sessions")["sessions"] == []
    world.view("13:40", 2)
    assert told(built(lake, world, "sessions")["sessions"], "user_id", "_time") == [(1, at("13:20"))]


# ---- each stream ----------------------------------------------------------------------------------------------------


def test_a_page_is_a_vip_s_by_the_list_of_the_time_when_it_was_shown(lake: Lake) -> None:
    world = StreamWorld(vip_users={f"{DAY}T110000Z": [{"id": 1}], f"{DAY}T123000Z": [{"id": 2}]})
    before_any_list = world.view("10:30", 1)
    last = world.view("12:29:59.999999", 1)
    world.view("12:30", 1)
    first = world.view("12:30", 2)
    world.view("12:29", 2)
    rows = built(lake, world, "vip_pageviews")["vip_pageviews"]
    assert told(rows, "event_id") == [(before_any_list,), (last,), (first,)]


def test_windows_of_5_minutes_hold_counts_means_and_percentiles_by_method(lake: Lake) -> None:
    world = StreamWorld()
    for number, latency in enumerate([10, 20, 30, 45]):
        world.view(at("12:00:30") + timedelta(minutes=number), latency=latency)
    world.view("12:05", method="POST", latency=7)
    rows = built(lake, world, "pageviews_by_http_method_5m")["pageviews_by_http_method_5m"]
    assert told(rows, "http_method", "_time", "pageviews", "mean_latency", "p50_latency") == [
        ("GET", at("12:05"), 4, 26.25, 25.0),
        ("POST", at("12:05"), 1, 7.0, 7.0),
    ]
    [row] = [row for row in rows if row["http_method"] == "GET"]
    assert row["p95_latency"] == pytest.approx(42.75)  # rank 0.95 * 3, between 30 and 45
    assert row["p99_latency"] == pytest.approx(44.55)


def test_an_alert_is_a_page_slower_than_the_threshold_and_has_what_was_known_of_the_customer(lake: Lake) -> None:
    users = {
        f"{DAY}T000000Z": [{"id": 1, "city": "Brno", "name": "E."}],
        f"{DAY}T130000Z": [{"id": 1, "city": "Praha", "name": "E."}, {"id": 2, "city": "Plzeň"}],
    }
    world = StreamWorld(users=users)
    world.view("12:59:59", 1, latency=2000)
    slow = world.view("12:59:59.5", 1, latency=2001)
    moved = world.view("13:00", 1, latency=60_000)
    world.view("12:30", 2, latency=3000)  # not known yet
    streams = built(lake, world, *ALERTS)
    assert len(streams["high_latency_alerts"]) == 3
    assert told(streams["high_latency_alerts_enriched"], "event_id", "city", "name") == [
        (slow, "Brno", "E."),
        (moved, "Praha", "E."),
    ]


def test_pages_are_joined_with_ratings_by_minutes_of_the_clock_across_the_hour(lake: Lake) -> None:
    world = StreamWorld()
    view = world.view("12:50:59", 1)
    same_minute_before = world.rate("12:50:01", 1, 1)
    ten = world.rate("13:00:59.999999", 1, 2)
    eleven = world.rate("13:01", 1, 1)
    fifteen = world.rate("13:05:59.9", 1, 5)
    world.rate("13:06", 1, 5)
    world.rate("12:55", 2, 1)
    world.rate("12:49:59", 1, 1)
    streams = built(lake, world, "pageviews_stars_correlation", "low_star_pageviews")
    assert told(streams["pageviews_stars_correlation"], "star_event_id", "_time", "_lake_hour") == [
        (same_minute_before, at("12:50:59"), f"{DAY}T12"),  # the later of the two
        (ten, at("13:00:59.999999"), f"{DAY}T13"),
        (eleven, at("13:01"), f"{DAY}T13"),
        (fifteen, at("13:05:59.9"), f"{DAY}T13"),
    ]
    assert told(streams["low_star_pageviews"], "pageview_event_id", "star_event_id") == [
        (view, same_minute_before),
        (view, ten),
    ]


def test_every_page_is_paired_with_every_rating(lake: Lake) -> None:
    world = StreamWorld()
    for minute in range(3):
        world.view(f"12:0{minute}", 1)
        world.rate(f"12:0{minute}:30", 1, 2)
    assert len(built(lake, world, "low_star_pageviews")["low_star_pageviews"]) == 6


def test_the_first_page_of_an_hour_is_the_one_shown_first_and_of_equals_the_one_that_arrived_first(lake: Lake) -> None:
    world = StreamWorld()
    world.view("12:10:01", 1, shown="12:10", uri="/b")
    world.view("12:10:00.5", 1, shown="12:10", uri="/a")
    world.view("12:10:30", 1, shown="12:09:58", uri="/first")
    world.view("12:10:01", 2, shown="12:10", uri="/b")
    world.view("12:10:00.5", 2, shown="12:10", uri="/a")
    rows = built(lake, world, "first_pageview_per_hour")["first_pageview_per_hour"]
    assert told(rows, "user_id", "uri", "client_ip") == [(1, "/first", "ip1"), (2, "/a", "ip2")]


def test_a_gap_of_30_minutes_continues_a_visit_and_a_microsecond_more_begins_another(lake: Lake) -> None:
    world = StreamWorld()
    for clock, uri in (("12:05", "/"), ("12:35", "/cart"), ("12:36", "/")):
        world.view(clock, 1, uri=uri)
    world.view("13:06:00.000001", 1, uri="/help")
    world.view("14:45", 2)
    rows = built(lake, world, "sessions")["sessions"]
    columns = ("started_at", "_time", "duration_ms", "pageviews", "pages", "entry_uri", "exit_uri", "_lake_hour")
    assert told(rows, *columns) == [
        (at("12:05"), at("13:06"), 31 * 60_000, 3, 2, "/", "/", f"{DAY}T13"),
        (at("13:06:00.000001"), at("13:36:00.000001"), 0, 1, 1, "/help", "/help", f"{DAY}T13"),
    ]


def test_a_visit_that_goes_on_for_hours_is_cut_at_full_hours_and_the_cut_belongs_to_the_one_before(lake: Lake) -> None:
    world = StreamWorld()
    for minutes in range(11 * 60 + 20, 14 * 60 + 41, 20):
        world.view(at("00:00") + timedelta(minutes=minutes), 1)
    world.view("16:00", 2)
    rows = built(lake, world, "sessions")["sessions"]
    assert told(rows, "user_id", "started_at", "first_view_at", "last_view_at", "_time", "_lake_hour") == [
        (1, at("11:20"), at("11:20"), at("13:00"), at("13:00"), f"{DAY}T12"),  # at 12:00 it was 40 minutes old
        (1, at("13:00"), at("13:20"), at("14:00"), at("14:00"), f"{DAY}T13"),
        (1, at("14:00"), at("14:20"), at("14:40"), at("15:00"), f"{DAY}T14"),
    ]
    first = int(at("13:20").timestamp() * 1000)
    assert f"1-{first}" in {row["session_id"] for row in rows}


def test_a_minute_far_above_the_hour_before_it_is_an_anomaly_and_the_edges_are_not(lake: Lake) -> None:
    world = StreamWorld()

    def minute(number: int, *latencies: int, method: str = "GET") -> None:
        for place, latency in enumerate(latencies):
            world.view(at("11:30") + timedelta(minutes=number, seconds=place + 1), 1, latency=latency, method=method)

    for number in range(70):
        minute(number, *[95, 105][number % 2 : number % 2 + 1] * 20)
        minute(number, *[500] * 19, method="PUT")  # too few to judge
    minute(29, *[100] * 20, method="POST")
    minute(70, *[125] * 20)  # the mean is 100, the standard deviation 5: no more than five of them
    minute(70, *[900] * 20, method="POST")
    minute(71, *[140] * 19, 160)
    world.view("13:30", 9)
    rows = built(lake, world, "latency_anomalies")["latency_anomalies"]
    assert told(rows, "http_method", "_time", "mean_latency", "baseline_windows") == [("GET", at("12:42"), 141.0, 60)]


def test_an_anomaly_is_told_once_there_are_30_minutes_to_compare_with(lake: Lake) -> None:
    world = StreamWorld()
    for number in range(31):
        for second in range(20):
            latency = 100 if number < 29 else 900 + 100 * number
            world.view(at("11:45:01") + timedelta(minutes=number, seconds=second), latency=latency)
    world.view("13:30", 9)
    rows = built(lake, world, "latency_anomalies")["latency_anomalies"]
    assert told(rows, "_time", "baseline_windows") == [(at("12:16"), 30)]


# ---- whatever the order ---------------------------------------------------------------------------------------------


def random_world(seed: int) -> StreamWorld:
    """Five hours of a few restless customers: views and ratings that are late, early and out of order."""
    draw = random.Random(seed)
    lists = {f"{DAY}T{hour}0000Z": [{"id": id} for id in {1, draw.randint(2, 4)}] for hour in ("09", "12")}
    world = StreamWorld(users=lists, vip_users=lists)
    skews = [0, 0, 0, 0, -1, -20, -55, -60, -61, -3000, 30, 300, 301]
    for _ in range(70):
        arrival = edge(draw, at("10:00:00.000001") + draw.random() * timedelta(hours=5))
        shown = arrival + timedelta(seconds=draw.choice(skews))
        user = draw.randint(1, 4)
        if draw.random() < 0.75:
            uri, method = draw.choice("/abc"), draw.choice(["GET", "POST"])
            world.view(arrival, user, shown=shown, uri=uri, method=method, latency=draw.randint(0, 4000))
        else:
            world.rate(arrival, user, draw.randint(1, 5), given=shown)
    for second in range(1100):  # minutes with enough views to be compared, too
        world.view(at("12:20:00.5") + timedelta(seconds=second * 2), 5, latency=draw.randint(80, 120))
    for _ in range(20):
        world.view(at("12:52:59") + timedelta(seconds=draw.random()), 5, latency=draw.randint(300, 900))
    return world


def edge(draw: random.Random, instant: Any) -> Any:
    """Now and then the full hour or minute instead."""
    if draw.random() < 0.15:
        return instant.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    return instant.replace(second=0, microsecond=0) if draw.random() < 0.15 else instant


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 10_000), data=st.data())
def test_hours_landed_in_any_order_or_at_once_give_the_same_tables(
    seed: int, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lake = Lake.at(str(tmp_path_factory.mktemp("order") / "lake"))
    world = random_world(seed)
    world.write_snapshots(lake)
    hours = data.draw(st.permutations(world.hours))
    together = data.draw(st.integers(0, len(hours)))  # so many of them land first, and run as one range
    if together:
        world.write_hours(lake, hours[:together])
        run(lake, models(), min(hours[:together]), max(hours[:together]))
    for hour in hours[together:]:
        world.write_hours(lake, [hour])
        run(lake, models(), hour)
    assert unlike(read(lake), world.streams()) == {}


def test_the_random_worlds_have_rows_in_every_stream() -> None:
    found = [random_world(seed).streams() for seed in range(5)]
    assert all(any(streams[name] for streams in found) for name in STREAMS)


def test_an_hour_run_again_and_a_full_refresh_change_no_row_and_every_dbt_test_passes(lake: Lake) -> None:
    world = random_world(7)
    world.write_snapshots(lake)
    world.write_hours(lake, world.hours)
    wanted = world.streams()
    run(lake, [*models(), *checks()], world.hours[0], world.hours[-1])
    assert unlike(read(lake), wanted) == {}
    run(lake, [*models(), *checks()], world.hours[2])
    assert unlike(read(lake), wanted) == {}
    run(lake, models(), full_refresh=True)
    assert unlike(read(lake), wanted) == {}


@pytest.mark.parametrize("hours", [(), (f"{DAY}T10",)], ids=["all hours at once", "the last hour of events again"])
def test_a_session_that_ends_in_an_hour_which_landed_without_events_is_told(lake: Lake, hours: tuple[str, ...]) -> None:
    world = StreamWorld(users={f"{DAY}T000000Z": [{"id": 1}]})
    world.view("10:45:30")
    world.write_snapshots(lake)
    world.write_hours(lake, [f"{DAY}T10"])
    run(lake, models("sessions"), *hours, full_refresh=not hours)
    assert read(lake, "sessions")["sessions"] == []
    folder = lake.raw_partition("pageviews", f"{DAY}T11", sensitive=contracts()["pageviews"].sensitive)
    folder.mkdir(parents=True)
    write_manifest(folder, empty_hour(contracts()["pageviews"], at("11:00"), at("12:00")), replacing=None)
    run(lake, models("sessions"), *hours, full_refresh=not hours)
    assert told(read(lake, "sessions")["sessions"], "_time") == [(at("11:15:30"),)]


def test_a_run_killed_before_or_after_a_commit_and_run_again_gives_the_same_tables(lake: Lake) -> None:
    world = StreamWorld(users={f"{DAY}T000000Z": [{"id": 1}]})
    world.view("10:30", latency=2001)
    built(lake, world, *ALERTS)
    for number, point in enumerate(f"streams.{name}:{moment}" for name in ALERTS for moment in ("before", "after")):
        world.view(f"11:{number + 10}", latency=3000)
        world.write_hours(lake, [f"{DAY}T11"])
        with dying_at(point), pytest.raises(DbtRunError, match="Killed"):
            run(lake, models(*ALERTS), f"{DAY}T11")
        run(lake, models(*ALERTS), f"{DAY}T11")
        assert unlike(read(lake, *ALERTS), world.streams()) == {}


class Killed(BaseException):
    """Stands for the process dying."""


@contextmanager
def dying_at(point: str) -> Iterator[None]:
    def die(at: str) -> None:
        if at == point:
            raise Killed

    commit.observe(die)
    try:
        yield
    finally:
        commit.observe(None)


def test_an_hour_replaces_no_more_than_the_hours_it_reaches(lake: Lake) -> None:
    world = StreamWorld()
    for hour in range(8, 16):
        world.view(f"{hour}:30", hour)
    world.write_hours(lake, world.hours)
    names = ("sessions", "pageviews_by_http_method_5m")
    run(lake, models(*names), world.hours[0], world.hours[-1])
    results = list(dbt.build(models(*names), HourRange.of(f"{DAY}T10"), lake, Settings()))
    replaced = {result.name: result.written.partitions for result in results if result.written}
    key = [f"{DAY}T{hour:02}" for hour in range(24)]
    assert replaced["sessions"] == tuple(key[9:14])
    assert replaced["pageviews_by_http_method_5m"] == tuple(key[9:12])
    assert unlike(read(lake, *names), world.streams()) == {}


def test_a_dbt_test_judges_the_hours_of_its_run(lake: Lake) -> None:
    world = StreamWorld(vip_users={f"{DAY}T000000Z": [{"id": 1}]})
    for hour in (8, 12):
        world.view(f"{hour}:30", 1)
    built(lake, world, "vip_pageviews")
    table = pin(lake.table("streams", "vip_pageviews"))
    assert table is not None
    write_deltalake(str(table.uri), table.table.to_pyarrow_table(), mode="append")
    [unique] = checks("vip_pageviews")
    run(lake, [unique], f"{DAY}T10")
    with pytest.raises(DbtRunError, match=r"vip_pageviews_has_one_row_per_pageview.*Got 1 result"):
        run(lake, [unique], f"{DAY}T12")


def test_a_long_range_is_run_in_pieces_which_are_told_as_one_run(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    world = StreamWorld()
    for hour in range(8, 16):
        world.view(f"{hour}:30", hour)
    world.write_hours(lake, world.hours)
    names = ("sessions", "pageviews_by_http_method_5m")
    whole = HourRange.of(world.hours[0], world.hours[-1])
    told = []
    for rows in (1_000, 3):
        monkeypatch.setattr(pieces, "PIECE_ROWS", rows)
        before = pin(lake.table("streams", "sessions"))
        results = list(dbt.build([*models(*names), *checks(*names)], whole, lake, Settings()))
        told.append([(r.unique_id, r.status, r.failures, r.written and r.written.partitions) for r in results])
        after = pin(lake.table("streams", "sessions"))
        assert after is not None
        assert after.version - (before.version if before else 0) == {1_000: 1, 3: 3}[rows]
        assert unlike(read(lake, *names), world.streams()) == {}
    assert sorted(told[0]) == sorted(told[1])


def test_a_range_in_pieces_ends_with_the_piece_in_which_a_test_fails(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = StreamWorld(vip_users={f"{DAY}T000000Z": [{"id": 1}]})
    for hour in (8, 9, 14, 15):
        world.view(f"{hour}:30", 1)
    world.pageviews.append(world.pageviews[0] | {"_sequence_number": 99})  # silver should not have let it through
    world.write_snapshots(lake)
    world.write_hours(lake, world.hours)
    monkeypatch.setattr(pieces, "PIECE_ROWS", 3)
    with pytest.raises(DbtRunError, match=r"vip_pageviews_has_one_row_per_pageview.*Got 1 result"):
        run(lake, [*models("vip_pageviews"), *checks("vip_pageviews")], world.hours[0], world.hours[-1])
    assert {row["_lake_hour"] for row in rows_of(lake, "vip_pageviews")} == {f"{DAY}T08", f"{DAY}T09"}


def test_a_lake_without_events_gives_empty_streams(lake: Lake) -> None:
    run(lake, models())
    assert read(lake) == {name: [] for name in STREAMS}


def test_events_that_are_in_no_stream_are_a_warning_with_their_number(lake: Lake) -> None:
    world = StreamWorld()
    for number, ahead in enumerate((301, 600, 1), 1):
        world.view(f"08:0{number}", shown=at(f"08:0{number}") + timedelta(seconds=ahead))
    world.write_hours(lake, world.hours)
    selected = [*models("events_in_time"), *checks("events_in_time")]
    hours = HourRange.of(world.hours[0], world.hours[-1])
    _, check = dbt.build(selected, hours, lake, Settings())
    assert (check.status, check.failures) == ("warn", 2)
    assert "Got 2 results" in check.message
