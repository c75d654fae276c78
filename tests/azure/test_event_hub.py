"""Azure Event Hubs, by the real client over a socket: what is sent is read, exactly, whatever happens on the way."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import ClientAuthenticationError
from azure.eventhub import EventData, EventHubConsumerClient, EventHubProducerClient
from azure.eventhub.amqp import AmqpAnnotatedMessage
from pydantic import SecretStr
from upath import UPath

from dagster_lake import clock
from dagster_lake.contract.model import contracts
from dagster_lake.lake_hour import HourRange
from dagster_lake.landing.land import land_hours, manifests
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.choice import open_event_hub
from dagster_lake.sources.event_hub import batches as event_batch
from dagster_lake.sources.event_hub.azure import SETTLED, AzureEventHub
from dagster_lake.sources.event_hub.azure_connection import AT_ONCE, HubConnection, Patience
from dagster_lake.sources.event_hub.azure_reader import SLOTS
from dagster_lake.sources.event_hub.captured import CapturedEventHub
from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
from dagster_lake.sources.event_hub.protocol import EVENT_SCHEMA, EventHub, EventHubError, Position, SendInterrupted
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.manifest import landed_files
from dagster_lake.storage.paths import Lake

from .captured import Captured, capture
from .fake_event_hub import KEY, FakeEventHubs

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
ALWAYS = (NOON - timedelta(days=999), NOON + timedelta(days=99_999))
QUICK = Patience(attempts=4, first_pause=0.01, longest_pause=0.02, silence=30)


def at(milliseconds: int) -> datetime:
    return NOON + timedelta(milliseconds=milliseconds)


@pytest.fixture(autouse=True)
def quick_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client looks for an answer 20 times a second; over a local socket it is there sooner."""
    import azure.eventhub._client_base
    import azure.eventhub._pyamqp.client
    import azure.eventhub.aio._client_base_async
    import azure.eventhub.aio._transport._pyamqp_transport_async

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(min(seconds, 0.002))

    quick = SimpleNamespace(time=time.time, sleep=lambda seconds: time.sleep(min(seconds, 0.002)))
    monkeypatch.setattr(azure.eventhub._client_base, "time", quick)
    monkeypatch.setattr(azure.eventhub._pyamqp.client, "time", quick)
    quick_async = SimpleNamespace(**{**vars(asyncio), "sleep": sleep})
    monkeypatch.setattr(azure.eventhub.aio._client_base_async, "asyncio", quick_async)
    monkeypatch.setattr(azure.eventhub.aio._transport._pyamqp_transport_async, "asyncio", quick_async)


@pytest.fixture
def fake() -> Iterator[FakeEventHubs]:
    with FakeEventHubs(clicks=3, stars=1) as running:
        yield running


@pytest.fixture
def hub(fake: FakeEventHubs) -> Iterator[AzureEventHub]:
    found = hub_of(fake)
    yield found
    found.close()


def hub_of(fake: FakeEventHubs, key: str = KEY, patience: Patience = QUICK, group: str = "$Default") -> AzureEventHub:
    secret = SecretStr(fake.connection_string_with(key))
    return AzureEventHub(HubConnection(fake.namespace, group, secret), patience)


def events(*keyed: tuple[str | None, bytes]) -> pa.RecordBatch:
    keys, bodies = pa.array([key for key, _ in keyed], pa.string()), pa.array([body for _, body in keyed], pa.binary())
    return pa.RecordBatch.from_arrays([keys, bodies], names=["partition_key", "body"])


def rows(batches: Iterator[pa.RecordBatch]) -> list[dict[str, Any]]:
    """The events in canonical order, after a look at the order of each partition."""
    found = pa.Table.from_batches(batches, EVENT_SCHEMA).to_pylist()
    for partition in {row["partition"] for row in found}:
        numbers = [row["sequence_number"] for row in found if row["partition"] == partition]
        assert numbers == sorted(set(numbers)), "in sequence order, each once"
    return sorted(found, key=lambda row: (row["enqueued_time"], row["partition"], row["sequence_number"]))


