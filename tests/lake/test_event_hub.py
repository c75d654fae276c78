"""The embedded event hub keeps every event, in order, for as long as it says."""

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dagster_lake import clock
from dagster_lake.sources.event_hub import embedded as embedded_event_hub
from dagster_lake.sources.event_hub import segments as event_segments
from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
from dagster_lake.sources.event_hub.protocol import EVENT_SCHEMA, EventHubError, Position

from .crashing import dying_at, points_of

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
ALWAYS = (NOON - timedelta(days=999), NOON + timedelta(days=999))


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def events(*dated: tuple[float, str | None, str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [
            pa.array([at(seconds) for seconds, _, _ in dated], pa.timestamp("us", "UTC")),
            pa.array([key for _, key, _ in dated], pa.string()),
            pa.array([body.encode() for _, _, body in dated], pa.binary()),
        ],
        names=["enqueued_time", "partition_key", "body"],
    )


def rows(batches: Iterator[pa.RecordBatch]) -> list[dict]:
    return pa.Table.from_batches(batches, EVENT_SCHEMA).to_pylist()


def bodies(hub: EmbeddedEventHub, start: datetime = ALWAYS[0], end: datetime = ALWAYS[1]) -> list[str]:
    return sorted(row["body"].decode() for row in rows(hub.read("clicks", start, end)))


@pytest.fixture
def hub(tmp_path: Path) -> EmbeddedEventHub:
    return EmbeddedEventHub(tmp_path / "event_hub")


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_segments, "SEGMENT_ROWS", 8)
    monkeypatch.setattr(event_segments, "ROW_GROUP_ROWS", 3)


def test_the_end_of_a_range_belongs_to_it_and_the_start_does_not(hub: EmbeddedEventHub) -> None:
    hub.append("clicks", "1", [events((0, "a", "noon"), (1, "a", "later"), (3600, "a", "one"), (3601, "a", "past"))])
    assert bodies(hub, NOON, at(3600)) == ["later", "one"]


def test_an_event_keeps_its_bytes_its_time_to_the_microsecond_and_its_key(hub: EmbeddedEventHub) -> None:
    hub.append("clicks", "1", [events((0.000001, None, ""), (1, "ž\0", "{not json"))])
    found = rows(hub.read("clicks", *ALWAYS))
    assert {(r["enqueued_time"], r["partition_key"], r["body"]) for r in found} == {
        (at(0.000001), None, b""),
        (at(1), "ž\0", b"{not json"),
    }


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    appended=st.lists(
        st.lists(st.tuples(st.integers(0, 30), st.sampled_from(["a", "b", "c", None])), max_size=25), max_size=4
    ),
    split=st.integers(1, 7),
    bounds=st.tuples(st.integers(-1, 31), st.integers(-1, 31)),
)
def test_any_range_gives_exactly_its_events_in_sequence_order(
    tmp_path_factory: pytest.TempPathFactory, small_segments: None, appended: list, split: int, bounds: tuple
) -> None:
    hub = EmbeddedEventHub(tmp_path_factory.mktemp("hub"))
    expected = []
    hub.append("clicks", "none", [])
    for number, batch in enumerate(appended):
        dated = [(seconds, key, f"{number}/{i}") for i, (seconds, key) in enumerate(sorted(batch, key=lambda e: e[0]))]
        hub.append("clicks", str(number), [events(*dated[i : i + split]) for i in range(0, len(dated), split)])
        expected += [body for seconds, _, body in dated if bounds[0] < seconds <= bounds[1]]
    found = rows(hub.read("clicks", at(bounds[0]), at(bounds[1])))
    assert sorted(row["body"].decode() for row in found) == sorted(expected)
    whole = rows(hub.read("clicks", *ALWAYS))
    for partition in {row["partition"] for row in whole}:
        numbers = [row["sequence_number"] for row in whole if row["partition"] == partition]
        assert numbers == list(range(len(numbers)))
    by_place = {(row["partition"], row["sequence_number"]): row for row in whole}
    assert [by_place[row["partition"], row["sequence_number"]] for row in found] == found


def test_a_key_stays_in_one_partition_in_order(hub: EmbeddedEventHub) -> None:
    hub.append("clicks", "1", [events(*((i, str(i % 10), str(i)) for i in range(100)))])
    found = rows(hub.read("clicks", *ALWAYS))
    assert len({row["partition"] for row in found}) > 1
    for key in map(str, range(10)):
        of_key = [row for row in found if row["partition_key"] == key]
        assert len({row["partition"] for row in of_key}) == 1
        assert [int(row["body"]) for row in of_key] == list(range(int(key), 100, 10))


