"""Silver's latest rows on Spark: cases that tests/lake/test_latest.py runs on the embedded engine."""

from pathlib import Path

import pytest

from dagster_lake.engines.spark.engine import SparkEngine
from tests.lake.contract_changes import a_required_field_that_a_contract_gains_is_filled_in_every_snapshot
from tests.lake.lakes import TestLake
from tests.lake.latest_cases import ON_SPARK
from tests.lake.latest_world import LatestWorld


@pytest.mark.parametrize("case", ON_SPARK, ids=lambda case: case.__name__)
def test_case(tmp_path: Path, case) -> None:  # type: ignore[no-untyped-def]
    case(lambda contract: LatestWorld(tmp_path / f"lake{len(list(tmp_path.iterdir()))}", contract, SparkEngine))


def test_a_required_field_that_a_contract_gains_is_filled_in_every_snapshot(tmp_path: Path) -> None:
    a_required_field_that_a_contract_gains_is_filled_in_every_snapshot(TestLake(tmp_path / "lake", {"engine": "spark"}))
