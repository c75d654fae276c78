"""A stream is accepted by figures: nothing lost, doubled or out of place, whatever happens on the way."""

import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from bench.stream_truth import MINUTE, first_copies, logged, micros, valid
from bench.verify_streams import HUBS, verify
from dagster_lake.contract.model import contracts
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, hour_of
from dagster_lake.live.finished import finished_hours
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.choice import open_sources
from dagster_lake.storage.manifest import read_manifest
from dagster_lake.storage.paths import Lake
from generators.dials import Dirt
from generators.events import hub_batches
from generators.world import World
from tests.azure.fake_event_hub import FakeEventHubs
from tests.live.processes import Clock, Stream, until

WORLD = World(seed=7, users=60, vip_users=5, products=10, pageviews_per_hour=2_000)
# Dials for 5% of what is sent: the originals of many copies are of earlier hours, which are not.
DIRT = Dirt(duplicates=0.15, late=0.07, malformed=0.0, invalid_values=0.0, unknown_fields=0.0, empty_client_ip=0.0)
HOURS = HourRange(WORLD.epoch + 11 * HOUR, WORLD.epoch + 12 * HOUR)
STEP = timedelta(minutes=10)
PARTITIONS = 4
Sent = tuple[datetime, str, bytes]


def arrivals(data_set: str) -> Iterator[Sent]:
    """The generated events of the hours, in order of arrival."""
    for hour in HOURS:
        for batch in hub_batches(WORLD, data_set, hour, DIRT):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


class Broker:
    """Sends the events that arrive in each step to the fake namespace, and knows how many each hour must hold."""

    def __init__(self, hubs: FakeEventHubs) -> None:
        self.hubs = hubs
        self.waiting = {name: list(arrivals(name)) for name in HUBS}
        self.sent: Counter[tuple[str, str]] = Counter()

    def send_until(self, end: datetime) -> None:
        """Enqueues what arrives until ``end``, each event at its own instant."""
        for name, events in self.waiting.items():
            due = [event for event in events if event[0] <= end]
            del events[: len(due)]
            by_partition = defaultdict(list)
            for at, key, body in due:
                by_partition[zlib.crc32(key.encode()) % PARTITIONS].append((at, key, body))
                self.sent[name, hour_key(hour_of(_milliseconds(at)))] += 1
            for partition, of_partition in by_partition.items():
                self.hubs.put(name, partition, *of_partition)


def _milliseconds(at: datetime) -> datetime:
    """As the service stamps it."""
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def test_a_live_run_killed_and_cut_off_from_its_broker_loses_doubles_and_misplaces_nothing(tmp_path: Path) -> None:
    now = Clock(HOURS.first)
    with FakeEventHubs(clock=lambda: micros(now()) // 1000, pageviews=PARTITIONS, stars=PARTITIONS) as hubs:
        environment = {
            "LAKE_ROOT": str(tmp_path / "lake"),
            "LAKE_EVENT_HUBS_CONNECTION": hubs.connection_string,
            "LAKE_PII_KEY": "a masking key that only tests use, 48 bytes long",
            "LAKE_PII_KEY_ID": "test-1",
        }
        settings = Settings(root=environment["LAKE_ROOT"], event_hubs_connection=hubs.connection_string)
        lake, broker = Lake.of(settings), Broker(hubs)

        def landed() -> bool:
            folders = {
                key: lake.raw_partition(key[0], key[1], sensitive=contracts()[key[0]].sensitive) for key in broker.sent
            }
            manifests = {key: read_manifest(folder) for key, folder in folders.items()}
            return all((found := manifests[key]) and found.rows == count for key, count in broker.sent.items())

        def go(end: datetime) -> None:
            broker.send_until(end)
            now.set(end + timedelta(seconds=15))

        def start() -> Stream:
            return Stream(environment, now, tmp_path / "said.txt")

        ends = iter([HOURS.first + n * STEP for n in range(1, 13)])
        for point in ("silver.pageviews:before", "raw.stars.files:after", "streams.sessions:before"):
            with start() as stream:
                go(next(ends))
                until(landed, stream)
                go(next(ends))
                stream.passes(point)
                stream.kill()
        with start() as stream:
            go(next(ends))
            until(landed, stream)
            with hubs.down():
                go(next(ends))
            until(landed, stream)
            for end in ends:
                go(end)
                until(landed, stream)
            now.set(HOURS.end + timedelta(minutes=1))
            until(lambda: set(finished_hours(lake).values()) == {HOURS.last}, stream)
            assert stream.stop() == 0, stream.said

        sources = open_sources(settings, lake)
        findings = verify(lake, sources, HOURS)
        sent = list(valid("pageviews", logged(sources.event_hub, "pageviews", HOURS.first, HOURS.end)))
    assert {name: verdict for name, verdict in findings.verdicts.items() if not verdict.is_exact} == {}
    assert all(verdict.rows for verdict in findings.verdicts.values())
    assert findings.events == sum(broker.sent.values())
    once = first_copies(sent)
    assert sum(event.arrived - event.time > MINUTE for event in once) >= 0.05 * len(once)
    assert len(sent) - len(once) >= 0.05 * len(sent)
