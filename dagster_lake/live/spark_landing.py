"""Events by Spark Structured Streaming: micro-batches from Event Hubs' Kafka endpoint land in raw.

What raw holds afterwards is what any other landing would have made of the same events, with the same manifest as its
commit point. A micro-batch that landed and that Spark does not know to be done comes again, and is found to be landed
by its events' numbers. Where the hub has forgotten events that had not landed, the checkpoint is forgotten too: the
query begins anew with what is left, and the hours are marked. From raw on, everything is as it is on Spark without
streaming.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from dagster_lake import clock
from dagster_lake.contract.model import Contract, EventHubSource
from dagster_lake.engines.spark.delta_jars import SPARK
from dagster_lake.lake_hour import HourRange, hour_of
from dagster_lake.landing.given_events import GivenEvents, land_events, note_forgotten
from dagster_lake.landing.result import LandingError
from dagster_lake.live.checkpoints import checkpoint_of, forget_checkpoint
from dagster_lake.live.landing import LiveLanding, Pass
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.event_hub.protocol import EVENT_SCHEMA, EventHub, EventHubError
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.paths import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming import StreamingQuery

CONNECTOR = f"org.apache.spark:spark-sql-kafka-0-10_2.13:{SPARK}"
KAFKA_PORT = 9093
SETTLED = timedelta(seconds=10)
"""An event can be read this long after it was enqueued, by our clock."""
MOST_EVENTS = 500_000
"""Events of one micro-batch; they pass through the driver."""

# As Spark's Kafka source has them: an event's offset there is its sequence number, its timestamp the enqueued time.
_COLUMNS = (
    "CAST(partition AS STRING) AS partition",
    "offset AS sequence_number",
    "timestamp AS enqueued_time",
    "CAST(key AS STRING) AS partition_key",
    "value AS body",
)
_LOST = "Some data may have been lost because they are not available in Kafka any more"
"""How Spark's Kafka source begins each error about offsets that the broker no longer has (KAFKA_DATA_LOSS)."""
Reader = Callable[["SparkSession", Contract, datetime], "DataFrame"]
"""The events of a data set as a stream with the columns of Spark's Kafka source, from an instant on."""


def read_event_hubs(settings: Settings) -> Reader:
    """Reads the hubs of the namespace that the settings name.

    It raises LandingError when they name none, or when Spark has no Kafka connector.
    """

    def read(spark: "SparkSession", contract: Contract, since: datetime) -> "DataFrame":
        from pyspark.errors import AnalysisException

        assert isinstance(contract.source, EventHubSource)
        if contract.source.capture is not None:
            raise LandingError(
                f"{contract.file}: its events are read from what Capture wrote (customProperties.source.capture), "
                "which lake stream on Spark does not; leave it to Dagster's runs, or take capture out"
            )
        options = kafka_options(settings, contract.source.hub, since)
        try:
            return spark.readStream.format("kafka").options(**options).load()
        except AnalysisException as error:
            raise LandingError(
                f"{contract.name}: Spark cannot read Kafka ({error.getCondition()}); put {CONNECTOR} and the jars "
                "that it names into the folder of LAKE_SPARK_JARS, beside Delta's"
            ) from None

    return read


def kafka_options(settings: Settings, hub: str, since: datetime) -> dict[str, str]:
    """The options of Spark's Kafka source for one event hub.

    Raises LandingError without a connection string: Kafka's client cannot use the identities that AMQP can.
    """
    if settings.event_hubs_connection is None:
        raise LandingError(
            "on Spark, lake stream reads Event Hubs through their Kafka endpoint, which needs the namespace's "
            "connection string; set LAKE_EVENT_HUBS_CONNECTION, or use LAKE_ENGINE=duckdb for the embedded event hub"
        )
    connection = settings.event_hubs_connection.get_secret_value()
    parts = dict(part.split("=", 1) for part in connection.split(";") if "=" in part)
    host = parts["Endpoint"].removeprefix("sb://").split("/")[0].split(":")[0]
    secret = connection.replace("\\", "\\\\").replace('"', '\\"')
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    return {
        "kafka.bootstrap.servers": f"{host}:{KAFKA_PORT}",
        "kafka.security.protocol": "SASL_SSL",
        "kafka.sasl.mechanism": "PLAIN",
        "kafka.sasl.jaas.config": f'{module} required username="$ConnectionString" password="{secret}";',
        "kafka.request.timeout.ms": "60000",
        "subscribe": hub,
        "startingTimestamp": str((since - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)),
        "startingOffsetsByTimestampStrategy": "latest",
        "maxOffsetsPerTrigger": str(MOST_EVENTS),
        "failOnDataLoss": "true",
    }


class EventsLost(LandingError):
    """The hub no longer has what a query was to read next."""


