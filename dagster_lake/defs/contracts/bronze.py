"""Bronze assets: every line of raw as one row of a Delta table, malformed or not."""

import time
from collections.abc import Iterator
from functools import partial

import dagster as dg

from dagster_lake.asset_keys import bronze_key, raw_key
from dagster_lake.contract.columns import bronze_schema
from dagster_lake.contract.model import Contract
from dagster_lake.defs import code_version
from dagster_lake.defs.common import common, partitioning
from dagster_lake.defs.contracts.pending import partitions_to_run
from dagster_lake.defs.hourly_checks import Evaluated, balanced, check_of, evaluated
from dagster_lake.defs.show.metadata import definition_metadata, step_metadata
from dagster_lake.defs.steps import tried_again
from dagster_lake.engines.step import Step
from dagster_lake.lake_resource import LakeResource


def bronze_asset(contract: Contract) -> dg.AssetsDefinition:
    """The bronze asset of one contract, with its row balance check."""
    key = bronze_key(contract)

    @dg.asset(
        key=key,
        deps=[raw_key(contract)],
        group_name="bronze",
        kinds={"delta", "bronze"},
        description=f"{contract.description} Columns as they came; what the contract does not know is rescued.",
        metadata=definition_metadata(bronze_schema(contract), contract, f"bronze.{contract.name}"),
        code_version=code_version.of_tables(contract),
        check_specs=[
            check_of(
                contract,
                "row_balance",
                asset=key,
                blocking=True,
                description="Every line of raw is one row of bronze.",
            )
        ],
        **common(contract),
        **partitioning(contract),
    )
    @tried_again
    def bronze(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[dg.MaterializeResult | Evaluated]:
        started = time.monotonic()
        partitions = partitions_to_run(context, lake.lake, contract, "bronze")
        result = lake.engine.run(Step(contract.name, "bronze", tuple(partitions)))
        yield dg.MaterializeResult(metadata=step_metadata(result, time.monotonic() - started, lake.engine.name))
        hours = None if contract.cadence == "snapshot" else partitions
        yield from evaluated(context, dg.AssetCheckKey(key, "row_balance"), hours, partial(balanced, result.counts))

    return bronze