def bodies(batches: Iterator[pa.RecordBatch]) -> list[bytes]:
    return [row["body"] for row in rows(batches)]


def producer(fake: FakeEventHubs, hub: str = "clicks") -> EventHubProducerClient:
    return EventHubProducerClient.from_connection_string(fake.connection_string, eventhub_name=hub)


# ---- sending --------------------------------------------------------------------------------------------------------


def test_a_key_stays_in_one_partition_in_order_and_comes_back(hub: AzureEventHub) -> None:
    keyed = [(str(i % 10), str(i).encode()) for i in range(200)]
    assert hub.send("clicks", [events(*keyed[:77]), events(*keyed[77:])]) == 200
    found = rows(hub.read("clicks", *ALWAYS))
    assert len({row["partition"] for row in found}) == 3
    for key in {key for key, _ in keyed}:
        of_key = [row for row in found if row["partition_key"] == key]
        assert len({row["partition"] for row in of_key}) == 1
        assert [row["body"] for row in of_key] == [body for other, body in keyed if other == key]


def test_bodies_come_back_byte_by_byte_and_no_key_is_null(hub: AzureEventHub) -> None:
    odd = [b"", b"\0\xff", "žluť".encode(), b"x" * 200_000]
    hub.send("clicks", [events(*((None, body) for body in odd))])
    found = rows(hub.read("clicks", *ALWAYS))
    assert [row["body"] for row in found] == odd
    assert {row["partition_key"] for row in found} == {None}


def test_events_of_other_producers_come_with_the_key_that_azure_took(fake: FakeEventHubs, hub: AzureEventHub) -> None:
    with producer(fake) as client:
        client.send_batch([EventData(b"by key")], partition_key="a key")
        client.send_batch([EventData(b"by partition")], partition_id="2")
        client.send_event(AmqpAnnotatedMessage(value_body="no bytes at all"))
    found = {row["body"]: (row["partition"], row["partition_key"]) for row in rows(hub.read("clicks", *ALWAYS))}
    assert found[b"by key"][1] == "a key"
    assert found[b"by partition"] == ("2", None)
    assert b"no bytes at all" in found


def test_more_than_one_message_holds_is_sent_in_several(hub: AzureEventHub) -> None:
    large = [("a", bytes([i]) * 200_000) for i in range(12)]
    assert hub.send("stars", [events(*large)]) == 12
    assert bodies(hub.read("stars", *ALWAYS)) == [body for _, body in large]


def test_an_event_that_no_hub_takes_is_refused_by_its_size(hub: AzureEventHub) -> None:
    with pytest.raises(
        SendInterrupted, match=r"'stars' in .*: an event of 1,100,000 bytes is larger than the hub takes"
    ):
        hub.send("stars", [events(("a", b"x" * 1_100_000))])


def test_a_throttled_send_is_done_again(fake: FakeEventHubs, hub: AzureEventHub) -> None:
    fake.faults.busy_sends = 2
    assert hub.send("stars", [events(("a", b"1"), ("a", b"2"))]) == 2
    assert bodies(hub.read("stars", *ALWAYS)) == [b"1", b"2"]


def test_a_send_that_stays_throttled_says_how_far_it_got_and_can_go_on(fake: FakeEventHubs, hub: AzureEventHub) -> None:
    batches = [events((str(i), str(i).encode()), (str(i), b"more")) for i in range(5)]

    def until_busy() -> Iterator[pa.RecordBatch]:
        for number, batch in enumerate(batches):
            fake.faults.busy_sends = 99 if number == 3 else 0
            yield batch

    with pytest.raises(SendInterrupted, match="is throttled, and stayed so; send more slowly") as cut_off:
        hub.send("clicks", until_busy())
    assert cut_off.value.acknowledged == 6
    fake.faults.busy_sends = 0
    assert hub.send("clicks", batches[3:]) == 4
    assert len(rows(hub.read("clicks", *ALWAYS))) == 10


