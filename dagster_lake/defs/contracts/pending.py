"""Which partitions a step has to do: the run's hours, or the snapshots that are new since last time, or all of them
when the contract is another one by now."""

import dagster as dg

from dagster_lake.compile.fingerprint import fingerprint
from dagster_lake.contract.model import Contract
from dagster_lake.defs.partitions import hours_of
from dagster_lake.storage.accepted import accepted_snapshots, noted_snapshots
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import bronze_table, silver_table


def partitions_to_run(context: dg.AssetExecutionContext, lake: Lake, contract: Contract, layer: str) -> list[str]:
    """The run's lake hours; for a snapshot, those upstream that ``layer`` lacks, and the newest in any case."""
    if contract.cadence == "hourly":
        return hours_of(context).keys
    return pending_snapshots(lake, contract, layer)


def pending_snapshots(lake: Lake, contract: Contract, layer: str) -> list[str]:
    """The snapshots upstream of ``layer`` that it lacks, oldest first, and the newest in any case; all of them when the
    layer was made under a contract that gave other rows.

    ``layer`` is ``bronze``, ``silver`` (the snapshots in full) or ``newest``, which follows from all that silver took.
    """
    from dagster_lake.landing.land import partitions

    landed, bronze, silver = partitions(lake, contract), bronze_table(lake, contract), silver_table(lake, contract)
    if layer == "newest":
        return accepted_snapshots(lake, contract)
    upstream, done = landed, bronze
    if layer == "silver":
        upstream, done = _written(bronze, landed), silver
    if _made_otherwise(done, contract):
        return upstream
    finished = noted_snapshots(lake, contract) if layer == "silver" else _written(done, upstream)
    return [snapshot for snapshot in upstream if snapshot not in finished or snapshot == upstream[-1]]


def _made_otherwise(spec: TableSpec, contract: Contract) -> bool:
    pinned = delta.pin(spec.uri)
    return pinned is not None and pinned.contract != fingerprint(contract)


def _written(spec: TableSpec, landed: list[str]) -> list[str]:
    """The snapshots that a table has taken: those it holds rows of, and of the landed ones those that had none."""
    pinned = delta.pin(spec.uri)
    if pinned is None:
        return []
    held = pinned.partitions()
    return sorted({*held, *(snapshot for snapshot in landed if snapshot not in held and pinned.written(snapshot))})
