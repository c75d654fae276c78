"""Reconciliation: each database table is compared with the lake once a day, and what differs is mended or told."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from dagster_lake import clock
from dagster_lake.asset_keys import bronze_key, newest_key, raw_key, silver_key
from dagster_lake.contract.model import Contract, DatabaseSource, contracts
from dagster_lake.defs.show.metadata import bars
from dagster_lake.defs.steps import silver_made, tried_again
from dagster_lake.lake_resource import LakeResource

if TYPE_CHECKING:
    from dagster_lake.quality.reconciliation import Reconciled

GROUP = "reconciliation"


class ReconciliationConfig(dg.Config):
    """``accept_deletions`` takes the source's word when more than a fifth of the keys are gone from it."""

    accept_deletions: bool = False


def reconciliation_assets() -> list[dg.AssetsDefinition]:
    """One asset for each data set that comes from a database."""
    return [_reconciliation(c) for c in contracts().values() if isinstance(c.source, DatabaseSource)]


def reconciliation_key(contract: Contract) -> dg.AssetKey:
    """The asset that compares the data set with its source."""
    return dg.AssetKey([GROUP, contract.name])


def _reconciliation(contract: Contract) -> dg.AssetsDefinition:
    key = reconciliation_key(contract)

    @dg.asset(
        key=key,
        deps=[newest_key(contract)],
        group_name=GROUP,
        kinds={"sql", "delta"},
        owners=[contract.owner],
        tags={"domain": contract.domain},
        description=(
            f"Compares {contract.name} with its source: rows that never landed are landed, rows that are gone are "
            f"marked in silver/{contract.name}, by way of silver/{contract.name}_deletions."
        ),
        metadata={"contract": contract.file},
        # Not partitioned, and the policy all the same: the command line takes a range of hours only with it.
        backfill_policy=dg.BackfillPolicy.single_run(),
        check_specs=[
            dg.AssetCheckSpec(
                "all_rows_landed",
                asset=key,
                description="Each row of the last days had landed, at the latest three hours after its hour.",
            ),
            dg.AssetCheckSpec(
                "few_keys_gone",
                asset=key,
                description="At most a fifth of the keys are gone from the source; more are not taken for deleted.",
            ),
            dg.AssetCheckSpec(
                "time_of_writing_never_steps_back",
                asset=key,
                description="The source has no row with an earlier time of writing than silver: silver would keep it.",
            ),
        ],
    )
    @tried_again
    def reconciliation(
        context: dg.AssetExecutionContext, config: ReconciliationConfig, lake: LakeResource
    ) -> Iterator[dg.MaterializeResult]:
        from dagster_lake.quality.reconciliation import reconcile

        started = time.monotonic()
        found = reconcile(
            contract,
            lake.lake,
            lake.settings,
            lake.sources,
            lake.engine,
            clock.utc_now(),
            accept_deletions=config.accept_deletions,
            tell=context.log.warning,
        )
        if found is None:
            context.log.info(f"{contract.name}: nothing has landed yet, so there is nothing to compare")
            selected = context.selected_asset_check_keys
            yield dg.MaterializeResult(
                check_results=[dg.AssetCheckResult(check_name=check.name, passed=True) for check in selected]
            )
            return
        silver_made(context, lake.lake, contract, sorted({*found.made_again, *found.refreshed}))
        for made in _made_again(contract, found):
            context.log_event(made)
        selected = {check.name for check in context.selected_asset_check_keys}
        yield dg.MaterializeResult(
            metadata=_metadata(found, time.monotonic() - started),
            check_results=[check for check in _checks(found) if check.check_name in selected],
        )
        if found.refused:
            raise dg.Failure(found.refused, allow_retries=False)
        if found.withheld:
            raise dg.Failure(
                "; ".join(f"silver of {hour} was withheld: {why}" for hour, why in found.withheld.items()),
                allow_retries=False,
            )

    return reconciliation


def _checks(found: "Reconciled") -> Iterator[dg.AssetCheckResult]:
    missed = sum(found.missed.values())
    yield dg.AssetCheckResult(
        check_name="all_rows_landed",
        passed=not missed,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{missed:,} rows had not landed; their hours were landed again." if missed else None,
        metadata={"rows": missed, "hours": ", ".join(found.missed) or "none", "rows_still_missing": found.still_missed},
    )
    gone = found.gone
    yield dg.AssetCheckResult(
        check_name="few_keys_gone",
        passed=found.refused is None,
        severity=dg.AssetCheckSeverity.ERROR,
        description=found.refused or (None if gone else "Switched off by the contract."),
        metadata={"gone": gone.rows, "known": gone.known} if gone else {},
    )
    stepped = found.stepped_back
    yield dg.AssetCheckResult(
        check_name="time_of_writing_never_steps_back",
        passed=not stepped.rows,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{stepped.rows:,} rows are older at the source than in silver, which keeps the newer version."
        if stepped.rows
        else None,
        metadata={"rows": stepped.rows, "keys": "; ".join(stepped.examples) or "none"},
    )


def _made_again(contract: Contract, found: "Reconciled") -> Iterator[dg.AssetMaterialization]:
    """What was made by the way, for the history, and so that streams and gold follow."""
    for hour in found.missed:
        yield dg.AssetMaterialization(raw_key(contract), partition=hour)
    for hour in found.made_again:
        for key in (bronze_key(contract), silver_key(contract)):
            yield dg.AssetMaterialization(key, partition=hour)
    for hour in sorted({*found.made_again, *found.refreshed}):
        yield dg.AssetMaterialization(newest_key(contract), partition=hour)


def _metadata(found: "Reconciled", seconds: float) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "source_rows": found.source_rows,
        "rows_missed": sum(found.missed.values()),
        "hours_made_again": len(found.made_again),
        "rows_before_the_first_landed_hour": found.older,
        "stepped_back": found.stepped_back.rows,
        "seconds": round(seconds, 3),
    }
    if found.missed:
        metadata["missed_by_hour"] = dg.MetadataValue.md(bars(found.missed))
    if found.gone:
        marked = 0 if found.refused else found.gone.rows
        metadata |= {"keys_compared": found.gone.known, "rows_deleted": marked, "rows_back": found.gone.back}
    return metadata
