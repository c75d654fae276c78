"""One look at the whole lake: its tables, and what Dagster's history says of them."""

from datetime import datetime
from typing import Any

import dagster as dg

from dagster_lake.health.history import asset_histories
from dagster_lake.health.status_table import LAYER, TABLE, status_rows
from dagster_lake.health.tables import raw_health, tables_health
from dagster_lake.storage.paths import Lake


def look_at_lake(lake: Lake, instance: dg.DagsterInstance, now: datetime) -> list[dict[str, Any]]:
    """The rows of ``gold/lake_status`` as of ``now``; it does not list itself."""
    from dagster_lake.definitions import defs

    everything = [*raw_health(lake), *tables_health(lake)]
    found = [table for table in everything if (table.layer, table.plain_name) != (LAYER, TABLE)]
    keys = [dg.AssetKey([table.layer, table.plain_name]) for table in found]
    return status_rows(found, asset_histories(instance, defs, keys, now), now)
