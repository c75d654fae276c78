"""A code location with one asset and the sensor that prints metrics, as small as it can be."""

import dagster as dg

from dagster_lake.defs.operations.run_metrics import run_metrics
from dagster_lake.lake_resource import LakeResource


@dg.asset
def one() -> dg.MaterializeResult[None]:
    return dg.MaterializeResult(metadata={"dagster/row_count": 7})


defs = dg.Definitions(assets=[one], sensors=[run_metrics], resources={"lake": LakeResource()})
