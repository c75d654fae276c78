"""Asks DuckDB how much of the snapshot before a new one lacks; see ``compile.snapshot_guard``."""

import duckdb

from dagster_lake.compile.duckdb_dialect import DuckDBDialect
from dagster_lake.compile.snapshot_guard import lost_keys_select, why_shrunken
from dagster_lake.contract.model import Contract
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.duckdb.scan import scan_sql


def why_refused(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    bronze: delta.Pinned,
    silver: delta.Pinned | None,
    accepted: list[str],
    snapshot: str,
    dialect: DuckDBDialect,
) -> str | None:
    """Why ``snapshot`` is refused: it lacks more than a fifth of the keys of the one silver took before it."""
    earlier = [s for s in accepted if s < snapshot]
    if silver is None or not earlier:
        return None
    con.execute(f"CREATE OR REPLACE VIEW offered AS {scan_sql(bronze, [snapshot])}")
    con.execute(f"CREATE OR REPLACE VIEW held AS {scan_sql(silver, [earlier[-1]])}")
    lost, held = con.execute(lost_keys_select(contract, dialect)).fetchall()[0]
    return why_shrunken(earlier[-1], lost=lost, held=held)
