"""Events by Structured Streaming are the same tables; files with Kafka's columns stand for the broker.

What this does not prove: that Event Hubs' Kafka endpoint numbers and stamps events as AMQP does, SASL, and how the
connector behaves when the broker is away.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr

from dagster_lake import clock, commit
from dagster_lake.contract.model import Contract, contracts
from dagster_lake.engines.spark.engine import SparkEngine
from dagster_lake.engines.spark.session import spark_session
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, hour_of
from dagster_lake.landing.land import manifests
from dagster_lake.landing.result import LandingError
from dagster_lake.live import tables
from dagster_lake.live.checkpoints import checkpoint_of
from dagster_lake.live.spark_landing import SparkLanding, kafka_options, read_event_hubs
from dagster_lake.live.tables import LiveTables
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.manifest import landed_files
from tests.lake.lakes import differences
from tests.live.event_worlds import START, Event, EventWorld

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FIRST = hour_of(START)
EVENTS = {name: contracts()[name] for name in ("pageviews", "stars")}
COMPARED = ("high_latency_alerts", "pageviews_stars_correlation")
KAFKA = "key BINARY, value BINARY, partition INT, offset BIGINT, timestamp TIMESTAMP"
MINUTE = 60_000
_LOST = -1
_SAID_OF_LOST = "Some data may have been lost because they are not available in Kafka any more; it was aged out"
STORY = [
    Event(f"e{n % 17}", n * 20_000, 1_000 + 65_000 * (n % 5 == 0), n % 3, 1_900 + n * 40, stars)
    for n in range(30)
    for stars in (None, 1 + n % 5)
]


@pytest.fixture(scope="module")
def spark() -> "SparkSession":
    return spark_session(Settings(threads=2, spark_memory="1g"))


class Killed(Exception):
    """What stands for the end of the process: Spark waits for ever for a callback that ends otherwise."""


class SparkWorld:
    """A lake whose events come as files in ``topics``, as Kafka would deliver them; the hub holds the same events."""

    def __init__(self, folder: Path, spark: "SparkSession") -> None:
        self.world, self.spark, self.topics = EventWorld(folder), spark, folder / "topics"
        self.delivered = 0

    def deliver(self, events: list[Event]) -> None:
        """Enqueues events, and lets Kafka deliver them as one file a topic."""
        known = {name: self._numbers(name) for name in EVENTS}
        self.world.send(events)
        for name in EVENTS:
            batches = self.world.hub.read(name, START - 99 * HOUR, START + 99 * HOUR)
            rows = [row for batch in batches for row in batch.to_pylist()]
            self._write(name, [row for row in rows if row["sequence_number"] > known[name].get(row["partition"], -1)])

    def landing(self, every: float | None = None) -> SparkLanding:
        """A process that lands."""
        world = self.world
        return SparkLanding(world.lake, EVENTS.values(), self.spark, self._read, every, world.hub)

    def expire(self, name: str, until: datetime) -> None:
        """The hub forgets events up to an instant, and the topic the files that hold nothing later.

        Who was to read such a file next fails as with Kafka, ``failOnDataLoss`` being set.
        """
        self.world.hub.expire(name, until)
        for place in sorted((self.topics / name).glob("*.parquet")):
            rows = pq.read_table(place)
            if pc.max(rows["timestamp"]).as_py() <= until:
                pq.write_table(rows.slice(0, 1).set_column(2, "partition", pa.array([_LOST], pa.int32())), place)

    def raw(self, name: str) -> list[dict[str, Any]]:
        """Every event in raw of a data set, in order."""
        lake, rows = self.world.lake, []
        for entry in sorted(lake.raw(name, sensitive=EVENTS[name].sensitive).iterdir()):
            (manifest,) = manifests(lake, EVENTS[name], [entry.name])
            for _, _, file in landed_files(entry, manifest):
                rows += [{**row, "hour": entry.name} for row in pq.read_table(str(file)).to_pylist()]
        return sorted(rows, key=lambda row: (row["partition"], row["sequence_number"]))

    def _numbers(self, name: str) -> dict[str, int]:
        newest = self.world.hub.newest(name) if self.delivered else {}
        return {partition: position.sequence_number for partition, position in newest.items()}

    def _write(self, name: str, rows: list[dict[str, Any]]) -> None:
        self.delivered += 1
        (self.topics / name).mkdir(parents=True, exist_ok=True)
        table = pa.table(
            {
                "key": pa.array([row["partition_key"].encode() for row in rows], pa.binary()),
                "value": pa.array([row["body"] for row in rows], pa.binary()),
                "partition": pa.array([int(row["partition"]) for row in rows], pa.int32()),
                "offset": pa.array([row["sequence_number"] for row in rows], pa.int64()),
                "timestamp": pa.array([row["enqueued_time"] for row in rows], pa.timestamp("us", "UTC")),
            }
        )
        place = self.topics / name / f"{self.delivered:04d}.parquet"
        pq.write_table(table, place.with_suffix(".tmp"))
        os.replace(place.with_suffix(".tmp"), place)

    def _read(self, spark: "SparkSession", contract: Contract, since: datetime) -> "DataFrame":
        from pyspark.sql.functions import expr

        reader = spark.readStream.schema(KAFKA).option("maxFilesPerTrigger", "1").option("pathGlobFilter", "*.parquet")
        if not checkpoint_of(self.world.lake, contract.name).exists():  # begins with what the broker still has
            for place in (self.topics / contract.name).glob("*.parquet"):
                if pq.read_table(place)["partition"].to_pylist() == [_LOST]:
                    place.unlink()
        refused = f"if(partition = {_LOST}, raise_error('{_SAID_OF_LOST}'), offset)"
        found = reader.parquet(str(self.topics / contract.name))
        return found.withColumn("offset", expr(refused).cast("bigint"))


@pytest.fixture
def world(tmp_path: Path, spark: "SparkSession", monkeypatch: pytest.MonkeyPatch) -> Iterator[SparkWorld]:
    made = SparkWorld(tmp_path, spark)
    monkeypatch.setattr(clock, "utc_now", lambda: made.world.now)
    yield made
    commit.observe(None)


@pytest.fixture(scope="module")
def landed_by_copy(tmp_path_factory: pytest.TempPathFactory) -> SparkWorld:
    """The same events, landed from the hub and computed by DuckDB."""
    made = SparkWorld(tmp_path_factory.mktemp("copy"), None)  # type: ignore[arg-type]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "utc_now", lambda: made.world.now)
        made.world.send(STORY)
        made.world.now += timedelta(minutes=1)
        made.world.land(hour_key(FIRST - HOUR), *HourRange(FIRST, hour_of(made.world.now)).keys)
        made.world.silver()
        made.world.streams(hour_key(FIRST), hour_key(hour_of(made.world.now)))
    return made


def test_micro_batches_land_what_a_landing_from_the_hub_lands(world: SparkWorld, landed_by_copy: SparkWorld) -> None:
    landing = world.landing()
    for start in range(0, len(STORY), 20):
        world.deliver(STORY[start : start + 20])
        if start:  # two files are there at first: two micro-batches in one go
            landing.land()
    world.world.now += timedelta(minutes=1)
    landing.land()
    closed = manifests(world.world.lake, EVENTS["pageviews"], [hour_key(FIRST), hour_key(FIRST + HOUR)])
    assert [manifest.complete for manifest in closed] == [True, False]
    for name in EVENTS:
        assert world.raw(name) == landed_by_copy.raw(name)


def test_a_query_that_dies_at_any_commit_lands_everything_once_when_it_is_started_again(
    world: SparkWorld, landed_by_copy: SparkWorld
) -> None:
    world.deliver(STORY)
    for point in ("raw.pageviews.files:after", "raw.pageviews:before", "raw.pageviews:after"):
        commit.observe(_dying_at(point))
        found = world.landing().land()
        assert "pageviews: its streaming query has failed" in found.failures["pageviews"]
        assert "stars" not in found.failures, "one query's trouble is its own"
    world.landing().land()
    assert world.raw("pageviews") == landed_by_copy.raw("pageviews")
    shutil.rmtree(Path(str(world.world.lake.root)) / "live" / "checkpoints")
    world.landing().land()
    assert world.raw("pageviews") == landed_by_copy.raw("pageviews"), "Spark has forgotten what it did; raw has not"


def test_a_query_that_runs_on_lands_what_comes_until_it_is_closed(world: SparkWorld) -> None:
    world.deliver(STORY[:20])
    landing = world.landing(every=0.1)
    landing.land()
    try:
        _until(lambda: len(world.raw("pageviews")) == 10, landing)
        world.deliver(STORY[20:])
        _until(lambda: len(world.raw("pageviews")) == 30, landing)
    finally:
        landing.close()
    world.world.now += timedelta(hours=1)
    world.deliver([Event("after the end", 20 * MINUTE)])
    assert len(world.raw("pageviews")) == 30


def test_hours_of_which_events_expired_before_a_query_read_them_are_marked_and_told_once_and_the_present_goes_on(
    world: SparkWorld,
) -> None:
    hub, hours = world.world, HourRange(FIRST - HOUR, FIRST + 2 * HOUR).keys
    world.deliver([Event("a", 1_000), Event("b", 2_000, stars=1)])
    landing = world.landing()
    landing.land()
    world.deliver([Event("lost", 10 * MINUTE), Event("rated", 10 * MINUTE, stars=2)])
    hub.now += 1.5 * HOUR
    world.deliver([Event("left", 121 * MINUTE), Event("rated again", 121 * MINUTE, stars=3)])
    world.expire("pageviews", START + timedelta(minutes=11))
    found = landing.land()
    assert [row["hour"] for row in world.raw("pageviews")] == [hour_key(FIRST), hour_key(FIRST + 2 * HOUR)]
    assert len(world.raw("stars")) == 3, "another data set's trouble is its own"
    assert list(found.failures) == ["pageviews"]
    assert "no longer has what was enqueued until 2026-01-05T13:00" in found.failures["pageviews"]
    assert found.expired == {"pageviews"}
    marked = [(m.partition, m.complete, m.is_over) for m in manifests(hub.lake, EVENTS["pageviews"], hours)]
    whole, lost, still_open = (True, True), (False, True), (False, False)
    assert [(*of,) for _, *of in marked] == [whole, lost, lost, still_open]
    assert landing.land().failures == {}, "it is told once"
    world.deliver([Event("later", 122 * MINUTE)])
    assert (landing.land().failures, len(world.raw("pageviews"))) == ({}, 3)


def test_bronze_silver_and_the_streams_are_those_of_duckdb(
    world: SparkWorld, landed_by_copy: SparkWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two of the nine, for time: tests/engines/test_streams.py holds every model against DuckDB's.
    monkeypatch.setattr(tables, "stream_models", lambda: [f"model.dagster_lake.{name}" for name in COMPARED])
    world.deliver(STORY)
    world.world.now += timedelta(minutes=1)
    found = world.landing().land()
    lake, settings = world.world.lake, world.world.settings.model_copy(update={"engine": "spark"})
    engine = SparkEngine(lake, contracts(), settings, spark=world.spark)
    live = LiveTables(lake, settings, engine, EVENTS, [], "test", lambda: False, print)
    live.make(found.hours, {})
    here, there = (of.world.content() for of in (world, landed_by_copy))
    assert differences({name: here[name] for name in COMPARED}, {name: there[name] for name in COMPARED}) == ""
    assert all(here[name] for name in COMPARED)


def test_kafkas_options_come_from_the_connection_string_alone() -> None:
    secret = 'Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=lake;SharedAccessKey=a=b"c'
    options = kafka_options(Settings(event_hubs_connection=SecretStr(secret)), "pageviews", FIRST)
    assert options["kafka.bootstrap.servers"] == "shop.servicebus.windows.net:9093"
    assert options["subscribe"] == "pageviews"
    assert options["startingTimestamp"] == str(int(FIRST.timestamp()) * 1000)
    assert options["kafka.sasl.jaas.config"].endswith('password="' + secret.replace('"', '\\"') + '";')
    with pytest.raises(LandingError, match="LAKE_EVENT_HUBS_CONNECTION"):
        kafka_options(Settings(), "pageviews", FIRST)


def test_a_spark_without_the_kafka_connector_is_told_which_jar_is_missing(spark: "SparkSession") -> None:
    settings = Settings(
        event_hubs_connection=SecretStr("Endpoint=sb://x.example.net/;SharedAccessKeyName=n;SharedAccessKey=hidden")
    )
    with pytest.raises(LandingError, match=r"put org.apache.spark:spark-sql-kafka-0-10_2.13:4.2") as told:
        read_event_hubs(settings)(spark, EVENTS["pageviews"], FIRST)
    assert "hidden" not in str(told.value)


def _dying_at(point: str) -> Callable[[str], None]:
    def observer(passed: str) -> None:
        if passed == point:
            commit.observe(None)
            raise Killed(f"killed at {point}")

    return observer


def _until(holds: Callable[[], bool], landing: SparkLanding) -> None:
    started = time.monotonic()
    while not holds():
        landing.land()
        assert time.monotonic() - started < 60
