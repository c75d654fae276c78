"""Whether what was dropped could be read, as a check of its own step.

A folder or file that may not be read is as loud as can be: the run fails. But it fails here, where nothing is
downstream. The last snapshot stays in force, and what is made of it goes on.
"""

from collections.abc import Iterator

import dagster as dg

from dagster_lake.assets.keys import raw_key
from dagster_lake.assets.raw import REFUSED
from dagster_lake.contract import Contract, FileSource, contracts

LANDED = "landed"


def landing_checks() -> list[dg.AssetChecksDefinition]:
    """One check for each data set that arrives as files."""
    return [_check_of(contract) for contract in contracts().values() if isinstance(contract.source, FileSource)]


def _check_of(contract: Contract) -> dg.AssetChecksDefinition:
    key = raw_key(contract)

    @dg.multi_asset_check(
        name=f"landed__{contract.name}",
        specs=[dg.AssetCheckSpec(LANDED, asset=key, description="The landing folder and its files could be read.")],
    )
    def landed(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        refused = _refused(context.instance, key)
        yield dg.AssetCheckResult(asset_key=key, check_name=LANDED, passed=refused is None, description=refused)
        if refused is not None:
            raise dg.Failure(refused, allow_retries=False)

    return landed


def _refused(instance: dg.DagsterInstance, key: dg.AssetKey) -> str | None:
    """Why the last landing was refused; None when it was not, or never was one."""
    event = instance.get_latest_materialization_event(key)
    made = event.asset_materialization if event else None
    refused = made.metadata.get(REFUSED) if made else None
    return None if refused is None else str(refused.value)
