"""What arrives at an event hub: pageviews and stars with their dirt, in order of arrival."""

from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa

from generators.catalog import event_data_set
from generators.columns import UTC_TIME, required, text_of, times
from generators.dials import Dirt
from generators.lines import lines_of
from generators.world import World

HUB_SCHEMA = pa.schema(
    [
        required("enqueued_time", UTC_TIME),
        required("partition_key", pa.string()),
        required("body", pa.binary()),
    ]
)


def hub_batches(
    world: World, dataset: str, hour: datetime, dirt: Dirt, batch_rows: int = 65_536
) -> Iterator[pa.RecordBatch]:
    """The events that arrive in the lake hour (hour, hour + 1 h], at most `batch_rows` at a time.

    `dataset` is 'pageviews' or 'stars'. `enqueued_time` is the arrival, `partition_key` the user id as text, `body` one
    JSON object as UTF-8 (or what dirt left of it). Memory does not grow with the hour.
    Raises `ValueError` for another data set or an hour that is no UTC hour start.
    """
    source = event_data_set(dataset)
    for rows in source.slices_of_hour(world, hour, batch_rows):
        lines = lines_of(world, source, rows, dirt)
        arrived = source.arrivals(world, rows)[lines.places]
        user = text_of(source.user_ids(world, lines.rows))
        batch = pa.record_batch([times(arrived), user, lines.text.cast(pa.binary())], schema=HUB_SCHEMA)
        for start in range(0, batch.num_rows, batch_rows):
            yield batch.slice(start, batch_rows)
