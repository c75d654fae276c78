"""What the assets of one contract have in common."""

from typing import Any

import dagster as dg

from dagster_lake.contract.model import Contract
from dagster_lake.defs.partitions import hourly


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
