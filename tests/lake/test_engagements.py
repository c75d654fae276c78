"""The lake's main numbers, from sources with all their dirt through every layer to gold, against the clean truth."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import environ

from dagster_lake.definitions import defs
from tests.lake import truth
from tests.lake.lakes import Row, TestLake, hours

SIZES = {"users": 150, "vip_users": 30, "products": 40, "orders_per_hour": 60, "pageviews_per_hour": 900}


@pytest.fixture(params=["default", "heavy"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TestLake]:
    made = TestLake(tmp_path / "lake", {**SIZES, "dirt": request.param})
    with environ(made.environment):
        yield made


def run_hourly_job(span: list[str]) -> dg.ExecuteInProcessResult:
    """The job that the schedule runs, for a range of hours."""
    tags = {"dagster/asset_partition_range_start": span[0], "dagster/asset_partition_range_end": span[-1]}
    return defs.resolve_job_def("hourly").execute_in_process(instance=dg.DagsterInstance.ephemeral(), tags=tags)


def engagements(lake: TestLake) -> list[Row]:
    """Gold without the lake's own columns."""
    names = truth.engagements(lake.world, [])[0]
    return sorted(({name: row[name] for name in names} for row in lake.rows("gold/engagements")), key=_id)


def wanted(lake: TestLake, span: list[str]) -> list[Row]:
    """What they must be; a mean is compared within the last bits of a double."""
    return [{**row, "avg_stars": pytest.approx(row["avg_stars"])} for row in truth.engagements(lake.world, span)]


def test_every_user_s_numbers_equal_a_computation_from_the_clean_rows(lake: TestLake) -> None:
    span = hours(4)
    assert run_hourly_job(span[:3]).success
    assert engagements(lake) == wanted(lake, span[:3])
    assert run_hourly_job(span[3:]).success
    found = engagements(lake)
    assert found == wanted(lake, span)
    assert sum(row["pageviews"] for row in found) > 300
    assert sum(row["total_orders_value"] for row in found) > Decimal(1000)
    assert sum(row["is_vip"] for row in found) == SIZES["vip_users"]
    assert any(row["avg_stars"] for row in found)


def _id(row: dict[str, Any]) -> int:
    return row["id"]
