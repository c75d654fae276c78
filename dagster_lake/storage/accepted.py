"""Which snapshots silver has taken: those it holds rows of, and those that are noted though they hold no valid row."""

from dagster_lake.contract.model import Contract
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import accepted_table, silver_table


def noted_snapshots(lake: Lake, contract: Contract) -> list[str]:
    """Those of ``accepted_snapshots`` that are noted; a run that died before it noted one is to make it again."""
    table = delta.pin(accepted_table(lake, contract).uri)
    return table.partitions() if table else []


def accepted_snapshots(lake: Lake, contract: Contract) -> list[str]:
    """The snapshots that silver has taken, oldest first, from the tables' logs alone."""
    tables = [delta.pin(spec.uri) for spec in (silver_table(lake, contract), accepted_table(lake, contract))]
    return sorted({snapshot for table in tables if table for snapshot in table.partitions()})
