"""The embedded event hub's segments: Parquet files of one partition, written in order and read by time."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dagster_lake.sources.event_hub.protocol import EVENT_SCHEMA, EventHubError

SEGMENT_ROWS = 1_000_000
ROW_GROUP_ROWS = 65_536

SENT_SCHEMA = pa.schema([EVENT_SCHEMA.field("partition_key"), EVENT_SCHEMA.field("body")])
DATED_SCHEMA = pa.schema([EVENT_SCHEMA.field("enqueued_time"), *SENT_SCHEMA])
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Segment:
    """One file of one partition, as written. Times are microseconds since 1970 UTC."""

    partition: int
    file: str
    rows: int = 0
    first_enqueued: int = 0
    last_enqueued: int = 0


class PartitionWriter:
    """Writes one partition's events of one batch into segments of at most about ``SEGMENT_ROWS`` rows."""

    def __init__(self, hub: str, partition: int, folder: Path, root: Path, schema: pa.Schema) -> None:
        self.hub = hub
        self.partition = partition
        self.folder = folder
        self.root = root
        self.schema = schema
        self.segments: list[Segment] = []
        self.last_enqueued: int | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._file: pq.ParquetWriter | None = None

    def write(self, events: pa.RecordBatch) -> None:
        """Takes the next events of the partition. Raises EventHubError when their time runs backwards."""
        if not len(events):
            return
        if "enqueued_time" in self.schema.names:
            self._check_time(events.column("enqueued_time"))
        self._waiting.append(events)
        if sum(map(len, self._waiting)) >= ROW_GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Writes what is still waiting."""
        self._flush()
        self._close_file()

    def _flush(self) -> None:
        if not self._waiting:
            return
        table = pa.Table.from_batches(self._waiting, self.schema)
        self._waiting = []
        if self._file is None:
            self._open()
        assert self._file is not None
        self._file.write_table(table)
        segment = self.segments[-1]
        if "enqueued_time" in self.schema.names:
            times = table.column("enqueued_time").cast(pa.int64())
            if segment.rows == 0:
                segment.first_enqueued = times[0].as_py()
            segment.last_enqueued = times[-1].as_py()
        segment.rows += len(table)
        if segment.rows >= SEGMENT_ROWS:
            self._close_file()

    def _open(self) -> None:
        path = self.folder / f"{self.partition}-{len(self.segments):04d}.parquet"
        self.segments.append(Segment(self.partition, path.relative_to(self.root).as_posix()))
        # Bodies hardly repeat, so a dictionary of them costs time and memory and saves nothing.
        self._file = pq.ParquetWriter(
            path,
            self.schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=["partition_key"],
        )

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _check_time(self, enqueued: pa.Array) -> None:
        times = enqueued.cast(pa.int64()).to_numpy(zero_copy_only=False)
        if self.last_enqueued is not None:
            times = np.concatenate([[self.last_enqueued], times])
        backwards = np.flatnonzero(np.diff(times) < 0)
        if len(backwards):
            earlier, later = (EPOCH + timedelta(microseconds=int(times[backwards[0] + i])) for i in (0, 1))
            raise EventHubError(
                f"event hub {self.hub}, partition {self.partition}: an event enqueued at {later.isoformat()} follows "
                f"one enqueued at {earlier.isoformat()}; order the batch by enqueued_time, or append it as two batches"
            )
        self.last_enqueued = int(times[-1])


def conform(hub: str, batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """``batch`` with the columns and types of ``schema``; raises EventHubError when it has not got them."""
    missing = [name for name in schema.names if name not in batch.schema.names]
    if missing:
        raise EventHubError(f"event hub {hub}: the events lack {', '.join(missing)}; give {', '.join(schema.names)}")
    events = batch.select(schema.names)
    for name in schema.names:
        if name != "partition_key" and events.column(name).null_count:
            raise EventHubError(f"event hub {hub}: an event's {name} is null; only partition_key may be")
    return events.cast(schema)


def read_segment(
    root: Path, partition: int, base_sequence: int, first_enqueued: int, file: str, after: int, until: int
) -> Iterator[pa.RecordBatch]:
    """A segment's events within (after, until], in batches of ``EVENT_SCHEMA``; times are microseconds since 1970.

    Raises EventHubError for a file that is missing or cannot be read.
    """
    try:
        yield from _read(root, partition, base_sequence, first_enqueued, file, after, until)
    except (pa.ArrowException, OSError) as error:
        raise EventHubError(
            f"{root / file} cannot be read ({str(error).partition(chr(10))[0]}); bring it back from a copy. Hours that "
            "have landed are in raw and do not need it; `lake doctor --deep` names every such file"
        ) from error


def _read(
    root: Path, partition: int, base_sequence: int, first_enqueued: int, file: str, after: int, until: int
) -> Iterator[pa.RecordBatch]:
    sequence = base_sequence
    with pq.ParquetFile(root / file, pre_buffer=False) as parquet:
        for group in range(parquet.num_row_groups):
            rows = parquet.metadata.row_group(group).num_rows
            if _may_overlap(parquet, group, after, until):
                found = sequence
                for events in parquet.iter_batches(ROW_GROUP_ROWS, row_groups=[group]):
                    taken = _events(events, partition, found, first_enqueued, after, until)
                    found += len(events)
                    if len(taken):
                        yield taken
            sequence += rows


def _may_overlap(parquet: pq.ParquetFile, group: int, after: int, until: int) -> bool:
    """Whether a row group may hold events of the range; one without times (sent live) is one instant as a whole."""
    column = parquet.metadata.row_group(group).column(0)
    if column.path_in_schema != "enqueued_time" or column.statistics is None:
        return True
    first, last = column.statistics.min, column.statistics.max
    assert isinstance(first, datetime)
    assert isinstance(last, datetime)
    return micros(last) > after and micros(first) <= until


def _events(
    events: pa.RecordBatch, partition: int, sequence: int, first_enqueued: int, after: int, until: int
) -> pa.RecordBatch:
    """The events within (after, until], as ``EVENT_SCHEMA``; the first of ``events`` has number ``sequence``."""
    first, last = 0, len(events)
    if "enqueued_time" in events.schema.names:
        enqueued = events.column("enqueued_time")
        times = enqueued.cast(pa.int64()).to_numpy(zero_copy_only=False)
        first, last = (int(i) for i in np.searchsorted(times, [after, until], side="right"))
    else:
        enqueued = pa.repeat(pa.scalar(first_enqueued, pa.int64()), len(events)).cast(pa.timestamp("us", "UTC"))
    return pa.RecordBatch.from_arrays(
        [
            pa.repeat(pa.scalar(str(partition)), last - first),
            pa.array(np.arange(sequence + first, sequence + last)),
            enqueued.slice(first, last - first),
            events.column("partition_key").slice(first, last - first),
            events.column("body").slice(first, last - first),
        ],
        schema=EVENT_SCHEMA,
    )


def micros(instant: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return (instant - EPOCH) // timedelta(microseconds=1)
