"""What Delta tables need now and then, on Databricks: ``lake-upkeep optimize`` and ``lake-upkeep vacuum``.

Neither changes a row. Both go on after a table that fails, and fail at the end.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from dagster_lake import clock
from dagster_lake.commit import commit
from dagster_lake.errors import LakeError
from dagster_lake.lake_hour import hour_key
from dagster_lake.sql.spark import quoted

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SCHEMAS = ("bronze", "silver", "streams", "gold", "quarantine", "sensitive")
KEPT_HOURS = 7 * 24
"""Versions younger than this stay readable: a gold model may still catch up from one."""

OPTIMIZED_HOURS = 48
"""Older hours were joined when they were young, so that a pass costs the same however long the lake's history is."""

_OPEN_HOURS = 2
_HOUR_COLUMN = "_lake_hour"


class UpkeepError(LakeError):
    """Tables that could not be tended; the message has a line for each."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Tends every table of a catalog's schemas, a line of output a table. Raises UpkeepError when one failed."""
    from pyspark.sql import SparkSession

    parser = argparse.ArgumentParser(prog="lake-upkeep", description=__doc__)
    parser.add_argument("task", choices=["optimize", "vacuum"])
    parser.add_argument("--catalog", required=True, help="Unity Catalog's catalog of the lake")
    known = parser.parse_args(arguments)
    spark = SparkSession.builder.getOrCreate()
    tend(spark, known.task, list(tables(spark, known.catalog)))


def tables(spark: "SparkSession", catalog: str) -> Iterator[str]:
    """The quoted name of every table in those of the lake's schemas that exist."""
    there = {row[0] for row in spark.sql(f"SHOW SCHEMAS IN {quoted(catalog)}").collect()}
    for schema in SCHEMAS:
        if schema not in there:
            continue
        place = f"{quoted(catalog)}.{quoted(schema)}"
        for row in spark.sql(f"SHOW TABLES IN {place}").collect():
            if not row["isTemporary"]:
                yield f"{place}.{quoted(row['tableName'])}"


def tend(spark: "SparkSession", task: str, names: Sequence[str]) -> None:
    """Optimizes or vacuums each of the quoted ``names``. Raises UpkeepError, at the end, when one failed."""
    failed = []
    for name in names:
        try:
            print(f"{name}: {_optimize(spark, name) if task == 'optimize' else _vacuum(spark, name)}", flush=True)
        except Exception as error:
            failed.append(f"{name}: {str(error).splitlines()[0]}")
            print(f"{name}: failed", file=sys.stderr, flush=True)
    if failed:
        raise UpkeepError(f"{task} failed for {len(failed)} of {len(names)} tables:\n" + "\n".join(failed))


def _optimize(spark: "SparkSession", name: str) -> str:
    partitions = spark.sql(f"DESCRIBE DETAIL {name}").collect()[0]["partitionColumns"]
    # Hours that may still be written are left alone: whoever writes them would have to begin again.
    now = clock.utc_now()
    first, last = hour_key(now - timedelta(hours=OPTIMIZED_HOURS)), hour_key(now - timedelta(hours=_OPEN_HOURS))
    where = f" WHERE {_HOUR_COLUMN} >= '{first}' AND {_HOUR_COLUMN} <= '{last}'" if partitions == [_HOUR_COLUMN] else ""
    with commit(f"upkeep.{name}"):
        metrics = spark.sql(f"OPTIMIZE {name}{where}").collect()[0]["metrics"]
    return f"{metrics['numFilesRemoved']} files joined into {metrics['numFilesAdded']}"


def _vacuum(spark: "SparkSession", name: str) -> str:
    with commit(f"upkeep.{name}"):
        spark.sql(f"VACUUM {name} RETAIN {KEPT_HOURS} HOURS")
    return f"files that only versions older than {KEPT_HOURS // 24} days need are gone"