def test_a_send_whose_acknowledgement_is_lost_is_done_again_so_that_none_is_missing(
    fake: FakeEventHubs, hub: AzureEventHub
) -> None:
    fake.faults.unanswered_sends = 1
    assert hub.send("stars", [events(("a", b"1"), ("a", b"2"))]) == 2
    assert bodies(hub.read("stars", *ALWAYS)) == [b"1", b"2", b"1", b"2"]


def test_sending_outlives_a_broker_that_is_started_again(fake: FakeEventHubs, hub: AzureEventHub) -> None:
    hub.send("clicks", [events(*((str(i), b"before") for i in range(9)))])
    with fake.down():
        pass
    hub.send("clicks", [events(*((str(i), b"after") for i in range(9)))])
    assert bodies(hub.read("clicks", *ALWAYS)).count(b"after") == 9


# ---- reading --------------------------------------------------------------------------------------------------------


def test_the_end_of_a_range_belongs_to_it_and_the_start_does_not(fake: FakeEventHubs, hub: AzureEventHub) -> None:
    for partition in range(3):
        stamps = (-7_000, -1, 0, 0, 1, 1_800_000, 3_600_000, 3_600_000, 3_600_001, 3_700_000)
        fake.put("clicks", partition, *((at(stamp), None, f"{partition} {stamp}".encode()) for stamp in stamps))
    found = rows(hub.read("clicks", NOON, NOON + HOUR))
    wanted = [f"{p} {stamp}".encode() for stamp in (1, 1_800_000, 3_600_000, 3_600_000) for p in range(3)]
    assert sorted(row["body"] for row in found) == sorted(wanted)
    assert found == rows(hub.read("clicks", NOON, NOON + HOUR)), "read again, the same"
    apart = [*hub.read("clicks", NOON - HOUR, at(1)), *hub.read("clicks", at(1), NOON + HOUR)]
    assert len(rows(iter(apart))) == 3 * 8, "ranges side by side miss nothing and share nothing"


def test_a_range_within_one_millisecond_is_empty(fake: FakeEventHubs, hub: AzureEventHub) -> None:
    fake.put("stars", 0, (at(0), None, b"x"), (at(1), None, b"y"))
    assert bodies(hub.read("stars", NOON + timedelta(microseconds=1), NOON + timedelta(microseconds=999))) == []
    assert bodies(hub.read("stars", NOON - timedelta(microseconds=1), NOON + timedelta(microseconds=1))) == [b"x"]


def test_a_clock_that_goes_back_hides_no_event_from_its_hour(fake: FakeEventHubs, hub: AzureEventHub) -> None:
    stamps = (3_599_000, 3_601_000, 3_600_000, 3_602_000, 3_599_500, 3_610_000)
    fake.put("stars", 0, *((at(stamp), None, str(stamp).encode()) for stamp in stamps))
    assert sorted(bodies(hub.read("stars", NOON, NOON + HOUR))) == [b"3599000", b"3599500", b"3600000"]
    assert sorted(bodies(hub.read("stars", NOON + HOUR, NOON + 2 * HOUR))) == [b"3601000", b"3602000", b"3610000"]


def test_what_the_reader_has_is_not_read_again(fake: FakeEventHubs, hub: AzureEventHub) -> None:
    for partition in range(2):
        fake.put("clicks", partition, *((at(i), None, f"{partition}{i}".encode()) for i in range(1, 6)))
    read = bodies(hub.read("clicks", NOON, NOON + HOUR, {"0": Position(2, at(3)), "1": Position(4, at(5))}))
    assert read == [b"04", b"05"]
    assert fake.receivers == 1, "nobody asked the partition of which all is known"


def test_a_hub_made_anew_under_the_same_name_is_read_from_its_beginning(
    fake: FakeEventHubs, hub: AzureEventHub
) -> None:
    fake.put("stars", 0, (at(1), None, b"x"))
    assert bodies(hub.read("stars", NOON, NOON + HOUR, {"0": Position(1_000, at(1))})) == [b"x"]


