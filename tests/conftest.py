"""How tests share a machine of two cores."""

import os
from pathlib import Path

import pytest

# For every Spark that tests start, in this process or another: a JVM that lives for minutes gains nothing from its
# second compiler, and the queries are small.
os.environ.setdefault("SPARK_CONF_DIR", str(Path(__file__).parent / "spark_conf"))
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that use Spark run in one worker, one after another: a second JVM would only slow the first."""
    for item in items:
        if "tests/engines/" in item.nodeid or "spark" in item.nodeid:
            item.add_marker(pytest.mark.xdist_group("spark"))
