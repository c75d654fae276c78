"""The reference data of Stream Analytics, as assets."""

from collections.abc import Collection, Iterator

import dagster as dg

from dagster_lake.asset_keys import silver_key
from dagster_lake.contract.model import Contract, contracts
from dagster_lake.defs.common import common
from dagster_lake.lake_resource import LakeResource
from dagster_lake.streams.declarations import StreamDeclaration

GROUP = "stream_analytics"


def reference_data_assets(streams: Collection[StreamDeclaration]) -> list[dg.AssetsDefinition]:
    """One asset for each data set of snapshots that a query of Stream Analytics joins with."""
    names = sorted({name for stream in streams if stream.stream_analytics for name in stream.reference})
    return [_asset(contracts()[name], streams) for name in names]


def _asset(contract: Contract, streams: Collection[StreamDeclaration]) -> dg.AssetsDefinition:
    @dg.asset(
        key=[GROUP, f"reference_{contract.name}"],
        deps=[silver_key(contract)],
        group_name=GROUP,
        kinds={"azure", "json"},
        output_required=False,
        backfill_policy=dg.BackfillPolicy.single_run(),
        description=f"The newest snapshot of {contract.name}, masked, as a file for joins in Stream Analytics.",
        **common(contract),
    )
    def reference(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[dg.MaterializeResult[None]]:
        from dagster_lake.streams.stream_analytics.reference_data import columns_for, publish_reference

        columns = columns_for(contract, streams)
        published = publish_reference(lake.lake, lake.settings, contract, columns)
        if published is None:
            context.log.info(f"not written: silver has no snapshot of {contract.name}")
            return
        yield dg.MaterializeResult(
            metadata={
                "dagster/row_count": published.rows,
                "snapshot": published.snapshot,
                "columns": ", ".join(columns),
                "dagster/uri": str(published.file),
            }
        )

    return reference
