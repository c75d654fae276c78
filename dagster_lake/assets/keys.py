"""How assets are named and what those of one contract have in common."""

from typing import Any

import dagster as dg

from dagster_lake.assets.partitions import hourly
from dagster_lake.contract import Contract
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


def partitioning(contract: Contract) -> dict[str, Any]:
    """How the assets of a contract are partitioned: by lake hour, or not at all for snapshots."""
    # Snapshots have no partitions, and the policy all the same: the command line takes a range of hours only when
    # everything selected can do it in one run.
    partitions_def = None if contract.cadence == "snapshot" else hourly
    return {"partitions_def": partitions_def, "backfill_policy": dg.BackfillPolicy.single_run()}


def common(contract: Contract) -> dict[str, Any]:
    """Owners and tags, from the contract. Freshness is a check (``freshness_checks``): a policy of Dagster's would
    measure when a run last looked, not how new the data is."""
    return {
        "owners": [contract.owner],
        "tags": {"domain": contract.domain, "pii": str(contract.personal).lower()},
    }
