"""Freshness as asset checks: the newest data of each data set against its contract's latency.

Dagster's own freshness policies measure when an asset was last materialised, which the hourly run does whether or not
anything was delivered. These are made with the lake's status, in a run that waits for no other.
"""

from collections.abc import Iterator

import dagster as dg

from dagster_lake import clock
from dagster_lake.asset_keys import silver_key
from dagster_lake.contract.model import contracts
from dagster_lake.lake_resource import LakeResource
from dagster_lake.operations.health.history import FRESH


def freshness_checks() -> dg.AssetChecksDefinition:
    """One check for each data set whose contract has a latency, all in one step."""
    promised = {silver_key(c): c for c in contracts().values() if c.freshness_minutes is not None}

    @dg.multi_asset_check(
        name="freshness",
        specs=[
            dg.AssetCheckSpec(
                FRESH,
                asset=key,
                description=f"The newest data of {contract.name} is at most {contract.freshness_minutes} minutes old. "
                "Of snapshots that counts from their delivery, of the rest from the end of the newest hour with rows.",
            )
            for key, contract in promised.items()
        ],
        can_subset=True,
    )
    def freshness(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> Iterator[dg.AssetCheckResult]:
        from dagster_lake.operations.health.newest_data import newest_data

        selected = {promised[check.asset_key].name: check.asset_key for check in context.selected_asset_check_keys}
        now = clock.utc_now()
        for newest in newest_data(lake.lake, (c for c in promised.values() if c.name in selected)):
            yield dg.AssetCheckResult(
                asset_key=selected[newest.data_set],
                check_name=FRESH,
                passed=not newest.is_late(now),
                severity=dg.AssetCheckSeverity.WARN,
                description=newest.said(now),
                metadata={"newest_data": newest.until.isoformat()} if newest.until else {},
            )

    return freshness
