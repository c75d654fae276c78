"""An event hub in a folder: a durable, partitioned log of Parquet segments with its index in SQLite.

A batch of events is written as one segment (file) or more a partition, in a folder of its own, and becomes visible
when one SQLite transaction adds its segments to the index and gives them their sequence numbers. What a crash leaves
is a pending batch, which the next append to the hub removes.

Only this hub can be back-dated, so that a demonstration has a past. Hours may be appended in any order: sequence
numbers follow appending, and the canonical order of events stays (enqueued_time, partition, sequence).
"""

import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from filelock import FileLock

from dagster_lake import clock
from dagster_lake.commit import commit
from dagster_lake.sources.database.sqlite_damage import naming
from dagster_lake.sources.event_hub.key_hash import key_partitions
from dagster_lake.sources.event_hub.protocol import EventHubError, Position
from dagster_lake.sources.event_hub.segments import (
    DATED_SCHEMA,
    EPOCH,
    SENT_SCHEMA,
    PartitionWriter,
    Segment,
    conform,
    micros,
    read_segment,
)

PARTITIONS = 4

_TABLES = """
CREATE TABLE IF NOT EXISTS hubs (
    hub TEXT PRIMARY KEY,
    held_since INTEGER              -- microseconds since 1970 UTC, as every time here; null: nothing expired yet
);
CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- also the name of the batch's folder
    hub TEXT NOT NULL,
    batch_id TEXT,                  -- null for events sent live
    visible INTEGER NOT NULL,
    UNIQUE (hub, batch_id)
);
CREATE TABLE IF NOT EXISTS partitions (
    hub TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_sequence INTEGER NOT NULL,
    last_enqueued INTEGER NOT NULL,
    PRIMARY KEY (hub, partition)
);
CREATE TABLE IF NOT EXISTS segments (
    hub TEXT NOT NULL,
    partition INTEGER NOT NULL,
    base_sequence INTEGER NOT NULL,
    rows INTEGER NOT NULL,
    first_enqueued INTEGER NOT NULL,
    last_enqueued INTEGER NOT NULL,
    file TEXT NOT NULL,
    batch INTEGER NOT NULL REFERENCES batches (id),
    PRIMARY KEY (hub, partition, base_sequence)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS segments_by_time ON segments (hub, last_enqueued, first_enqueued);
"""


