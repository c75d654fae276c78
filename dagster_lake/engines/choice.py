"""Which engine the settings name. Only the chosen engine's libraries are imported."""

from dagster_lake.contract import Contract
from dagster_lake.engines.base import Engine
from dagster_lake.settings import Settings
from dagster_lake.storage.paths import Lake


def engine_of(lake: Lake, contracts: dict[str, Contract], settings: Settings) -> Engine:
    """The engine that ``LAKE_ENGINE`` names; its libraries come with the extra of the same name."""
    if settings.engine == "spark":
        from dagster_lake.engines.spark import SparkEngine

        return SparkEngine(lake, contracts, settings)
    if settings.engine == "databricks":
        from dagster_lake.engines.databricks import DatabricksEngine

        return DatabricksEngine(lake, contracts, settings)
    from dagster_lake.engines.duckdb import DuckDBEngine

    return DuckDBEngine(lake, contracts, settings)
