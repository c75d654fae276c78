"""Which partitions a step has to do: the run's hours, or the snapshots that are new since last time."""

import dagster as dg

from dagster_lake.assets.partitions import hours_of
from dagster_lake.contract import Contract
from dagster_lake.storage import delta
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.table_spec import TableSpec
from dagster_lake.storage.tables import bronze_table, silver_table


def partitions_to_run(context: dg.AssetExecutionContext, lake: Lake, contract: Contract, layer: str) -> list[str]:
    """The run's lake hours; for a snapshot, those upstream that ``layer`` lacks, and the newest in any case."""
    if contract.cadence == "hourly":
        return hours_of(context).keys
    return pending_snapshots(lake, contract, layer)


def pending_snapshots(lake: Lake, contract: Contract, layer: str) -> list[str]:
    """The snapshots upstream of ``layer`` that it lacks, oldest first, and the newest in any case.

    ``layer`` is ``bronze``, ``silver`` (the snapshots in full) or ``newest``, which knows itself what it has merged.
    """
    from dagster_lake.landing.land import partitions

    landed, bronze, silver = partitions(lake, contract), bronze_table(lake, contract), silver_table(lake, contract)
    if layer == "newest":
        return finished_snapshots(lake, contract)
    upstream, done = landed, bronze
    if layer == "silver":
        upstream, done = _written(bronze, landed), silver
    finished = _written(done, upstream)
    return [snapshot for snapshot in upstream if snapshot not in finished or snapshot == upstream[-1]]


def finished_snapshots(lake: Lake, contract: Contract) -> list[str]:
    """The snapshots that silver has taken, empty ones included, oldest first; not those that it withheld."""
    from dagster_lake.landing.land import partitions

    return _written(silver_table(lake, contract), partitions(lake, contract))


def _written(spec: TableSpec, landed: list[str]) -> list[str]:
    """The snapshots that a table has taken: those it holds rows of, and of the landed ones those that had none."""
    pinned = delta.pin(spec.uri)
    if pinned is None:
        return []
    held = pinned.partitions()
    return sorted({*held, *(snapshot for snapshot in landed if snapshot not in held and pinned.written(snapshot))})
