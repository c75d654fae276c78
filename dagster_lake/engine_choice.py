"""Which engine the settings name. Only the chosen engine's libraries are imported."""

from dagster_lake.contract.model import Contract
from dagster_lake.engines.step import Engine
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake


def engine_of(lake: Lake, contracts: dict[str, Contract], settings: Settings) -> Engine:
    """The engine that ``LAKE_ENGINE`` names; its libraries come with the extra of the same name."""
    if settings.engine == "spark":
        from dagster_lake.engines.spark.engine import SparkEngine

        return SparkEngine(lake, contracts, settings)
    if settings.engine == "databricks":
        from dagster_lake.databricks.engine import DatabricksEngine

        return DatabricksEngine(lake, contracts, settings)
    from dagster_lake.engines.duckdb.engine import DuckDBEngine

    return DuckDBEngine(lake, contracts, settings)
