"""The assets that contracts give rise to: one file of YAML, and these follow."""

from collections.abc import Collection

import dagster as dg

from dagster_lake.contract.model import contracts
from dagster_lake.defs.contracts.bronze import bronze_asset
from dagster_lake.defs.contracts.raw import raw_asset
from dagster_lake.defs.contracts.silver import newest_asset, silver_asset
from dagster_lake.storage.tables import has_newest


def contract_assets(sources: Collection[dg.AssetKey]) -> list[dg.AssetsDefinition]:
    """Raw, bronze, silver and quarantine of every contract, and the newest rows where a key can have several.

    Of the ``sources`` assets, raw of a data set follows the one with its name.
    """
    assets = []
    for contract in contracts().values():
        filled_by = [key for key in sources if key.path[-1] == contract.name]
        assets += [raw_asset(contract, filled_by), bronze_asset(contract), silver_asset(contract)]
        if has_newest(contract):
            assets.append(newest_asset(contract))
    return assets
