"""The commands that make a table's rows again from the layers below."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dagster_lake.contract.model import contracts
from dagster_lake.storage.listing import ONLY_HERE, LakeTable, raw_data_sets
from dagster_lake.storage.paths import Lake

if TYPE_CHECKING:
    import dagster as dg


def only_here(table: LakeTable) -> str | None:
    """What the table holds that no run makes again; None when all of it is made from the layers below."""
    if table.layer == "silver" and table.plain_name.endswith("_deletions"):
        return "when each deleted row was first found to be gone; the reconciliation finds it anew, with a new time"
    return ONLY_HERE.get(table.name)


def commands(lake: Lake, table: LakeTable, partitions: Sequence[str]) -> list[str]:
    """The commands, for ``partitions`` or, where that is empty, for all that landed."""
    from dagster_lake.definitions import defs

    key, graph = _asset(table), defs.resolve_asset_graph()
    if not graph.has(key):
        return [f"(no asset of this project makes {table.name}; run what made it)"]
    select = f"dagster asset materialize -m dagster_lake.definitions --select 'key:\"{key.to_user_string()}\"'"
    if graph.get(key).partitions_def is None:
        return [select]
    hours = sorted(partitions) or sorted(
        partition for data_set in raw_data_sets(lake) for partition in data_set.partitions if len(partition) == 13
    )
    first, last = (hours[0], hours[-1]) if hours else ("FIRST", "LAST")
    return [f"{select} --partition-range {first}...{last}"]


def _asset(table: LakeTable) -> "dg.AssetKey":
    """The asset whose run writes the table."""
    import dagster as dg

    if table.layer == "silver":
        for contract in contracts().values():
            made_with = {
                f"{contract.name}_accepted": ["silver", f"{contract.name}_snapshots"],
                f"{contract.name}_quarantined": ["silver", contract.name],
                f"{contract.name}_deletions": ["reconciliation", contract.name],
            }
            if table.plain_name in made_with:
                return dg.AssetKey(made_with[table.plain_name])
    if table.name == "streams.alert_deliveries":
        return dg.AssetKey(["streams", "alert_notices"])
    return dg.AssetKey([table.layer, table.plain_name])
