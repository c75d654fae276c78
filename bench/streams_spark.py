"""Two of the streams in Spark Structured Streaming: the five-minute aggregate and the interval join.

The other side of bench.streams, as one would write it: a file source over silver's Parquet files in order of their
hours, everything there is and then stop (availableNow), a watermark of 60 seconds on the event's time, and Parquet
files as the sink. Spark drops what comes later than its watermark where Stream Analytics adjusts it, has windows
[start, end), counts minutes as elapsed time, and says nothing of a window that no later event has closed: its rows are
near ours and not the same.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dagster_lake.lake_hour import parse_hour

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LATE = "60 seconds"


def pageviews_by_http_method_5m(spark: "SparkSession", silver: Path, files: int) -> "DataFrame":
    """Views and how long they took, by HTTP method in windows of five minutes."""
    from pyspark.sql import functions as f

    views = events(spark, silver / "pageviews", files, ["http_method", "latency", "event_time"])
    grouped = views.groupBy(f.window("event_time", "5 minutes"), "http_method").agg(
        f.count("*").alias("pageviews"),
        f.avg("latency").alias("mean_latency"),
        f.percentile("latency", f.array(f.lit(0.5), f.lit(0.95), f.lit(0.99))).alias("percentiles"),
    )
    return grouped.select("*", f.col("window.end").alias("_time")).drop("window")


def pageviews_stars_correlation(spark: "SparkSession", silver: Path, files: int) -> "DataFrame":
    """Views with the ratings that the user gave within 15 minutes after them."""
    from pyspark.sql import functions as f

    columns = ["event_id", "user_id", "http_method", "uri", "latency", "event_time"]
    views = events(spark, silver / "pageviews", files, columns)
    ratings = events(spark, silver / "stars", files, ["event_id", "user_id", "stars", "event_time"])
    joined = views.alias("v").join(
        ratings.alias("r"),
        f.expr(
            "v.user_id = r.user_id AND r.event_time >= v.event_time "
            "AND r.event_time <= v.event_time + INTERVAL 15 MINUTES"
        ),
    )
    return joined.select(
        f.col("v.event_id").alias("pageview_event_id"),
        f.col("r.event_id").alias("star_event_id"),
        *("v.user_id", "http_method", "uri", "latency", "stars"),
        f.col("v.event_time").alias("pageview_event_time"),
        f.col("r.event_time").alias("star_event_time"),
    )


QUERIES: dict[str, Callable[["SparkSession", Path, int], "DataFrame"]] = {
    query.__name__: query for query in (pageviews_by_http_method_5m, pageviews_stars_correlation)
}


def events(spark: "SparkSession", table: Path, files: int, columns: list[str]) -> "DataFrame":
    """The events of a table of silver, all of whose files belong to its newest version, so many files a micro-batch."""
    for file in table.glob("_lake_hour=*/*.parquet"):  # a file source reads in order of modification
        hour = parse_hour(file.parent.name.removeprefix("_lake_hour=")).timestamp()
        os.utime(file, (hour, hour))
    schema = spark.read.parquet(str(table)).schema
    stream = spark.readStream.schema(schema).option("maxFilesPerTrigger", files).parquet(str(table))
    return stream.select(*columns).withWatermark("event_time", LATE)


def write_stream(spark: "SparkSession", name: str, lake: Path, out: Path, files: int) -> None:
    """Runs one query over all of silver, ``files`` files of each table a micro-batch."""
    query = (
        QUERIES[name](spark, lake / "silver", files)
        .writeStream.format("parquet")
        .outputMode("append")
        .option("checkpointLocation", str(out / f"checkpoint-{name}"))
        .trigger(availableNow=True)
        .start(str(out / name))
    )
    query.awaitTermination()
