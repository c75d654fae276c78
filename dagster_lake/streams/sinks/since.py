"""Which hours a sink lacks: those in which rows of the stream's table changed since the version that it has."""

from collections.abc import Callable, Collection

from dagster_lake.dbt_runner.silver_reads import partitions_written
from dagster_lake.storage.delta.reads import differing_partitions, older
from dagster_lake.storage.delta.write import Pinned
from dagster_lake.streams.sinks.sink import Position


def hours_since(position: Position | None, pinned: Pinned, held: Callable[[], Collection[str]]) -> list[str]:
    """The hours whose rows may differ from what the sink has, in order.

    Only the commits since then are read. Where they do not tell, since the table was made anew or its log has expired,
    it is every hour of the table, and every one that the sink has ``held``.
    """
    now = Position.of(pinned)
    if position == now:
        return []
    if position is not None and position.table == now.table and position.version < now.version:
        found = partitions_written(pinned, position.version)
        if found is None and (then := older(pinned, position.version)) is not None:
            found = differing_partitions(pinned, then)
        if found is not None:
            return found
    return sorted({*pinned.partitions(), *held()})