def test_events_that_come_during_a_read_are_left_to_the_next(fake: FakeEventHubs, hub: AzureEventHub) -> None:
    fake.put("stars", 0, (at(1), None, b"before"))
    reading = hub.read("stars", NOON, NOON + HOUR)
    first = next(reading)
    fake.put("stars", 0, (at(2), None, b"meanwhile"))
    assert bodies(iter([first, *reading])) == [b"before"]


@pytest.mark.parametrize("sever_after", [[0], [3, 5, 0, 1], [1] * 7])
def test_a_connection_lost_in_mid_read_loses_and_doubles_nothing(
    fake: FakeEventHubs, hub: AzureEventHub, sever_after: list[int]
) -> None:
    fake.put("stars", 0, *((at(i), None, str(i).encode()) for i in range(1, 21)))
    fake.faults.sever_after = list(sever_after)
    assert bodies(hub.read("stars", NOON, NOON + HOUR)) == [str(i).encode() for i in range(1, 21)]
    assert fake.receivers == len(sever_after) + 1


def test_a_broker_that_is_started_again_in_mid_read_loses_and_doubles_nothing(
    fake: FakeEventHubs, hub: AzureEventHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_batch, "BATCH_EVENTS", 50)
    for partition in range(3):
        fake.put("clicks", partition, *((at(i), None, f"{partition} {i}".encode()) for i in range(1, 2_001)))
    reading = hub.read("clicks", NOON, NOON + HOUR)
    first = next(reading)
    with fake.down():
        pass
    assert len(bodies(iter([first, *reading]))) == 6_000
    assert fake.receivers > 3


def test_an_event_that_the_client_passes_over_is_read_all_the_same(fake: FakeEventHubs, hub: AzureEventHub) -> None:
    fake.put("stars", 0, *((at(i), None, str(i).encode()) for i in range(1, 10)))
    fake.faults.left_out = {4, 6}
    assert bodies(hub.read("stars", NOON, NOON + HOUR)) == [str(i).encode() for i in range(1, 10)]


def test_a_number_that_the_partition_has_not_got_holds_nobody_up(fake: FakeEventHubs, hub: AzureEventHub) -> None:
    fake.put("stars", 0, *((at(i), None, str(i).encode()) for i in range(1, 10)))
    del fake.hubs["stars"][0].events[3:5]  # as compaction does
    assert bodies(hub.read("stars", NOON, NOON + HOUR)) == [b"1", b"2", b"3", b"6", b"7", b"8", b"9"]


def test_events_that_expire_while_the_connection_is_lost_end_the_read(fake: FakeEventHubs, hub: AzureEventHub) -> None:
    fake.put("stars", 0, *((at(i), None, str(i).encode()) for i in range(1, 10)))
    fake.faults.sever_after = [4]
    fake.faults.expire_on_sever = True
    assert bodies(hub.read("stars", NOON, NOON + HOUR)) == [b"1", b"2", b"3", b"4"]