def test_the_same_batch_again_changes_nothing(hub: EmbeddedEventHub) -> None:
    assert hub.append("clicks", "h12", [events((1, "a", "x"))]) == 1
    assert hub.append("clicks", "h12", [events((1, "a", "x"))]) == 0
    assert hub.append("stars", "h12", [events((1, "a", "x"))]) == 1
    assert bodies(hub) == ["x"]


def test_an_earlier_hour_may_be_appended_after_a_later_one(hub: EmbeddedEventHub) -> None:
    hub.append("clicks", "h13", [events((3601, "a", "late"))])
    hub.append("clicks", "h12", [events((1, "a", "early"))])
    assert bodies(hub, NOON, at(3600)) == ["early"]
    (row,) = rows(hub.read("clicks", NOON, at(3600)))
    assert row["sequence_number"] == 1
    assert hub.newest("clicks") == {row["partition"]: Position(1, at(3601))}


def test_time_running_backwards_in_a_partition_is_refused_and_nothing_is_kept(hub: EmbeddedEventHub) -> None:
    hub.append("clicks", "0", [])
    with pytest.raises(EventHubError, match=r"clicks, partition \d: .*12:00:01.* follows one .*12:00:02.*; order the"):
        hub.append("clicks", "1", [events((2, "a", "x")), events((1, "a", "y"))])
    assert bodies(hub) == []
    assert hub.append("clicks", "1", [events((1, "a", "y"), (2, "a", "x"))]) == 2


def test_events_without_what_an_event_needs_are_refused(hub: EmbeddedEventHub) -> None:
    with pytest.raises(EventHubError, match="clicks: the events lack body"):
        hub.append("clicks", "1", [events((1, "a", "x")).drop_columns(["body"])])
    without_body = events((1, "a", "x")).set_column(2, "body", pa.nulls(1, pa.binary()))
    with pytest.raises(EventHubError, match="body is null"):
        hub.append("clicks", "1", [without_body])


def test_an_unknown_hub_is_an_error_that_names_the_known_ones(hub: EmbeddedEventHub) -> None:
    hub.append("stars", "1", [])
    with pytest.raises(EventHubError, match=r"'clicks' does not exist .* it has stars\. Generate"):
        list(hub.read("clicks", *ALWAYS))
    with pytest.raises(EventHubError, match="cannot name a hub"):
        hub.append("../clicks", "1", [])


def test_sent_events_are_enqueued_now(hub: EmbeddedEventHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "utc_now", lambda: at(5))
    assert hub.send("clicks", [events((1, "a", "x"), (2, "b", "y")).select(["partition_key", "body"])]) == 2
    monkeypatch.setattr(clock, "utc_now", lambda: at(6))
    hub.send("clicks", [events((1, "a", "z")).select(["partition_key", "body"])])
    assert bodies(hub, at(4), at(5)) == ["x", "y"]
    assert bodies(hub, at(5), at(6)) == ["z"]


def test_expired_events_are_gone_and_their_files_with_the_last_of_them(
    hub: EmbeddedEventHub, small_segments: None
) -> None:
    hub.append("clicks", "1", (events((i, "a", str(i))) for i in range(20)))
    assert hub.held_since("clicks") is None
    files = set(hub.folder.rglob("*.parquet"))
    hub.expire("clicks", at(10))
    assert hub.held_since("clicks") == at(10)
    assert [row["sequence_number"] for row in rows(hub.read("clicks", *ALWAYS))] == list(range(11, 20))
    assert 0 < len(set(hub.folder.rglob("*.parquet"))) < len(files)
    hub.expire("clicks", at(3))
    assert hub.held_since("clicks") == at(10)
    assert bodies(hub, at(2), at(5)) == []
    hub.expire("clicks", at(99))
    assert not set(hub.folder.rglob("*.parquet"))
    hub.append("clicks", "2", [events((100, "a", "new"))])
    assert [row["sequence_number"] for row in rows(hub.read("clicks", *ALWAYS))] == [20]


def test_a_death_at_any_commit_then_the_same_batch_gives_each_event_once(tmp_path: Path, small_segments: None) -> None:
    def append(hub: EmbeddedEventHub) -> int:
        return hub.append("clicks", "h12", [events(*((i, str(i), str(i)) for i in range(20)))])

    points = points_of(lambda: append(EmbeddedEventHub(tmp_path / "whole")))
    assert points == [
        "event_hub.clicks.begin:before",
        "event_hub.clicks.begin:after",
        "event_hub.clicks:before",
        "event_hub.clicks:after",
    ]
    for number, point in enumerate(points):
        hub = EmbeddedEventHub(tmp_path / str(number))
        with dying_at(point):
            append(hub)
        append(hub)
        assert rows(hub.read("clicks", *ALWAYS)) == rows(EmbeddedEventHub(tmp_path / "whole").read("clicks", *ALWAYS))
        indexed = {hub.folder / file for file in files_in_index(hub)}
        assert set(hub.folder.rglob("*.parquet")) == indexed, "what the crash left is gone"


