"""The engines' dialects, each with something that runs its SQL."""

import pytest

from dagster_lake.engines.spark.session import spark_session
from dagster_lake.settings.lake import Settings
from tests.engines.dialects import DuckDBSide, Side, SparkSide


@pytest.fixture(scope="session")
def spark_side() -> SparkSide:
    """Spark's dialect; the session is the process's own."""
    return SparkSide(spark_session(Settings(threads=2)))


@pytest.fixture(params=["duckdb", "spark"])
def side(request: pytest.FixtureRequest) -> Side:
    """Each dialect in turn."""
    return request.getfixturevalue("spark_side") if request.param == "spark" else DuckDBSide()