def test_two_readers_at_once_both_read_everything(fake: FakeEventHubs) -> None:
    for partition in range(3):
        fake.put("clicks", partition, *((at(i), None, f"{partition} {i}".encode()) for i in range(1, 301)))
    found: dict[int, list[bytes]] = {}

    def read(number: int) -> None:
        found[number] = bodies(hub_of(fake).read("clicks", NOON, NOON + HOUR))

    readers = [threading.Thread(target=read, args=(number,)) for number in range(2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(timeout=30)
    assert found[0] == found[1]
    assert len(found[0]) == 900


def test_more_partitions_than_are_read_at_once_are_all_read() -> None:
    with FakeEventHubs(wide=AT_ONCE + 2) as fake:
        for partition in range(AT_ONCE + 2):
            fake.put("wide", partition, (at(partition + 1), None, str(partition).encode()))
        assert bodies(hub_of(fake).read("wide", *ALWAYS)) == [b"%d" % p for p in range(AT_ONCE + 2)]


def test_a_reader_that_goes_away_ends_its_threads(
    fake: FakeEventHubs, hub: AzureEventHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_batch, "BATCH_EVENTS", 10)
    fake.put("stars", 0, *((at(i), None, b"x") for i in range(1, 2_001)))
    reading = hub.read("stars", NOON, NOON + HOUR)
    next(reading)
    at_work = [thread for thread in threading.enumerate() if thread.name.startswith("stars reader")]
    assert at_work
    reading.close()  # type: ignore[attr-defined]
    for thread in at_work:
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_a_slow_reader_holds_the_hub_up_and_not_the_memory(
    fake: FakeEventHubs, hub: AzureEventHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_batch, "BATCH_BYTES", 10_000)
    made: list[int] = []
    batch = event_batch.GatheredEvents.batch

    def counting(gathered: Any) -> pa.RecordBatch:
        made.append(len(gathered))
        return batch(gathered)

    monkeypatch.setattr(event_batch.GatheredEvents, "batch", counting)
    fake.put("stars", 0, *((at(i), None, b"x" * 1_000) for i in range(1, 1_001)))
    reading = hub.read("stars", NOON, NOON + HOUR)
    taken = 0
    for taken, _ in enumerate(reading, 1):
        assert len(made) <= taken + SLOTS + 2, "those that wait, one that waits to wait, one in the making"
    assert taken == len(made) == 100


# ---- what a hub says of itself --------------------------------------------------------------------------------------


def test_an_empty_hub_has_no_events_and_forgot_none(hub: AzureEventHub) -> None:
    assert rows(hub.read("clicks", *ALWAYS)) == []
    assert hub.newest("clicks") == {}
    assert hub.held_since("clicks") is None


def test_the_newest_events_are_told_by_partition(fake: FakeEventHubs, hub: AzureEventHub) -> None:
    fake.put("clicks", 0, (at(1), None, b"x"), (at(5), None, b"y"))
    fake.put("clicks", 2, (at(3), None, b"z"))
    assert hub.newest("clicks") == {"0": Position(1, at(5)), "2": Position(0, at(3))}


def test_expired_events_are_gone_and_the_hub_says_since_when(fake: FakeEventHubs, hub: AzureEventHub) -> None:
    for partition in range(2):
        fake.put("clicks", partition, *((at(10 * i + partition), None, str(i).encode()) for i in range(5)))
    assert hub.held_since("clicks") is None
    fake.expire("clicks", 0, 3)
    assert hub.held_since("clicks") == at(30)
    assert bodies(hub.read("clicks", *ALWAYS)) == [b"0", b"1", b"2", b"3", b"3", b"4", b"4"]
    fake.expire("clicks", 1, 5)
    assert hub.held_since("clicks") == at(41)
    assert hub.newest("clicks")["1"] == Position(4, at(41))
    assert bodies(hub.read("clicks", *ALWAYS)) == [b"3", b"4"]


def test_what_is_settled_lies_a_margin_behind_our_clock(hub: AzureEventHub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "utc_now", lambda: NOON)
    assert hub.settled_until("clicks") == NOON - SETTLED


# ---- refusals -------------------------------------------------------------------------------------------------------


def every_question(hub: AzureEventHub, name: str) -> list[Any]:
    return [
        lambda: rows(hub.read(name, *ALWAYS)),
        lambda: hub.newest(name),
        lambda: hub.held_since(name),
        lambda: hub.send(name, [events(("a", b"x"))]),
    ]


def test_an_unknown_hub_is_an_error_that_names_the_contract(hub: AzureEventHub) -> None:
    told = r"has no event hub 'nothing'; create it \(az eventhubs eventhub create\), or correct customProp.*source\.hub"
    for ask in every_question(hub, "nothing"):
        with pytest.raises(EventHubError, match=told):
            ask()


@pytest.mark.parametrize("bare", [False, True])
def test_a_wrong_key_is_an_error_that_names_the_setting_and_shows_no_secret(
    fake: FakeEventHubs, bare: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fake.faults.bare_refusals = bare
    wrong = hub_of(fake, "another-key-that-is-secret-too")
    for ask in every_question(wrong, "clicks"):
        with pytest.raises(
            EventHubError, match=r"'clicks' in .*: Azure does not accept LAKE_EVENT_HUBS_CONN"
        ) as refused:
            ask()
        assert "another-key" not in str(refused.value)
        assert ("or there is no such hub" in str(refused.value)) == bare
    assert "another-key" not in repr(wrong.connection)
    assert "another-key" not in caplog.text


def test_an_unknown_consumer_group_is_named(fake: FakeEventHubs) -> None:
    fake.put("stars", 0, (at(1), None, b"x"))
    with pytest.raises(
        EventHubError, match=r"has no consumer group 'mine'; create it, or correct LAKE_EVENT_HUBS_CONS"
    ):
        rows(hub_of(fake, group="mine").read("stars", *ALWAYS))


def test_an_exclusive_reader_is_told_from_a_lost_connection(fake: FakeEventHubs, hub: AzureEventHub) -> None:
    fake.put("stars", 0, (at(1), None, b"x"))
    exclusive = EventHubConsumerClient.from_connection_string(
        fake.connection_string, "$Default", eventhub_name="stars", load_balancing_interval=1
    )
    receiving = threading.Thread(
        target=exclusive.receive_batch,
        args=(lambda *_: None,),
        kwargs={"partition_id": "0", "owner_level": 7, "max_wait_time": 0.1},
        daemon=True,
    )
    receiving.start()
    fake.wait_for_receivers(1)
    with pytest.raises(EventHubError, match="an exclusive reader has taken over in the consumer group"):
        rows(hub.read("stars", *ALWAYS))
    exclusive.close()
    receiving.join(timeout=10)


def test_a_namespace_that_cannot_be_reached_is_an_error_that_names_the_setting(fake: FakeEventHubs) -> None:
    hub = hub_of(fake)
    with fake.down():
        for ask in every_question(hub, "clicks"):
            with pytest.raises(EventHubError, match=r"cannot be reached; check the name in LAKE_EVENT_HUBS_CONNECTION"):
                ask()


def test_a_partition_that_owes_events_and_stays_silent_is_an_error(fake: FakeEventHubs) -> None:
    fake.put("stars", 0, (at(1), None, b"x"))
    fake.faults.silent = True
    impatient = hub_of(fake, patience=Patience(attempts=2, first_pause=0.01, silence=0.3))
    with pytest.raises(EventHubError, match="partition 0 has sent nothing for 0 s, and has events up to number 0; run"):
        rows(impatient.read("stars", *ALWAYS))


class FakeCredential:
    """Stands for azure-identity: gives a token, or says that there is none."""

    def __init__(self, token: str | None) -> None:
        self.token = token
        self.asked: list[str] = []

    def get_token(self, *scopes: str, **_: object) -> AccessToken:
        self.asked += scopes
        if self.token is None:
            raise ClientAuthenticationError("DefaultAzureCredential failed to retrieve a token from the credentials")
        return AccessToken(self.token, int(time.time()) + 3_600)


def hub_by_identity(fake: FakeEventHubs, credential: FakeCredential) -> AzureEventHub:
    return AzureEventHub(HubConnection(fake.namespace, credential=credential, options={"use_tls": False}), QUICK)


def test_an_identity_lets_us_in(fake: FakeEventHubs) -> None:
    fake.token = "a token"
    credential = FakeCredential("a token")
    hub = hub_by_identity(fake, credential)
    hub.send("stars", [events(("a", b"x"))])
    assert bodies(hub.read("stars", *ALWAYS)) == [b"x"]
    assert set(credential.asked) == {"https://eventhubs.azure.net//.default"}
    hub.close()


@pytest.mark.parametrize(
    ("token", "told"),
    [
        ("nobody's token", "give it the role Azure Event Hubs Data Receiver to read, Azure Event Hubs Data Sender to"),
        (None, "no Azure identity was found; run `az login`, .* or set LAKE_EVENT_HUBS_CONNECTION"),
    ],
)
def test_an_identity_without_a_role_and_no_identity_at_all_are_told_apart(
    fake: FakeEventHubs, token: str | None, told: str
) -> None:
    fake.token = "a token"
    for ask in every_question(hub_by_identity(fake, FakeCredential(token)), "clicks"):
        with pytest.raises(EventHubError, match=told) as refused:
            ask()
        assert "nobody" not in str(refused.value)


# ---- settings -------------------------------------------------------------------------------------------------------


def opened(folder: Path, **values: object) -> EventHub:
    settings = Settings(_env_file=None, root=str(folder), **values)  # type: ignore[arg-type]
    return open_event_hub(settings, Lake.at(str(folder)))


def test_the_settings_choose_the_hub(tmp_path: Path) -> None:
    assert isinstance(opened(tmp_path), EmbeddedEventHub)
    azure = opened(tmp_path, event_hubs="shop.servicebus.windows.net", event_hubs_consumer_group="lake")
    assert isinstance(azure, AzureEventHub)
    assert (azure.connection.namespace, azure.connection.consumer_group) == ("shop.servicebus.windows.net", "lake")
    secret = "Endpoint=sb://shop.servicebus.windows.net/;SharedAccessKeyName=p;SharedAccessKey=hush;EntityPath=clicks"
    azure = opened(tmp_path, event_hubs_connection=secret)
    assert isinstance(azure, AzureEventHub)
    assert azure.connection.namespace == "shop.servicebus.windows.net"


def test_settings_that_cannot_be_used_are_told_without_their_secret(tmp_path: Path) -> None:
    with pytest.raises(EventHubError, match="are both set; keep one of them"):
        opened(tmp_path, event_hubs="shop.servicebus.windows.net", event_hubs_connection="Endpoint=sb://x/;hush")
    for wrong in ("hush", "Endpoint=sb://shop.servicebus.windows.net/", "SharedAccessKeyName=p;SharedAccessKey=hush"):
        with pytest.raises(EventHubError, match="LAKE_EVENT_HUBS_CONNECTION is no connection string") as refused:
            opened(tmp_path, event_hubs_connection=wrong)
        assert "hush" not in str(refused.value)


# ---- landing --------------------------------------------------------------------------------------------------------

PAGEVIEWS = contracts()["pageviews"]
ARRIVALS = [(at(1), "7", b'{"event_id":"a"}'), (at(3_600_000), "7", b"{not json"), (at(3_600_001), "8", b"{}")]


@pytest.fixture(params=["embedded", "azure", "captured"])
def filled(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventHub]:
    """The same events in each kind of hub."""
    if request.param == "embedded":
        embedded = EmbeddedEventHub(tmp_path / "event_hub")
        columns = dict(zip(["enqueued_time", "partition_key", "body"], zip(*ARRIVALS, strict=True), strict=True))
        embedded.append("pageviews", "arrivals", [pa.RecordBatch.from_pydict({n: list(v) for n, v in columns.items()})])
        yield embedded
        return
    if request.param == "captured":
        records = [Captured(number, instant, body, key) for number, (instant, key, body) in enumerate(ARRIVALS)]
        for begun, some in ((NOON, records[:1]), (NOON + timedelta(minutes=55), records[1:])):
            capture(tmp_path / "capture" / "pageviews", 0, begun, some)
        yield CapturedEventHub(UPath(tmp_path / "capture"))
        return
    with FakeEventHubs(pageviews=4) as fake:
        for instant, key, body in ARRIVALS:
            fake.put("pageviews", 0, (instant, key, body))
        yield hub_of(fake)


def landed_rows(lake: Lake, hour: str) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    (manifest,) = manifests(lake, PAGEVIEWS, [hour])
    folder = lake.raw_partition("pageviews", hour, sensitive=True)
    return [row for _, _, file in landed_files(folder, manifest) for row in pq.read_table(str(file)).to_pylist()]


def test_an_hour_lands_the_same_from_each_kind_of_hub(
    filled: EventHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "utc_now", lambda: NOON + 2 * HOUR + timedelta(minutes=25))
    lake, sources = Lake.at(str(tmp_path / "lake")), Sources(filled, None)  # type: ignore[arg-type]
    hours = HourRange.of("2026-01-05T12", "2026-01-05T13")
    first, second = land_hours(PAGEVIEWS, lake, hours, sources)
    assert [(one.rows, one.complete) for one in (first, second)] == [(2, True), (1, True)]
    found = [row for hour in hours.keys for row in landed_rows(lake, hour)]
    assert [(row["enqueued_time"], row["partition_key"], row["body"]) for row in found] == ARRIVALS
    assert [row["sequence_number"] for row in found[:2]] == [0, 1]
    assert not any(one.changed for one in land_hours(PAGEVIEWS, lake, hours, sources, refresh=True))


def test_an_hour_of_azure_is_complete_only_when_it_is_settled(
    fake: FakeEventHubs, hub: AzureEventHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = NOON + HOUR + timedelta(seconds=1)
    monkeypatch.setattr(clock, "utc_now", lambda: now)
    lake, sources = Lake.at(str(tmp_path / "lake")), Sources(hub, None)  # type: ignore[arg-type]
    fake.hubs["pageviews"] = fake.hubs.pop("clicks")
    fake.put("pageviews", 0, (at(1), "7", b"{}"))
    (landed,) = land_hours(PAGEVIEWS, lake, HourRange.of("2026-01-05T12"), sources)
    assert (landed.rows, landed.complete) == (1, False)
    fake.put("pageviews", 0, (at(3_599_999), "7", b"{}"))
    now += SETTLED
    (landed,) = land_hours(PAGEVIEWS, lake, HourRange.of("2026-01-05T12"), sources)
    assert (landed.rows, landed.complete, landed.attempt) == (2, True, 2)


def test_a_hub_of_azure_that_is_made_anew_within_an_hour_loses_nothing(
    fake: FakeEventHubs, hub: AzureEventHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = NOON + timedelta(minutes=20)
    monkeypatch.setattr(clock, "utc_now", lambda: now)
    lake, sources = Lake.at(str(tmp_path / "lake")), Sources(hub, None)  # type: ignore[arg-type]
    fake.hubs["pageviews"] = fake.hubs.pop("clicks")
    fake.put("pageviews", 0, *((at(n), "7", f"old {n}".encode()) for n in (1, 2, 3)))
    land_hours(PAGEVIEWS, lake, HourRange.of("2026-01-05T12"), sources)
    fake.make_anew("pageviews", NOON + timedelta(minutes=30))
    fake.put("pageviews", 0, *((at(1_900_000 + n), "7", f"new {n}".encode()) for n in range(9)))
    now = NOON + 2 * HOUR
    (landed,) = land_hours(PAGEVIEWS, lake, HourRange.of("2026-01-05T12"), sources)
    assert (landed.rows, landed.complete) == (12, True)
    found = sorted(row["body"].decode() for row in landed_rows(lake, "2026-01-05T12"))
    assert found == sorted([f"old {n}" for n in (1, 2, 3)] + [f"new {n}" for n in range(9)])


def test_an_hour_that_azure_forgot_is_landed_with_what_is_left_and_marked(
    fake: FakeEventHubs, hub: AzureEventHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "utc_now", lambda: NOON + 2 * HOUR)
    lake, sources = Lake.at(str(tmp_path / "lake")), Sources(hub, None)  # type: ignore[arg-type]
    fake.hubs["pageviews"] = fake.hubs.pop("clicks")
    fake.put("pageviews", 0, (at(1), "7", b"{}"), (at(2), "7", b"{}"))
    fake.expire("pageviews", 0, 1)
    (landed,) = land_hours(PAGEVIEWS, lake, HourRange.of("2026-01-05T12"), sources)
    assert (landed.rows, landed.complete) == (1, False)
    assert "no longer has what was enqueued until 2026-01-05T12:00:00.002" in str(landed.lacks)
