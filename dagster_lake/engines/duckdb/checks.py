"""Runs the contract's checks over silver with DuckDB."""

from dagster_lake.compile.checks import broken_rows_select, duplicate_keys_select, orphans_select, stepped_back_select
from dagster_lake.compile.duckdb_dialect import DuckDBDialect
from dagster_lake.compile.later_hours import hours_around
from dagster_lake.contract.columns import newest_schema
from dagster_lake.contract.model import Contract
from dagster_lake.engines.step import Check
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.duckdb.connection import connection
from dagster_lake.storage.duckdb.scan import empty_sql, scan_sql
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import newest_table, silver_table


def broken_rows(
    settings: Settings,
    lake: Lake,
    contracts: dict[str, Contract],
    check: Check,
) -> dict[str, dict[str, int]]:
    """How many rows of silver break each of the named checks, by partition."""
    dialect, contract, checks = DuckDBDialect(), contracts[check.data_set], check.names
    silver = delta.pin(silver_table(lake, contract).uri)
    if silver is None:
        raise delta.DeltaWriteError(f"silver of {contract.name} does not exist yet; materialise it first")
    partitions = check.hours if contract.cadence == "hourly" else silver.partitions()[-1:]
    found = {}
    with connection(settings) as con:
        con.execute(f"CREATE VIEW silver AS {scan_sql(silver, partitions)}")
        con.execute(f"CREATE VIEW around AS {scan_sql(silver, hours_around(contract, partitions))}")
        statements = {
            "keys_unique": duplicate_keys_select(contract, dialect),
            "rules_hold": broken_rows_select(contract, dialect),
        }
        for name, statement in statements.items():
            if name in checks:
                found[name] = dict(con.execute(statement).fetchall())
        if "times_go_forward" in checks:
            latest, key = delta.pin(newest_table(lake, contract).uri), contract.keys[0].name
            bounds = silver.bounds(key, partitions)
            near = scan_sql(latest, overlapping=(key, *bounds) if bounds else None) if latest else None
            con.execute(f"CREATE OR REPLACE VIEW referenced AS {near or empty_sql(newest_schema(contract))}")
            found["times_go_forward"] = dict(con.execute(stepped_back_select(contract, dialect)).fetchall())
        for prop in contract.properties:
            if prop.references and f"{prop.name}_exists" in checks:
                referenced = contracts[prop.references[0]]
                target = delta.pin(newest_table(lake, referenced).uri)
                # A view over the whole of it: a reference may be to a row of any age.
                source = scan_sql(target) if target else empty_sql(newest_schema(referenced))
                con.execute(f"CREATE OR REPLACE VIEW referenced AS {source}")
                found[f"{prop.name}_exists"] = dict(con.execute(orphans_select(contract, prop, dialect)).fetchall())
    return found
