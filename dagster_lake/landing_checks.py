"""Whether what was dropped could be read, as a check of its own step.

A folder or file that cannot be read is as loud as can be: the run fails. But it fails here, where nothing is
downstream. The last snapshot stays in force, and what is made of it goes on. A run by schedule or sensor fails once for
it: while the same is refused for the same reason, the check warns, so that the next failure is news.
"""

from collections.abc import Iterator

import dagster as dg

from dagster_lake.assets.keys import raw_key
from dagster_lake.assets.raw import REFUSED
from dagster_lake.contract import Contract, FileSource, contracts

LANDED = "landed"
_BY_ITSELF = {"dagster/schedule_name", "dagster/sensor_name"}
"""Tags of a run that nobody is waiting for."""


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
        refused, before = _last_two(context.instance, key)
        standing = refused is not None and refused == before and not _BY_ITSELF.isdisjoint(context.run.tags)
        yield dg.AssetCheckResult(
            asset_key=key,
            check_name=LANDED,
            passed=refused is None,
            severity=dg.AssetCheckSeverity.WARN if standing else dg.AssetCheckSeverity.ERROR,
            description=refused,
        )
        if refused is not None and not standing:
            raise dg.Failure(refused, allow_retries=False)

    return landed


def _last_two(instance: dg.DagsterInstance, key: dg.AssetKey) -> tuple[str | None, str | None]:
    """Why the last landing and the one before were refused; None for one that was not, or never was."""
    found = instance.fetch_materializations(key, limit=2).records
    reasons = [
        record.asset_materialization.metadata.get(REFUSED) if record.asset_materialization else None for record in found
    ]
    last, before = (None if reason is None else str(reason.value) for reason in [*reasons, None, None][:2])
    return last, before
