"""Landing one hour of an event hub: the events past the last landed sequence number, as they came."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dagster_lake.commit import commit
from dagster_lake.contract import Contract, EventHubSource
from dagster_lake.lake_hour import HOUR, hour_key
from dagster_lake.landing.attempt import AttemptFolder
from dagster_lake.landing.result import LandingError
from dagster_lake.resources.event_hub import EVENT_SCHEMA, EventHub
from dagster_lake.storage.manifest import Manifest


def land(
    contract: Contract, hour: datetime, hub: EventHub, before: Manifest, attempt: AttemptFolder, refresh: bool
) -> Manifest:
    """Fills ``attempt`` with the hour's events that are not landed yet; gives the manifest with the new positions.

    A partition is a log, so an event that was not there at the last read has a higher number than all that were. The
    hour is complete when the hub was settled until its end before it was read.
    Raises LandingError when the hub has forgotten a part of the hour, unless ``refresh`` accepts what is left.
    """
    assert isinstance(contract.source, EventHubSource)
    name = contract.source.hub
    held_since = hub.held_since(name)
    if held_since is not None and held_since > hour and not refresh:
        raise LandingError(
            f"{contract.name}, hour {hour_key(hour)}: the event hub {name} holds only events after "
            f"{held_since.isoformat()}, so some of this hour's may have expired before they were landed. Send them "
            "again, or land the hour with refresh to take what is left; landed events are kept either way"
        )
    complete = before.complete or hub.settled_until(name) >= hour + HOUR
    landed = before.last_sequence or {}
    last_sequence = dict(landed)
    new = _after(hub.read(name, hour, hour + HOUR, landed), landed, last_sequence)
    with commit(f"raw.{contract.name}.files"):
        attempt.write_parquet("events", EVENT_SCHEMA, new)
    return replace(before, last_sequence=last_sequence, complete=complete)


def advance(last_sequence: dict[str, int], events: pa.Table) -> None:
    """Brings ``last_sequence`` up to the highest number that ``events`` have in each partition."""
    # By one thread, which keeps partitions in the order of their first event: a manifest names them in that order.
    newest = events.group_by("partition", use_threads=False).aggregate([("sequence_number", "max")])
    for row in newest.to_pylist():  # one row a partition
        partition, sequence = row["partition"], row["sequence_number_max"]
        last_sequence[partition] = max(sequence, last_sequence.get(partition, -1))


def _after(
    batches: Iterator[pa.RecordBatch], landed: Mapping[str, int], last_sequence: dict[str, int]
) -> Iterator[pa.RecordBatch]:
    """The events with a higher number than ``landed`` has for their partition; keeps ``last_sequence`` current."""
    known = pa.array(list(landed), pa.string())
    numbers = np.array([*landed.values(), -1], np.int64)
    for batch in batches:
        place = pc.index_in(batch.column("partition"), known).fill_null(len(landed)).to_numpy(zero_copy_only=False)
        is_new = batch.column("sequence_number").to_numpy(zero_copy_only=False) > numbers[place]
        new = batch.filter(pa.array(is_new))
        advance(last_sequence, pa.table(new))
        yield new
