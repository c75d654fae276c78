"""Asks DuckDB how much of the snapshot before a new one lacks; see ``compile.snapshot_guard``."""

import duckdb

from dagster_lake.compile.duckdb_dialect import DuckDBDialect
from dagster_lake.compile.snapshot_guard import lost_keys_select, refuse_when_shrunken
from dagster_lake.contract import Contract
from dagster_lake.engines.scan import scan_sql
from dagster_lake.storage import delta


def refuse_shrunken(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    bronze: delta.Pinned,
    silver: delta.Pinned | None,
    snapshot: str,
    dialect: DuckDBDialect,
) -> None:
    """Raises SnapshotRefused when ``snapshot`` lacks more than a fifth of the keys of the one silver took before it."""
    earlier = [s for s in silver.partitions() if s < snapshot] if silver else []
    if silver is None or not earlier:
        return
    con.execute(f"CREATE OR REPLACE VIEW offered AS {scan_sql(bronze, [snapshot])}")
    con.execute(f"CREATE OR REPLACE VIEW held AS {scan_sql(silver, [earlier[-1]])}")
    lost, held = con.execute(lost_keys_select(contract, dialect)).fetchall()[0]
    refuse_when_shrunken(contract, snapshot, earlier[-1], lost=lost, held=held)
