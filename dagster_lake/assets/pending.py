"""Which partitions a step has to do: the run's hours, or the snapshots that are new since last time."""

import dagster as dg

from dagster_lake.contract import Contract
from dagster_lake.lake_hour import HourRange
from dagster_lake.storage import delta
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import bronze_table, silver_table


def partitions_to_run(context: dg.AssetExecutionContext, lake: Lake, contract: Contract, layer: str) -> list[str]:
    """The run's lake hours; for a snapshot, those upstream that ``layer`` lacks, and the newest in any case."""
    if contract.cadence == "hourly":
        return HourRange.of(context.partition_key_range.start, context.partition_key_range.end).keys
    return pending_snapshots(lake, contract, layer)


def pending_snapshots(lake: Lake, contract: Contract, layer: str) -> list[str]:
    """The snapshots upstream of ``layer`` that it lacks, oldest first, and the newest in any case.

    ``layer`` is ``bronze``, ``silver`` (the snapshots in full) or ``newest``, which knows itself what it has merged.
    """
    if layer == "newest":
        return _present(silver_table(lake, contract))
    if layer == "bronze":
        from dagster_lake.landing.land import partitions

        upstream, done = partitions(lake, contract), _present(bronze_table(lake, contract))
    else:
        upstream, done = _present(bronze_table(lake, contract)), _present(silver_table(lake, contract))
    return [snapshot for snapshot in upstream if snapshot not in done or snapshot == upstream[-1]]


def _present(spec: delta.TableSpec) -> list[str]:
    pinned = delta.pin(spec.uri)
    return pinned.partitions() if pinned else []
