"""How tests share a machine of two cores."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import tests.no_lake  # noqa: F401
from dagster_lake import clock
from dagster_lake.engines.spark.java import find_java
from dagster_lake.storage.duckdb.shared import database

# For every Spark that tests start, in this process or another: a JVM that lives for minutes gains nothing from its
# second compiler, and the queries are small. Without it a JVM keeps 48 MB for compiled code; once these are full,
# which a hundred queries do, it compiles nothing any more. What a query leaves behind is gone when it is done: room for
# much of it spares the collector, as does not collecting for each few classes that are loaded at the start.
os.environ.setdefault("SPARK_CONF_DIR", str(Path(__file__).parent / "spark_conf"))
os.environ.setdefault(
    "JDK_JAVA_OPTIONS",
    "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=240m -XX:+UseSerialGC -XX:NewRatio=1 -XX:MetaspaceSize=512m",
)

# A step that fails is tried again at once.
os.environ.setdefault("LAKE_RETRY_SECONDS", "0")

NEEDS_JAVA = (
    "tests/engines/",
    "tests/azure/test_auto_loader.py",
    "tests/azure/test_catalog_spark.py",
    "tests/azure/test_databricks.py",
    "tests/simulation/test_on_spark.py",
)


LONGEST = (
    *NEEDS_JAVA,
    "tests/simulation/",
    "tests/production/",
    "tests/docs/",
    "tests/ui/",
    "tests/lake/test_rerun.py",
)
"""Files that take minutes: begun last, one of them would keep a worker busy when the others have ended."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a Java, tests of Spark are skipped by name. The longest files come first."""
    java = find_java()
    no_java = "no Java: a local Spark needs 17 or later" if java is None else java.problem
    for item in items:
        if no_java and item.nodeid.startswith(NEEDS_JAVA):
            item.add_marker(pytest.mark.skip(reason=no_java))
    items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))


@pytest.fixture(scope="session", autouse=True)
def _nobody_waits() -> Iterator[None]:
    """Landing waits some seconds to see whether files are still being written; no test needs them to pass."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(clock, "wait", lambda _: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def _duckdb_stays_open() -> Iterator[None]:
    """Databases that are open at once share one DuckDB, which takes longer to make than most tests' queries take."""
    with database("2GB", 1), database("1GB"):  # a step in tests, and a landing
        yield