class EmbeddedEventHub:
    """The hubs of one folder. A hub comes into being with its first send or append, empty or not.

    Safe between threads and processes. Every hub has ``PARTITIONS`` partitions; an event's partition follows from
    its key alone, and an event without a key goes where the empty key goes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.index = self.folder / "index.sqlite"

    def send(self, hub: str, batches: Iterable[pa.RecordBatch]) -> int:
        """Enqueues events now, all at the instant they become visible; returns how many."""
        return self._write(hub, None, batches, SENT_SCHEMA)

    def append(self, hub: str, batch_id: str, batches: Iterable[pa.RecordBatch]) -> int:
        """Enqueues back-dated events, all visible at once; returns how many, 0 when ``batch_id`` was there already.

        ``batches`` have ``enqueued_time`` (UTC), ``partition_key`` and ``body``, in order of arrival. Raises
        EventHubError when time runs backwards within one partition of this batch; other batches may be later or
        earlier, so that hours can be generated in any order.
        """
        return self._write(hub, batch_id, batches, DATED_SCHEMA)

    def read(
        self, hub: str, start: datetime, end: datetime, after: Mapping[str, Position] | None = None
    ) -> Iterator[pa.RecordBatch]:
        """The events with start < enqueued_time <= end, each partition in sequence order.

        Of the events that ``after`` names, those that share a segment with later ones are given all the same.
        """
        since, until = micros(start), micros(end)
        with self._connect() as connection:
            held_since = self._hub(connection, hub)
            since = since if held_since is None else max(since, held_since)
            if until <= since:
                return
            known = [self._known(connection, hub, p, (after or {}).get(str(p))) for p in range(PARTITIONS)]
            found = [self._segments(connection, hub, p, since, until, known[p]) for p in range(PARTITIONS)]
            segments = [segment for of_partition in found for segment in of_partition]
        for partition, base_sequence, first_enqueued, file in segments:
            yield from read_segment(self.folder, partition, base_sequence, first_enqueued, file, since, until)

    def settled_until(self, hub: str) -> datetime:
        """Just before now: an event is stamped, in whole milliseconds, and made visible in one step."""
        return clock.utc_now() - timedelta(microseconds=1)

    def held_since(self, hub: str) -> datetime | None:
        """Every event enqueued after this instant is still held; None when nothing has expired."""
        with self._connect() as connection:
            since = self._hub(connection, hub)
        return None if since is None else EPOCH + timedelta(microseconds=since)

    def newest(self, hub: str) -> dict[str, Position]:
        """Per partition that ever had an event: its newest sequence number and its newest enqueued time."""
        with self._connect() as connection:
            self._hub(connection, hub)
            rows = connection.execute(
                "SELECT partition, next_sequence - 1, last_enqueued FROM partitions WHERE hub = ?", (hub,)
            ).fetchall()
        return {str(p): Position(sequence, EPOCH + timedelta(microseconds=last)) for p, sequence, last in rows}

    def expire(self, hub: str, before: datetime) -> None:
        """Forgets every event enqueued at or before ``before``; files go when their last event does."""
        until = micros(before)
        with self._exclusive(hub):
            with self._connect() as connection:
                self._hub(connection, hub)
                expired = "FROM segments WHERE hub = ? AND last_enqueued <= ?"
                files = [file for (file,) in connection.execute(f"SELECT file {expired}", (hub, until))]
                with commit(f"event_hub.{hub}.expire"), connection:
                    connection.execute(
                        "UPDATE hubs SET held_since = max(coalesce(held_since, ?), ?) WHERE hub = ?",
                        (until, until, hub),
                    )
                    connection.execute(f"DELETE {expired}", (hub, until))
            for file in files:
                (self.folder / file).unlink(missing_ok=True)

    @staticmethod
    def _known(connection: sqlite3.Connection, hub: str, partition: int, position: Position | None) -> int | None:
        """The number of ``position``, provided that this very hub gave it: the folder may have been made anew."""
        if position is None:
            return None
        number, enqueued = position.sequence_number, micros(position.enqueued_time)
        of_partition = (hub, partition)
        next_number = connection.execute(
            "SELECT next_sequence FROM partitions WHERE hub = ? AND partition = ?", of_partition
        ).fetchone()
        if next_number is None or number >= next_number[0]:
            return None
        holds = connection.execute(
            "SELECT rows, base_sequence, first_enqueued, last_enqueued FROM segments WHERE hub = ? AND partition = ?"
            " AND base_sequence <= ? ORDER BY base_sequence DESC LIMIT 1",
            (*of_partition, number),
        ).fetchone()
        if holds is None or number >= holds[0] + holds[1]:
            return number  # expired
        return number if holds[2] <= enqueued <= holds[3] else None

    @staticmethod
    def _segments(
        connection: sqlite3.Connection, hub: str, partition: int, since: int, until: int, after: int | None
    ) -> list[tuple[int, int, int, str]]:
        """The segments of a partition that may hold events of (since, until], and past number ``after`` where given."""
        if after is None:
            by = "+partition = :partition"  # the + keeps the planner to the index by time: a partition has a history
        else:
            by = (
                "partition = :partition AND base_sequence >= coalesce((SELECT max(base_sequence) FROM segments"
                " WHERE hub = :hub AND partition = :partition AND base_sequence <= :after + 1), 0)"
            )
        wanted = (
            f"SELECT partition, base_sequence, first_enqueued, file FROM segments WHERE hub = :hub AND {by}"
            " AND last_enqueued > :since AND first_enqueued <= :until ORDER BY base_sequence"
        )
        values = {"hub": hub, "partition": partition, "since": since, "until": until, "after": after}
        return connection.execute(wanted, values).fetchall()

    def _write(self, hub: str, batch_id: str | None, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> int:
        with self._exclusive(hub), self._connect() as connection:
            if batch_id is not None and self._has(connection, hub, batch_id):
                return 0
            self._remove_pending(connection, hub)
            batch, folder = self._begin(connection, hub, batch_id)
            segments = self._write_segments(hub, folder, batches, schema)
            self._publish(connection, hub, batch, segments, dated="enqueued_time" in schema.names)
        return sum(segment.rows for segment in segments)

    @staticmethod
    def _has(connection: sqlite3.Connection, hub: str, batch_id: str) -> bool:
        found = "SELECT 1 FROM batches WHERE hub = ? AND batch_id = ? AND visible"
        return connection.execute(found, (hub, batch_id)).fetchone() is not None

    def _remove_pending(self, connection: sqlite3.Connection, hub: str) -> None:
        pending = connection.execute("SELECT id FROM batches WHERE hub = ? AND NOT visible", (hub,)).fetchall()
        for (batch,) in pending:
            shutil.rmtree(self._batch_folder(hub, batch), ignore_errors=True)
        with connection:
            connection.execute("DELETE FROM batches WHERE hub = ? AND NOT visible", (hub,))

    def _begin(self, connection: sqlite3.Connection, hub: str, batch_id: str | None) -> tuple[int, Path]:
        with commit(f"event_hub.{hub}.begin"), connection:
            connection.execute("INSERT OR IGNORE INTO hubs (hub) VALUES (?)", (hub,))
            insert = "INSERT INTO batches (hub, batch_id, visible) VALUES (?, ?, 0) RETURNING id"
            (batch,) = connection.execute(insert, (hub, batch_id)).fetchone()
        folder = self._batch_folder(hub, batch)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return batch, folder

    def _batch_folder(self, hub: str, batch: int) -> Path:
        return self.folder / hub / f"{batch:08d}"

    def _write_segments(
        self, hub: str, folder: Path, batches: Iterable[pa.RecordBatch], schema: pa.Schema
    ) -> list[Segment]:
        writers = [PartitionWriter(hub, p, folder, self.folder, schema) for p in range(PARTITIONS)]
        try:
            for batch in batches:
                events = conform(hub, batch, schema)
                partitions = key_partitions(events.column("partition_key"), PARTITIONS)
                # A stable sort groups the batch by partition in one pass and keeps each partition's order.
                events = events.take(np.argsort(partitions, kind="stable"))
                bounds = np.searchsorted(np.sort(partitions), np.arange(PARTITIONS + 1))
                for writer, first, last in zip(writers, bounds, bounds[1:], strict=False):
                    writer.write(events.slice(first, last - first))
        finally:
            for writer in writers:
                writer.close()
        return [segment for writer in writers for segment in writer.segments]

    def _publish(
        self, connection: sqlite3.Connection, hub: str, batch: int, segments: list[Segment], *, dated: bool
    ) -> None:
        # Exclusive, because live events are stamped here: nobody may read between the stamp and the events.
        with commit(f"event_hub.{hub}"), _exclusive_transaction(connection):
            now = micros(clock.utc_now())
            for segment in segments:
                times = (segment.first_enqueued, segment.last_enqueued) if dated else (now, now)
                self._index(connection, hub, batch, segment, times)
            connection.execute("UPDATE batches SET visible = 1 WHERE id = ?", (batch,))

    @staticmethod
    def _index(connection: sqlite3.Connection, hub: str, batch: int, segment: Segment, times: tuple[int, int]) -> None:
        (base,) = connection.execute(
            "INSERT INTO partitions VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " next_sequence = next_sequence + excluded.next_sequence,"
            " last_enqueued = max(last_enqueued, excluded.last_enqueued) RETURNING next_sequence",
            (hub, segment.partition, segment.rows, times[1]),
        ).fetchone()
        connection.execute(
            "INSERT INTO segments VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (hub, segment.partition, base - segment.rows, segment.rows, *times, segment.file, batch),
        )

    def _hub(self, connection: sqlite3.Connection, hub: str) -> int | None:
        found = connection.execute("SELECT held_since FROM hubs WHERE hub = ?", (hub,)).fetchone()
        if found is None:
            known = [name for (name,) in connection.execute("SELECT hub FROM hubs ORDER BY hub")]
            raise EventHubError(
                f"the event hub {hub!r} does not exist in {self.folder}; it has {', '.join(known) or 'no hub yet'}. "
                "Generate or send events first, or correct customProperties.source.hub in the contract"
            )
        return found[0]

    @contextmanager
    def _exclusive(self, hub: str) -> Iterator[None]:
        """Holds the hub against other writers; readers are not held up."""
        if not hub.replace("_", "").replace("-", "").isalnum() or not hub.isascii():
            raise EventHubError(f"{hub!r} cannot name a hub; use letters, digits, - and _")
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / f".{hub}.lock"):
            yield

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with naming(self.index, EventHubError), closing(sqlite3.connect(self.index, timeout=60)) as connection:
            connection.execute("PRAGMA foreign_keys = ON")
            if connection.execute("PRAGMA user_version").fetchone() == (0,):
                connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} PRAGMA user_version = 1; COMMIT;")
            yield connection


@contextmanager
def _exclusive_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN EXCLUSIVE")
    with connection:
        yield
