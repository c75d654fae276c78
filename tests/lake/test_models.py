"""Models that are not ours, on DuckDB: the cases of ``tests/lake/model_cases.py``."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dagster_lake.storage.paths import Lake
from tests.lake.model_cases import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_on_duckdb(case: Callable[[Lake, str, Path], None], tmp_path: Path) -> None:
    case(Lake.at(str(tmp_path / "lake")), "duckdb", tmp_path / "dbt")
