"""A snapshot that is empty, or lost many of its keys, is more likely a broken export than the truth."""

import duckdb

from dagster_lake.compile.columns import SNAPSHOT
from dagster_lake.compile.dialects import DuckDBDialect
from dagster_lake.compile.silver import keys_select
from dagster_lake.contract import Contract
from dagster_lake.engines.scan import scan_sql
from dagster_lake.storage import delta

MOST_LOST = 0.2


class SnapshotRefused(Exception):
    """A snapshot that silver does not take unless told so."""


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
    keys = ", ".join(dialect.identifier(p.name) for p in contract.keys)
    con.execute(f"CREATE OR REPLACE VIEW offered AS {scan_sql(bronze, [snapshot])}")
    con.execute(f"CREATE OR REPLACE VIEW held AS {scan_sql(silver, [earlier[-1]])}")
    lost, held = con.execute(
        f"SELECT count(*) FILTER (o.{SNAPSHOT.name} IS NULL), count(*) FROM held h "
        f"LEFT JOIN (SELECT DISTINCT * FROM ({keys_select(contract, dialect, 'offered')})) o USING ({keys})"
    ).fetchall()[0]
    if held and lost > MOST_LOST * held:
        raise SnapshotRefused(
            f"{contract.name}: snapshot {snapshot} lacks {lost:,} of the {held:,} keys of {earlier[-1]}. If the source "
            f"did shrink, materialise silver/{contract.name}_snapshots with the config accept_shrink: true; if the "
            f"export is broken, put a whole one into the landing folder and materialise again"
        )