class SparkLanding:
    """Lands the events of some data sets by streaming queries, one each; ``hub`` is what they come from.

    With ``every`` (seconds) they run on, a micro-batch at a time, until ``close``; without it, each ``land`` takes all
    that is there and ends them. Their checkpoints are kept in the lake.
    """

    def __init__(
        self,
        lake: Lake,
        contracts: Iterable[Contract],
        spark: "SparkSession",
        read: Reader,
        every: float | None,
        hub: EventHub,
    ) -> None:
        self.lake, self.spark, self.read, self.every, self.hub = lake, spark, read, every, hub
        # What the queries have landed need not be read again: all that is left to say of a hub is how far they are.
        self._settled: dict[str, datetime] = {}
        no_more = GivenEvents(EVENT_SCHEMA.empty_table(), self._settled)
        self._live = LiveLanding(lake, contracts, Sources(no_more))
        self._queries: dict[str, StreamingQuery] = {}

    @property
    def first(self) -> dict[str, datetime]:
        """The first hour that is not finished, by data set."""
        return self._live.first

    def land(self) -> Pass:
        """What has landed since the last time; closes the hours of which everything is there.

        A query that has failed is started anew by the next call, and at once when its events have expired in the hub;
        the others go on.
        """
        failures = {}
        for name, contract in self._live.contracts.items():
            assert isinstance(contract.source, EventHubSource)
            try:
                looked = self._passing_over_lost_events(name, contract)
            except LandingError as error:
                failures[name] = str(error)
                self._queries.pop(name, None)
                continue
            if looked is not None:
                self._settled[contract.source.hub] = looked - SETTLED
        found = self._live.land()
        found.failures = {**found.failures, **failures}
        return found

    def close(self) -> None:
        """Ends the queries when they have landed what they are at."""
        for query in self._queries.values():
            query.stop()

    def _passing_over_lost_events(self, name: str, contract: Contract) -> datetime | None:
        try:
            return self._look_after(name, contract)
        except EventsLost:
            self._queries.pop(name, None)
            forget_checkpoint(self.lake, name)
            return self._look_after(name, contract)

    def _look_after(self, name: str, contract: Contract) -> datetime | None:
        """When the data set's query last looked for events and landed all it found; None while it is behind."""
        if self.every is None:
            began = clock.utc_now()
            with _failure_told(name):
                self._start(contract, availableNow=True).awaitTermination()
            return began
        if name not in self._queries:
            self._queries[name] = self._start(contract, processingTime=f"{self.every} seconds")
        query = self._queries[name]
        if (error := query.exception()) is not None:
            with _failure_told(name):
                raise error
        progress = query.lastProgress
        if progress is None or any(source["endOffset"] != source["latestOffset"] for source in progress["sources"]):
            return None
        return datetime.fromisoformat(progress["timestamp"])

    def _start(self, contract: Contract, **trigger: Any) -> "StreamingQuery":
        begun = False

        def land(batch: "DataFrame", batch_id: int) -> None:
            nonlocal begun
            if not begun:  # now it is settled where the query begins; of what is lost from there on, Spark tells
                self._note_forgotten(contract)
                begun = True
            land_events(contract, self.lake, batch.toArrow().cast(EVENT_SCHEMA))

        self._note_forgotten(contract)  # there may be nothing left to land
        found = self.read(self.spark, contract, self.first[contract.name]).selectExpr(*_COLUMNS)
        return (
            found.writeStream.foreachBatch(land)
            .option("checkpointLocation", str(checkpoint_of(self.lake, contract.name)))
            .trigger(**trigger)
            .queryName(f"lake stream {contract.name}")
            .start()
        )

    def _note_forgotten(self, contract: Contract) -> None:
        assert isinstance(contract.source, EventHubSource)
        first = self.first[contract.name]
        try:
            held_since = self.hub.held_since(contract.source.hub)
        except EventHubError as error:
            raise LandingError(f"{contract.name}: {error}") from None
        if held_since is not None and held_since > first:
            note_forgotten(contract, self.lake, HourRange(first, hour_of(clock.utc_now())), held_since)


@contextmanager
def _failure_told(name: str) -> Iterator[None]:
    from pyspark.errors import StreamingQueryException

    try:
        yield
    except StreamingQueryException as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        # The last line of a Python traceback is what our own code said.
        said = next((line for line in lines if line.startswith("dagster_lake.")), lines[0])
        if _LOST in str(error).partition("=== Streaming Query ===")[0]:
            raise EventsLost(f"{name}: events expired in the hub before its query read them: {said}") from error
        raise LandingError(
            f"{name}: its streaming query has failed: {said}. It is started anew until "
            "the cause is mended; nothing is lost"
        ) from error
