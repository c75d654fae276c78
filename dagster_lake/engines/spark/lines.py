"""Raw as Spark sees it: the relation ``lines`` that bronze's SELECT reads, as ``raw_lines`` offers it to DuckDB."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from dagster_lake.contract.columns import INGESTED_AT, RESCUED, arrow_type, partition_field
from dagster_lake.contract.model import Contract, EventHubSource, FileSource
from dagster_lake.engines.landed import LandedFile
from dagster_lake.sql.spark import quoted
from dagster_lake.storage.delta.spark_ddl import sql_type

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# The last three parts of a raw file's path: partition, attempt, file. The lake names them all, so that they read the
# same in a path and in the URL that Spark makes of it.
_PLACE = "regexp_extract(_metadata.file_path, '([^/]+/[^/]+/[^/]+)$', 1)"
_EVENTS = "body BINARY, enqueued_time TIMESTAMP, partition STRING, sequence_number BIGINT"
_DOCUMENTS = "body BINARY, modified TIMESTAMP, source_file STRING, _row BIGINT"
_BYTE_ORDER_MARK = "X'EFBBBF'"


def offer_lines(spark: "SparkSession", contract: Contract, files: Sequence[LandedFile]) -> None:
    """Creates the temporary view ``lines``, every row of these raw files."""
    _lines(spark, contract, files).createOrReplaceTempView("lines")


def _lines(spark: "SparkSession", contract: Contract, files: Sequence[LandedFile]) -> "DataFrame":
    from pyspark.sql.functions import broadcast

    places = [file.place for file in files]
    carried = (INGESTED_AT.name, partition_field(contract).name)
    own: tuple[str, ...]
    if isinstance(contract.source, EventHubSource):
        read = _read_parquet(spark, places, _EVENTS)
        own = (
            "body",
            "enqueued_time AS _enqueued_time",
            "partition AS _partition",
            "sequence_number AS _sequence_number",
            "_label AS _source_file",
            "sequence_number AS _source_row",
        )
    elif isinstance(contract.source, FileSource):
        if contract.source.format == "json_lines":
            read = _read_lines(spark, places)
            own = ("body", "_modified AS _source_modified", "_label AS _source_file", "_row AS _source_row")
        else:
            # A document's own file name and time stand beside it.
            read = _read_parquet(spark, places, _DOCUMENTS)
            own = (
                f"{_without_byte_order_mark('body')} AS body",
                "modified AS _source_modified",
                "source_file AS _source_file",
                "coalesce(_row, 1L) AS _source_row",
            )
    else:
        columns = {quoted(p.name): sql_type(arrow_type(p)) for p in contract.source_properties}
        columns[RESCUED.name] = sql_type(RESCUED.type)
        read = _read_parquet(spark, places, ", ".join(f"{name} {kind}" for name, kind in columns.items()))
        own = (*columns, "_label AS _source_file", "_row_index + 1 AS _source_row")
    return read.join(broadcast(_described(spark, contract, files)), "_place").selectExpr(*own, *carried)


def _read_parquet(spark: "SparkSession", places: Sequence[str], schema: str) -> "DataFrame":
    if not places:
        return spark.createDataFrame([], f"{schema}, _place STRING, _row_index BIGINT")
    read = spark.read.schema(schema).parquet(*places)
    return read.selectExpr("*", f"{_PLACE} AS _place", "_metadata.row_index AS _row_index")


def _read_lines(spark: "SparkSession", places: Sequence[str]) -> "DataFrame":
    """``body`` and ``_row`` of every line as ``storage.lines`` gives them: numbered from 1 in its file, empty ones left
    out, the line end included, a byte order mark at the file's start dropped."""
    if not places:
        return spark.createDataFrame([], "_place STRING, _row BIGINT, body BINARY")
    # Spark cuts a long file into blocks that several tasks read; the number of a line is its rank by block and by its
    # place in the block.
    numbered = (
        spark.read.text(list(places), lineSep="\n")
        .selectExpr(
            "CAST(value AS BINARY) AS _bytes",
            f"{_PLACE} AS _place",
            "_metadata.file_block_start AS _block",
            "monotonically_increasing_id() AS _id",
        )
        .selectExpr("*", "row_number() OVER (PARTITION BY _place ORDER BY _block, _id) AS _row")
    )
    marked = f"CASE WHEN _row = 1 THEN {_without_byte_order_mark('_bytes')} ELSE _bytes END"
    return (
        numbered.selectExpr("_place", "CAST(_row AS BIGINT) AS _row", f"{marked} AS _bytes")
        .where("length(_bytes) > 0 AND _bytes <> X'0D'")
        .selectExpr("_place", "_row", "concat(_bytes, X'0A') AS body")
    )


def _described(spark: "SparkSession", contract: Contract, files: Sequence[LandedFile]) -> "DataFrame":
    """What the rows of each file are to know of it."""
    return spark.createDataFrame(
        pa.table(
            {
                "_place": pa.array(["/".join(file.place.split("/")[-3:]) for file in files], pa.string()),
                partition_field(contract).name: pa.array([file.partition for file in files], pa.string()),
                INGESTED_AT.name: pa.array([file.landed_at for file in files], INGESTED_AT.type),
                "_label": pa.array([file.label for file in files], pa.string()),
                "_modified": pa.array([file.modified for file in files], INGESTED_AT.type),
            }
        )
    )


def _without_byte_order_mark(body: str) -> str:
    return f"CASE WHEN left({body}, 3) = {_BYTE_ORDER_MARK} THEN substring({body}, 4) ELSE {body} END"
