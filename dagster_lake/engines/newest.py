"""Silver's newest rows: one a key, merged from changes or snapshots; a newer row is never replaced."""

import duckdb

from dagster_lake.compile.columns import position_fields
from dagster_lake.compile.duckdb_dialect import DuckDBDialect
from dagster_lake.contract import Contract, DatabaseSource
from dagster_lake.engines.scan import scan_sql
from dagster_lake.storage import delta
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import newest_table, silver_table

BATCH_ROWS = 100_000


def merge_newest(
    con: duckdb.DuckDBPyConnection, lake: Lake, contract: Contract, partitions: list[str], dialect: DuckDBDialect
) -> delta.Pinned:
    """Merges the named partitions of silver into the newest rows, and returns the table.

    Raises DeltaWriteError when silver does not exist yet.
    """
    source = delta.pin(silver_table(lake, contract).uri)
    if source is None or not partitions:
        raise delta.DeltaWriteError(f"silver of {contract.name} does not exist yet; materialise it first")
    if contract.cadence == "hourly":
        return _merge_changes(con, lake, contract, source, partitions, dialect)
    for snapshot in sorted(partitions):
        merged = _merge_snapshot(con, lake, contract, source, snapshot, dialect)
    return merged


def _merge_changes(
    con: duckdb.DuckDBPyConnection,
    lake: Lake,
    contract: Contract,
    source: delta.Pinned,
    partitions: list[str],
    dialect: DuckDBDialect,
) -> delta.Pinned:
    """Merges the newest change of each key, by time of writing and then by position in raw."""
    assert isinstance(contract.source, DatabaseSource)
    keys = [p.name for p in contract.keys]
    age = [contract.source.updated_at, *(f.name for f in position_fields(contract))]
    bounds = source.bounds(keys[0], partitions)
    using = ", ".join(dialect.identifier(k) for k in keys)
    newest_first = ", ".join(f"{dialect.identifier(c)} DESC" for c in age)

    def compute(target: delta.Pinned) -> delta.Merge | None:
        overlapping = None if bounds is None else (keys[0], *bounds)
        con.execute(f"CREATE OR REPLACE VIEW changes AS {scan_sql(source, partitions)}")
        con.execute(f"CREATE OR REPLACE VIEW target AS {scan_sql(target, overlapping=overlapping)}")
        con.execute(
            "CREATE OR REPLACE TEMP TABLE winners AS "
            f"SELECT c.* FROM (SELECT * FROM changes QUALIFY row_number() OVER (PARTITION BY {using} "
            f"ORDER BY {newest_first}) = 1) c LEFT JOIN target t USING ({using}) "
            f"WHERE t.{dialect.identifier(keys[0])} IS NULL OR {_row('c', age, dialect)} > {_row('t', age, dialect)}"
        )
        if not con.execute("SELECT count(*) FROM winners").fetchall()[0][0]:
            return None
        reader = con.sql("SELECT * FROM winners").to_arrow_reader(BATCH_ROWS)
        within = None
        if bounds is not None and all(isinstance(bound, int) for bound in bounds):
            within = f"t.{dialect.identifier(keys[0])} BETWEEN {bounds[0]} AND {bounds[1]}"
        return delta.Merge(reader, tuple(keys), within)

    return delta.merge(newest_table(lake, contract), compute, {"silver_version": str(source.version)})


def _merge_snapshot(
    con: duckdb.DuckDBPyConnection,
    lake: Lake,
    contract: Contract,
    source: delta.Pinned,
    snapshot: str,
    dialect: DuckDBDialect,
) -> delta.Pinned:
    """Merges one snapshot: its rows become the newest, rows it lacks are marked as missing since it.

    A snapshot older than the newest one merged changes nothing.
    """
    keys = [p.name for p in contract.keys]

    def compute(target: delta.Pinned) -> delta.Merge | None:
        con.execute(f"CREATE OR REPLACE VIEW snapshot AS {scan_sql(source, [snapshot])}")
        con.execute(f"CREATE OR REPLACE VIEW target AS {scan_sql(target)}")
        merged = con.execute("SELECT greatest(max(_snapshot), max(_missing_since)) FROM target").fetchall()[0][0]
        if merged is not None and merged > snapshot:
            return None
        columns = ", ".join(dialect.identifier(name) for name in source.schema.names)
        news = f"SELECT {columns}, CAST(NULL AS VARCHAR) AS _missing_since FROM snapshot"
        held = f"SELECT {columns}, _missing_since FROM target"
        if merged == snapshot and not con.execute(f"{news} EXCEPT {held} LIMIT 1").fetchall():
            return None
        reader = con.sql(news).to_arrow_reader(BATCH_ROWS)
        return delta.Merge(
            reader,
            tuple(keys),
            mark_missing={"_missing_since": dialect.literal(snapshot)},
            mark_missing_when="t._missing_since IS NULL",
        )

    return delta.merge(newest_table(lake, contract), compute, {"silver_version": str(source.version)})


def _row(alias: str, columns: list[str], dialect: DuckDBDialect) -> str:
    return f"({', '.join(f'{alias}.{dialect.identifier(c)}' for c in columns)})"
