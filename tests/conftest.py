"""How tests share a machine of two cores."""

import os
from pathlib import Path

import pytest

from dagster_lake.engines.java import find_java

# For every Spark that tests start, in this process or another: a JVM that lives for minutes gains nothing from its
# second compiler, and the queries are small.
os.environ.setdefault("SPARK_CONF_DIR", str(Path(__file__).parent / "spark_conf"))
os.environ.setdefault("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")


# These share one Spark in their process, one after another: a second JVM would only slow the first.
ONE_SPARK = ("tests/engines/", "tests/azure/test_auto_loader", "tests/azure/test_catalog_spark")
# These start what they need beside themselves, once a file.
OF_THEIR_OWN = ("tests/engines/test_demo", "tests/azure/")


NEEDS_JAVA = (*ONE_SPARK, "tests/azure/test_databricks.py")


@pytest.hookimpl(tryfirst=True)  # before xdist looks for the groups
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Says which tests must not be spread over workers (`--dist loadgroup`), and which cannot run here."""
    java = find_java()
    no_java = "no Java: a local Spark needs 17 or later" if java is None else java.problem
    for item in items:
        file = item.nodeid.split("::")[0]
        if no_java and file.startswith(NEEDS_JAVA):
            item.add_marker(pytest.mark.skip(reason=no_java))
        if file.startswith(ONE_SPARK) and not file.startswith(OF_THEIR_OWN[0]):
            item.add_marker(pytest.mark.xdist_group("spark"))
        elif file.startswith(OF_THEIR_OWN):
            item.add_marker(pytest.mark.xdist_group(file))
