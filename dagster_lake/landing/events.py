"""Landing one hour of an event hub: the events that are not landed yet, as they came."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from dagster_lake.commit import commit
from dagster_lake.contract.model import Contract, EventHubSource
from dagster_lake.lake_hour import HOUR
from dagster_lake.landing.attempt import ROW_GROUP_ROWS, AttemptFolder
from dagster_lake.sources.event_hub.protocol import EVENT_SCHEMA, EventHub, Position
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.manifest import Manifest, landed_files
from dagster_lake.storage.paths import local_path
from dagster_lake.storage.sequence_runs import Runs, joined, runs_of, unseen

IN_SIGHT = timedelta(minutes=1)
"""More than any hub that is read itself needs to bring an event into sight; Capture's files are told by their gaps."""


def land(
    contract: Contract, hour: datetime, hub: EventHub, before: Manifest, attempt: AttemptFolder, refresh: bool
) -> Manifest:
    """Fills ``attempt`` with the hour's events that are not landed yet; gives the manifest with what then is.

    The hour is complete when the hub was settled until its end before it was read, and had forgotten nothing of it that
    had not landed, or ``refresh`` accepts what is left. Otherwise the manifest says up to when events may have expired.
    """
    assert isinstance(contract.source, EventHubSource)
    name = contract.source.hub
    held_since = hub.held_since(name)
    settled = hub.settled_until(name) >= hour + HOUR
    landed = landed_runs(attempt.path.parent, before)
    # Noted at once: what lands next hides that something before it is lacking. It is told when the hour closes.
    forgotten = before.forgotten or (None if held_since is None else _forgotten(hour, held_since, landed))
    expired = before.expired or (forgotten if settled and not before.complete else None)
    complete = before.complete or (settled and (refresh or expired is None))
    noted = replace(before, complete=complete, expired=expired, forgotten=None if settled or complete else forgotten)
    news = NewEvents(landed)
    with commit(f"raw.{contract.name}.files"):
        attempt.write_parquet("events", EVENT_SCHEMA, news.of(hub.read(name, hour, hour + HOUR, news.newest)))
    return news.noted_in(noted)


def _forgotten(hour: datetime, held_since: datetime, landed: Runs) -> datetime | None:
    """Up to when events of the hour may have expired before they were landed; None when none can have."""
    newest = max((run.until for runs in landed.values() for run in runs), default=hour)
    # Whoever landed an event of some instant had seen all those before it, but for what was just coming into sight.
    return min(held_since, hour + HOUR) if held_since > max(hour, newest - IN_SIGHT) else None


class NewEvents:
    """Tells the events that are not landed yet from those in ``runs``."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def of(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The new events, each once."""
        for batch in batches:
            new = unseen(batch, self._runs)
            if len(new):
                self._runs = joined(self._runs, runs_of(pa.table(new)))
            yield new

    @property
    def newest(self) -> dict[str, Position]:
        """The newest event of each partition, by its time."""
        newest = {p: max(runs, key=lambda run: (run.until, run.last)) for p, runs in self._runs.items() if runs}
        return {p: Position(run.last, run.until) for p, run in newest.items()}

    def noted_in(self, manifest: Manifest) -> Manifest:
        """The manifest as it is when all of them are landed."""
        last = {partition: max(run.last for run in runs) for partition, runs in self._runs.items()}
        return replace(manifest, runs=dict(self._runs), last_sequence=last)


def landed_runs(folder: UPath, manifest: Manifest) -> Runs:
    """What a partition of raw in ``folder`` holds; from its files, where an older version wrote the manifest."""
    if manifest.runs is not None:
        return manifest.runs
    runs: Runs = {}
    for _, _, place in landed_files(folder, manifest):
        with place.open("rb") if is_adls(place) else open(local_path(place), "rb") as opened:
            columns = ["partition", "sequence_number", "enqueued_time"]
            for batch in pq.ParquetFile(opened).iter_batches(ROW_GROUP_ROWS, columns=columns):
                runs = joined(runs, runs_of(pa.table(batch)))
    return runs
