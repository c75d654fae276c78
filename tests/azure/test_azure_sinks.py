"""Sinks of a lake in ADLS Gen2: files and notes by conditional writes, events by Azure's own client over a socket."""

from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest
from pydantic import SecretStr

from dagster_lake.storage.adls.blobs import list_blobs, read_blob
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.sinks import files as files_module
from dagster_lake.streams.sinks import hub as hub_module
from tests.azure.adls_lakes import adls_settings
from tests.azure.azurite import Azurite
from tests.lake.crashing import dying_at, points_of
from tests.lake.sink_world import FILES, HUB, JSONL, Sink, SinkWorld, empty_row, hour, row

from .fake_event_hub import FakeEventHubs
from .test_event_hub import quick_client  # noqa: F401  # fixture

SINKS = (*FILES, HUB)


class AzureWorld(SinkWorld):
    """The world of sinks, in a container and a namespace."""

    def __init__(self, azurite: Azurite, fake: FakeEventHubs, folder: Path) -> None:
        self.root, self.database = folder, None
        secret = SecretStr(fake.connection_string)
        self.settings = adls_settings(azurite, azurite.new_container(), threads=1, event_hubs_connection=secret)
        self.lake = Lake.of(self.settings)

    def drops(self, sink: Sink) -> list[Path]:
        """The files of a sink, copied here."""
        here = self.root / sink.name
        here.mkdir(parents=True, exist_ok=True)
        found = []
        for blob in list_blobs(self.lake.drop(sink.name)):
            content = read_blob(blob.path)
            assert content is not None
            found.append(here / blob.path.name)
            found[-1].write_bytes(content[0])
        return found


@pytest.fixture
def world(azurite: Azurite, tmp_path: Path) -> Iterator[AzureWorld]:
    with FakeEventHubs(**{HUB.name: 3}) as fake:
        yield AzureWorld(azurite, fake, tmp_path)


def test_sinks_in_azure_hold_what_the_stream_holds_and_follow_it(world: AzureWorld) -> None:
    world.write([row(1), row(2), empty_row(4), row(1, 1), row(8, 1, _is_final=False)], 0, 1)
    world.filled(*SINKS)
    for sink in SINKS:
        assert world.held(sink) == world.rows()
    world.write([row(2, 1, latency=5.0)], 1)
    assert {one.hours for one in world.filled(*SINKS)} == {1}
    for sink in SINKS:
        assert world.held(sink) == world.rows()
    assert [file.stem for file in world.drops(JSONL)] == [hour(0), hour(1)]
    assert points_of(lambda: world.filled(*SINKS)) == []


def test_a_process_that_dies_before_it_notes_what_it_sent_sends_it_again_under_the_same_ids(world: AzureWorld) -> None:
    world.write([row(1), row(2)], 0)
    with dying_at(f"sink.{HUB.id}.send:after"):
        world.fill(HUB)
    world.filled(HUB)
    sent = world.events(HUB)
    assert (len(sent), len({event["_id"] for event in sent})) == (4, 2)
    assert world.held(HUB) == world.rows()


def test_a_file_that_another_process_replaced_meanwhile_is_not_put_back(world: AzureWorld) -> None:
    """Nobody is held up in ADLS: the one that has read an older version finds that the blob is another by now."""
    world.write([row(1)], 0)
    world.filled(JSONL)
    world.write([row(1, latency=2.0)], 0)
    write, other = files_module.FileSink._write, []

    def meanwhile(self: files_module.FileSink, *given: object) -> int:
        rows = write(self, *given)  # type: ignore[arg-type]
        if not other:
            other.append(True)
            world.write([row(1, latency=3.0)], 0)
            world.filled(JSONL)
        return rows

    with patch.object(files_module.FileSink, "_write", meanwhile):
        [filled] = world.fill(JSONL)
    assert filled.skipped is not None
    assert world.held(JSONL) == world.rows()
    assert points_of(lambda: world.filled(JSONL)) == []


def test_two_processes_that_send_at_once_leave_a_consumer_with_what_the_stream_holds(world: AzureWorld) -> None:
    world.write([row(1), row(2)], 0)
    opened, other = hub_module.open_event_hub, []

    def meanwhile(*given: object) -> object:
        if not other:
            other.append(True)
            world.write([row(1, latency=3.0)], 0)
            world.filled(HUB)
        return opened(*given)  # type: ignore[arg-type]

    with patch.object(hub_module, "open_event_hub", meanwhile):
        [filled] = world.fill(HUB)
    assert filled.skipped is not None
    world.filled(HUB)
    assert world.held(HUB) == world.rows()


def test_a_hub_that_is_not_there_is_told_by_its_name_and_stops_no_other_sink(azurite: Azurite, tmp_path: Path) -> None:
    with FakeEventHubs(other=1) as fake:
        world = AzureWorld(azurite, fake, tmp_path)
        world.write([row(1)], 0)
        hub, files = world.fill(HUB, JSONL)
    assert hub.trouble is not None
    assert "slow-pages" in hub.trouble.why
    assert files.trouble is None
    assert world.held(JSONL) == world.rows()
