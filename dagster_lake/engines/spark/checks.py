"""Runs the contract's checks over silver with Spark."""

from dagster_lake.compile.checks import broken_rows_select, duplicate_keys_select, orphans_select, stepped_back_select
from dagster_lake.compile.later_hours import hours_around
from dagster_lake.compile.spark_dialect import SparkDialect
from dagster_lake.contract.columns import newest_schema, partition_field
from dagster_lake.contract.model import Contract
from dagster_lake.engines.step import Check
from dagster_lake.storage.delta.spark import SparkDelta
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import newest_table, silver_table


def broken_rows(
    delta: SparkDelta, lake: Lake, contracts: dict[str, Contract], check: Check, dialect: SparkDialect
) -> dict[str, dict[str, int]]:
    """How many rows of silver break each of the named checks, by partition."""
    contract = contracts[check.data_set]
    silver = silver_table(lake, contract)
    version = delta.existing(silver)
    made, partition = delta.at(silver.uri, version), partition_field(contract).name
    rows = made.rows
    if contract.cadence == "snapshot":
        newest = delta.newest_partition(silver, version)
        rows = made.of(partition, [newest] if newest else [])
    elif check.hours is not None:
        rows = made.of(partition, check.hours)
    made.of(partition, hours_around(contract, check.hours)).createOrReplaceTempView("around")
    rows.createOrReplaceTempView("silver")
    found = {}
    statements = {
        "keys_unique": duplicate_keys_select(contract, dialect),
        "rules_hold": broken_rows_select(contract, dialect),
    }
    for name, statement in statements.items():
        if name in check.names:
            found[name] = delta.counts(statement)
    if "times_go_forward" in check.names:
        _offer_newest(delta, lake, contract)
        found["times_go_forward"] = delta.counts(stepped_back_select(contract, dialect))
    for prop in contract.properties:
        if prop.references and f"{prop.name}_exists" in check.names:
            _offer_newest(delta, lake, contracts[prop.references[0]])
            found[f"{prop.name}_exists"] = delta.counts(orphans_select(contract, prop, dialect))
    return found


def _offer_newest(delta: SparkDelta, lake: Lake, contract: Contract) -> None:
    """Creates the view ``referenced``, the latest rows of a data set."""
    uri = newest_table(lake, contract).uri
    version = delta.version(uri)
    rows = delta.empty(newest_schema(contract)) if version is None else delta.read(uri, version)
    rows.createOrReplaceTempView("referenced")
