"""Notes which snapshots silver has taken, and the keys that each keeps in quarantine."""

import duckdb
import pyarrow as pa

from dagster_lake.compile.duckdb_dialect import DuckDBDialect
from dagster_lake.compile.newest_snapshots import accepted_select
from dagster_lake.contract.model import Contract
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.duckdb.scan import scan_sql
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import accepted_table, quarantine_table

BATCH_ROWS = 100_000


def note_accepted(
    con: duckdb.DuckDBPyConnection,
    lake: Lake,
    contract: Contract,
    dialect: DuckDBDialect,
    taken: list[str],
    withheld: list[str],
) -> None:
    """Notes what silver made of some snapshots, after it did: those ``taken`` are accepted, those withheld are not."""

    def compute() -> pa.RecordBatchReader:
        quarantine = delta.pin(quarantine_table(lake, contract).uri)
        assert quarantine is not None
        if not taken:
            return spec.schema.empty_table().to_reader()
        con.execute(f"CREATE OR REPLACE VIEW quarantined AS {scan_sql(quarantine, taken)}")
        return con.sql(accepted_select(contract, dialect, taken)).to_arrow_reader(BATCH_ROWS)

    spec = accepted_table(lake, contract)
    delta.replace_partitions(spec, sorted([*taken, *withheld]), compute, {})
