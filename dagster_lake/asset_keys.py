"""How the assets of a contract are named."""

import dagster as dg

from dagster_lake.contract.model import Contract
from dagster_lake.storage.tables import silver_name


def raw_key(contract: Contract) -> dg.AssetKey:
    """The asset of what landed."""
    return dg.AssetKey(["raw", contract.name])


def bronze_key(contract: Contract) -> dg.AssetKey:
    """The asset of the bronze table."""
    return dg.AssetKey(["bronze", contract.name])


def silver_key(contract: Contract) -> dg.AssetKey:
    """The asset of the silver table that bronze gives: rows, changes or snapshots."""
    return dg.AssetKey(["silver", silver_name(contract)])


def quarantine_key(contract: Contract) -> dg.AssetKey:
    """The asset of the rows kept out of silver."""
    return dg.AssetKey(["quarantine", contract.name])


def newest_key(contract: Contract) -> dg.AssetKey:
    """The asset of the table people join with: one row a key."""
    return dg.AssetKey(["silver", contract.name])
