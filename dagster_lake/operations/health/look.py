"""One look at the whole lake: its tables, and what Dagster's history says of them."""

from datetime import datetime
from typing import Any

import dagster as dg

from dagster_lake.contract.model import contracts
from dagster_lake.operations.health.history import asset_histories
from dagster_lake.operations.health.newest_data import newest_data
from dagster_lake.operations.health.status_table import LAYER, TABLE, Freshness, status_rows
from dagster_lake.operations.health.tables import raw_health, tables_health
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import silver_name


def look_at_lake(
    lake: Lake, instance: dg.DagsterInstance, definitions: dg.Definitions, now: datetime
) -> list[dict[str, Any]]:
    """The rows of ``gold/lake_status`` as of ``now``; it does not list itself.

    What Dagster's history says is shown of tables that are assets of ``definitions``.
    """
    everything = [*raw_health(lake), *tables_health(lake)]
    found = [table for table in everything if (table.layer, table.plain_name) != (LAYER, TABLE)]
    keys = [dg.AssetKey([table.layer, table.plain_name]) for table in found]
    return status_rows(found, asset_histories(instance, definitions, keys), _freshness(lake, now), now)


def _freshness(lake: Lake, now: datetime) -> dict[str, Freshness]:
    """How fresh the silver tables are of each data set whose contract says how fresh they must be."""
    fresh: dict[str, Freshness] = {}
    for newest in newest_data(lake, contracts().values()):
        for table in {silver_name(contracts()[newest.data_set]), newest.data_set}:
            fresh[f"silver.{table}"] = "late" if newest.is_late(now) else "fresh"
    return fresh
