"""Spark as the lake uses it: a local JVM of our own, or the session that Databricks has running."""

import atexit
import importlib.util
import os
import shutil
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_lake.engines.spark.delta_jars import SPARK, DeltaJars
from dagster_lake.engines.spark.java import require_java
from dagster_lake.errors import LakeError
from dagster_lake.settings.lake import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_started: "SparkSession | None" = None
_starting = threading.Lock()
_LOG_SETTINGS = Path(__file__).with_name("log4j2.properties")


class SparkMissing(LakeError):
    """pyspark is not installed, or is of another version; the message says how to install it."""


def spark_session(settings: Settings) -> "SparkSession":
    """The Spark of this process, started when there is none; its time zone is UTC.

    Raises SparkMissing, NoJava or DeltaJarsError, each with the remedy.
    """
    _require_pyspark()
    from pyspark.sql import SparkSession

    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        session = SparkSession.builder.getOrCreate()
        session.conf.set("spark.sql.session.timeZone", "UTC")
        return session
    global _started
    with _starting:
        # Not Spark's own "active session": that is one of a thread, and Dagster runs steps in several.
        if _started is None or _started.sparkContext._jsc is None:  # never started, or stopped since
            _started = _start(settings)
        return _started


def _start(settings: Settings) -> "SparkSession":
    from pyspark.sql import SparkSession

    require_java()
    jars = DeltaJars(settings)
    # What spills may be personal data in clear: a folder that only this user can enter, gone with this process.
    scratch = tempfile.mkdtemp(prefix="lake-spark-")
    # What Spark asks Python for needs the packages of this very environment.
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    with jars.lock:
        builder = SparkSession.builder.master(f"local[{settings.threads or '*'}]").appName("dagster_lake")
        for name, value in {**_options(settings, scratch), **jars.options()}.items():
            builder = builder.config(name, value)
        session = builder.getOrCreate()
        jars.fetched()
    return session


def _options(settings: Settings, scratch: str) -> dict[str, str]:
    cores = settings.threads or os.cpu_count() or 1
    return {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.sql.catalogImplementation": "in-memory",
        "spark.sql.warehouse.dir": f"{scratch}/warehouse",
        "spark.local.dir": scratch,
        "spark.driver.memory": settings.spark_memory,
        "spark.driver.extraJavaOptions": (
            f"-Dlog4j2.configurationFile={_LOG_SETTINGS.as_uri()} -Duser.timezone=UTC -Dderby.system.home={scratch}"
        ),
        # Only this machine talks to it.
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.log.level": "FATAL",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        # Spark's own timestamps in Parquet are of a form (INT96) that others read with less precision.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        # Pages carry their checksum, and a flipped bit is an error instead of another value.
        "spark.hadoop.parquet.page.write-checksum.enabled": "true",
        "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
        # Defaults for clusters cost seconds a query here: 200 tasks a shuffle, 50 to read a Delta log.
        "spark.sql.shuffle.partitions": str(cores),
        "spark.databricks.delta.snapshotPartitions": "1",
    }


def _require_pyspark() -> None:
    if importlib.util.find_spec("pyspark") is None:
        raise SparkMissing("LAKE_ENGINE=spark needs pyspark: pip install 'dagster-lake[spark]'")
    import pyspark

    if "DATABRICKS_RUNTIME_VERSION" not in os.environ and not pyspark.__version__.startswith(f"{SPARK}."):
        raise SparkMissing(
            f"pyspark {pyspark.__version__} is installed, and the Delta jars are built for {SPARK}: "
            "pip install 'dagster-lake[spark]' with the constraints file"
        )
