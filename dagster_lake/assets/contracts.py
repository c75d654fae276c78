"""The assets that contracts give rise to: one file of YAML, and these follow."""

import dagster as dg

from dagster_lake.assets.bronze import bronze_asset
from dagster_lake.assets.raw import raw_asset
from dagster_lake.assets.silver import newest_asset, silver_asset
from dagster_lake.contract import contracts
from dagster_lake.storage.tables import has_newest


def contract_assets() -> list[dg.AssetsDefinition]:
    """Raw, bronze, silver and quarantine of every contract, and the newest rows where a key can have several."""
    assets = []
    for contract in contracts().values():
        assets += [raw_asset(contract), bronze_asset(contract), silver_asset(contract)]
        if has_newest(contract):
            assets.append(newest_asset(contract))
    return assets
