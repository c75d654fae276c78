"""Silver's latest rows, one a key: a function of all changes or snapshots, the quarantine and today's contract."""

import duckdb
import pyarrow as pa

from dagster_lake.compile.duckdb_dialect import DuckDBDialect
from dagster_lake.compile.newest_changes import GONE, NewestChanges
from dagster_lake.contract.columns import deletions_schema, quarantine_schema
from dagster_lake.contract.model import Contract
from dagster_lake.engines.duckdb.newest_snapshots import write_newest_of_snapshots
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.duckdb.scan import empty_sql, files_holding, files_sql, scan_sql
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import (
    deletions_table,
    newest_table,
    quarantine_table,
    quarantined_keys_table,
    silver_table,
)

BATCH_ROWS = 100_000


def write_newest(
    con: duckdb.DuckDBPyConnection, lake: Lake, contract: Contract, partitions: list[str], dialect: DuckDBDialect
) -> delta.Pinned:
    """Brings the latest rows up to date with the named hours of silver, or with all its snapshots; returns the table.

    Raises DeltaWriteError when silver does not exist yet.
    """
    if delta.pin(silver_table(lake, contract).uri) is None:
        raise delta.DeltaWriteError(f"silver of {contract.name} does not exist yet; materialise it first")
    if contract.cadence == "snapshot":
        return write_newest_of_snapshots(con, lake, contract, dialect)
    return _merge_changes(con, lake, contract, partitions, dialect)


def _merge_changes(
    con: duckdb.DuckDBPyConnection, lake: Lake, contract: Contract, hours: list[str], dialect: DuckDBDialect
) -> delta.Pinned:
    """Merges what the named hours change; see ``compile.newest_changes``."""
    sql = NewestChanges(contract, dialect)
    key = contract.keys[0].name
    reads: dict[str, str] = {}

    def table(name: str, select: str) -> int:
        con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {select}")
        return con.execute(f"SELECT count(*) FROM {name}").fetchall()[0][0]

    def view(name: str, select: str) -> None:
        con.execute(f"CREATE OR REPLACE VIEW {name} AS {select}")

    def keys_of(relation: str) -> pa.Array:
        found = con.sql(f"SELECT DISTINCT {dialect.identifier(key)} FROM {relation}").to_arrow_table()
        return found.column(0).combine_chunks()

    # What is read is pinned after what is written: whoever writes in between makes this write conflict and run again.
    def compute(target: delta.Pinned) -> delta.Merge | None:
        changes, quarantine = (
            delta.pin(silver_table(lake, contract).uri),
            delta.pin(quarantine_table(lake, contract).uri),
        )
        assert changes is not None
        reads["silver_version"] = str(changes.version)
        view("changes", scan_sql(changes, hours))
        view("quarantined", scan_sql(quarantine, hours) if quarantine else empty_sql(quarantine_schema(contract)))
        questioned = _note_quarantined(con, lake, contract, hours, sql)
        view("questioned", scan_sql(questioned, hours) if questioned else empty_sql(deletions_schema(contract)))
        view("target", scan_sql(target, hours))
        if not table("touched", sql.touched(hours)):
            return None
        touched = keys_of("touched")
        view("target", files_sql(target, _holding(target, key, touched)))
        table("present", sql.present())
        lost = table("lost", sql.lost(hours))
        view("history", files_sql(changes, _holding(changes, key, keys_of("lost")) if lost else []))
        table("winners", sql.winners())
        view("doubted", empty_sql(quarantine_schema(contract)))
        if table("unsure", sql.unsure()) and quarantine:
            first = con.execute("SELECT min(_lake_hour) FROM unsure").fetchall()[0][0]
            later = {*quarantine.files([hour for hour in quarantine.partitions() if hour >= first])}
            held = [file for file in _holding(quarantine, key, keys_of("unsure")) if file in later]
            view("doubted", files_sql(quarantine, held))
        deletions = delta.pin(deletions_table(lake, contract).uri)
        view(
            "deletions",
            files_sql(deletions, _holding(deletions, key, touched))
            if deletions
            else empty_sql(deletions_schema(contract)),
        )
        if not table("news", sql.rows()):
            return None
        within = None
        if pa.types.is_integer(touched.type):
            low, high = con.execute(
                f"SELECT min(_key), max(_key) FROM (SELECT {dialect.identifier(key)} AS _key FROM news)"
            ).fetchall()[0]
            within = f"t.{dialect.identifier(key)} BETWEEN {low} AND {high}"
        reader = con.sql("SELECT * FROM news").to_arrow_reader(BATCH_ROWS)
        return delta.Merge(reader, tuple(p.name for p in contract.keys), within, gone=GONE)

    return delta.merge(newest_table(lake, contract), compute, reads)


def _note_quarantined(
    con: duckdb.DuckDBPyConnection, lake: Lake, contract: Contract, hours: list[str], sql: NewestChanges
) -> delta.Pinned | None:
    """Adds the keys in the quarantine of the hours to those that ever were there, before any row says so of a key: when
    the hours are made again without them, their rows are looked at again. None while there was never any."""
    spec = quarantined_keys_table(lake, contract)
    columns = ", ".join(f'"{name}"' for name in spec.schema.names)
    keys = f"SELECT {columns} FROM ({sql.quarantined_keys()})"
    present = delta.pin(spec.uri)
    if con.execute(f"SELECT count(*) FROM ({keys})").fetchall()[0][0] == 0:
        return present

    def compute(target: delta.Pinned) -> delta.Merge | None:
        news = f"{keys} EXCEPT SELECT {columns} FROM ({scan_sql(target, hours)})"
        if not con.execute(f"SELECT count(*) FROM ({news})").fetchall()[0][0]:
            return None
        return delta.Merge(con.sql(news).to_arrow_reader(BATCH_ROWS), tuple(spec.schema.names))

    return delta.merge(spec, compute, {})


def _holding(pinned: delta.Pinned, column: str, values: pa.Array) -> list[str]:
    """The files that may hold a row with one of these values, by the log's statistics."""
    if pa.types.is_integer(values.type):
        return files_holding(pinned, column, values)
    if not len(values) or not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return pinned.files()
    ordered = sorted(values.to_pylist())
    return pinned.files(overlapping=(column, ordered[0], ordered[-1]))
