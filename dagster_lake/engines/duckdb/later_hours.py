"""Finds the later hours that a change of some hours of events makes stale, with DuckDB; see ``compile.later_hours``."""

from collections.abc import Collection

import duckdb
import pyarrow as pa

from dagster_lake.compile.dialect import Dialect
from dagster_lake.compile.later_hours import (
    reaching,
    shared_keys_select,
    shared_partitions_select,
    stale_partitions_select,
)
from dagster_lake.compile.silver import look_back
from dagster_lake.contract.model import Contract
from dagster_lake.storage.delta.write import Pinned
from dagster_lake.storage.duckdb.scan import empty_sql, scan_sql

Made = tuple[pa.Schema, Pinned | None]
"""A table that the step writes: its columns, and what there is of it."""


def stale_hours(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    bronze: Pinned,
    silver: Made,
    quarantine: Made,
    partitions: Collection[str],
    later: Collection[str],
    dialect: Dialect,
) -> list[str]:
    """Those of the ``later`` hours whose silver is to be made again when that of ``partitions`` is.

    Keys alone are read at first, and whole rows only of the hours in which a shared key occurs.
    """
    own = reaching(contract, partitions, later)
    for view, sql in {
        "bronze": scan_sql(bronze, own),
        "held": _scan(silver, own),
        "later": scan_sql(bronze, later),
        "made": _scan(silver, later),
        "kept_out": _scan(quarantine, later),
        "around": scan_sql(bronze, [*look_back(contract, later), *later]),
    }.items():
        con.execute(f"CREATE OR REPLACE VIEW {view} AS {sql}")
    con.execute(f"CREATE OR REPLACE TEMP TABLE suspects AS {shared_keys_select(contract, dialect)}")
    if con.execute("SELECT count(*) FROM suspects").fetchall() == [(0,)]:
        return []
    hours = [hour for (hour,) in con.execute(shared_partitions_select(contract, dialect)).fetchall()]
    con.execute(f"CREATE OR REPLACE VIEW reach AS {scan_sql(bronze, hours)}")
    return [hour for (hour,) in con.execute(stale_partitions_select(contract, dialect, later)).fetchall()]


def _scan(table: Made, partitions: Collection[str]) -> str:
    schema, pinned = table
    return empty_sql(schema) if pinned is None else scan_sql(pinned, partitions)