def test_a_failing_generator_leaves_nothing_visible(hub: EmbeddedEventHub) -> None:
    def failing() -> Iterator[pa.RecordBatch]:
        yield events((1, "a", "x"))
        raise OSError("disk full")

    hub.append("clicks", "0", [])
    with pytest.raises(OSError, match="disk full"):
        hub.append("clicks", "1", failing())
    assert bodies(hub) == []


def test_a_death_while_events_expire_is_made_good_by_expiring_again(hub: EmbeddedEventHub) -> None:
    for point in ("event_hub.clicks.expire:before", "event_hub.clicks.expire:after"):
        hub.append("clicks", point, [events((1, "a", "x")), events((9, "a", "y"))])
        with dying_at(point):
            hub.expire("clicks", at(5))
        hub.expire("clicks", at(5))
    assert bodies(hub) == ["y", "y"]


def test_threads_that_append_at_once_lose_and_double_nothing(hub: EmbeddedEventHub) -> None:
    def append(number: int) -> int:
        # Every batch is appended by two threads; one of them does it.
        return hub.append("clicks", str(number // 2), [events((1, "a", f"{number // 2}"))])

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(append, range(20))) == 10
    found = rows(hub.read("clicks", *ALWAYS))
    assert sorted(row["sequence_number"] for row in found) == list(range(10))
    assert bodies(hub) == [str(i) for i in range(10)]


def _append_in_another_process(folder: str, number: int) -> None:
    hub = EmbeddedEventHub(Path(folder))
    for i in range(5):
        hub.append("clicks", f"{number}/{i}", [events((i, "a", f"{number}/{i}"))])


def test_processes_that_append_at_once_lose_and_double_nothing(hub: EmbeddedEventHub) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=_append_in_another_process, args=(str(hub.folder), n)) for n in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert sorted(row["sequence_number"] for row in rows(hub.read("clicks", *ALWAYS))) == list(range(10))


def files_in_index(hub: EmbeddedEventHub) -> list[str]:
    with hub._connect() as connection:
        return [file for (file,) in connection.execute("SELECT file FROM segments")]


# --- reading on -------------------------------------------------------------------------------------------------------


@given(
    batches=st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=12), min_size=1, max_size=8),
    until=st.integers(0, 12),
)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_reader_that_says_what_it_has_is_given_all_the_rest(
    tmp_path_factory: pytest.TempPathFactory, small_segments: None, batches: list[list[str]], until: int
) -> None:
    hub = EmbeddedEventHub(tmp_path_factory.mktemp("hub"))
    for number, keys in enumerate(batches):
        hub.append("clicks", str(number), [events(*((number, key, key) for key in keys))])
    everything = rows(hub.read("clicks", *ALWAYS))
    known = [row for row in everything if row["sequence_number"] < until]
    after = {row["partition"]: row["sequence_number"] for row in known}
    positions = {row["partition"]: Position(row["sequence_number"], row["enqueued_time"]) for row in known}
    found = rows(hub.read("clicks", *ALWAYS, positions))
    beyond = [row for row in found if row["sequence_number"] > after.get(row["partition"], -1)]
    assert beyond == [row for row in everything if row["sequence_number"] > after.get(row["partition"], -1)]
    assert all(row in everything for row in found)


def test_a_reader_that_says_what_it_has_opens_no_segment_of_it(
    hub: EmbeddedEventHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        hub.append("clicks", str(number), [events((number, "a", str(number)))])
    (partition,) = hub.newest("clicks")
    opened: list[int] = []
    read_segment = embedded_event_hub.read_segment

    def counting(root: Path, partition: int, base_sequence: int, *rest: Any) -> Iterator[pa.RecordBatch]:
        opened.append(base_sequence)
        return read_segment(root, partition, base_sequence, *rest)

    monkeypatch.setattr(embedded_event_hub, "read_segment", counting)
    known = {partition: Position(47, at(47))}
    assert [row["body"] for row in rows(hub.read("clicks", *ALWAYS, known))] == [b"48", b"49"]
    assert opened == [48, 49]


def test_what_is_settled_can_be_read_and_no_event_is_stamped_so_any_more(
    hub: EmbeddedEventHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "utc_now", lambda: NOON)
    sent = events((0, "a", "x")).select(["partition_key", "body"])
    hub.send("clicks", [sent])
    settled = hub.settled_until("clicks")
    assert rows(hub.read("clicks", ALWAYS[0], settled)) == []
    hub.send("clicks", [sent])  # in the same millisecond
    assert all(row["enqueued_time"] > settled for row in rows(hub.read("clicks", *ALWAYS)))
