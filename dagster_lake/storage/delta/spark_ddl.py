"""A TableSpec as Spark's and Databricks' SQL: the same table that delta-rs makes of it."""

from collections.abc import Mapping

import pyarrow as pa

from dagster_lake.sql.spark import literal, quoted
from dagster_lake.storage.delta.spec import STATISTICS, TableSpec

# Read by delta-rs and DuckDB too, which know neither deletion vectors nor column mapping.
_PROPERTIES = {"delta.enableDeletionVectors": "false", "delta.columnMapping.mode": "none"}


def table_ddl(name: str, spec: TableSpec, location: str | None, comments: Mapping[str, str] | None = None) -> str:
    """What follows CREATE TABLE; ``name`` is SQL, ``comments`` are those of columns.

    ``location`` is where it lies, unless its name says so.
    """
    described = comments or {}
    columns = ", ".join(_column(column, described.get(column.name)) for column in spec.schema)
    partitioned = f" PARTITIONED BY ({quoted(spec.partition_by)})" if spec.partition_by else ""
    placed = f" LOCATION {literal(location)}" if location else ""
    comment = f" COMMENT {literal(spec.description)}" if spec.description else ""
    properties = ", ".join(f"{literal(k)} = {literal(v)}" for k, v in {**_PROPERTIES, **_statistics(spec)}.items())
    return f"{name} ({columns}) USING DELTA{partitioned}{placed}{comment} TBLPROPERTIES ({properties})"


def sql_type(kind: pa.DataType) -> str:
    """The Spark type of an Arrow type. Raises ValueError for a type that no lake table has."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"ARRAY<{sql_type(kind.value_type)}>"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz else "TIMESTAMP_NTZ"
    try:
        return _SQL_TYPES[str(kind)]
    except KeyError:
        raise ValueError(f"{kind} has no Spark type here; the lake's types are {', '.join(_SQL_TYPES)}") from None


_SQL_TYPES = {
    "string": "STRING",
    "large_string": "STRING",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INT",
    "int64": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "date32[day]": "DATE",
    "binary": "BINARY",
}


def _column(column: pa.Field, comment: str | None) -> str:
    required = "" if column.nullable else " NOT NULL"
    return f"{quoted(column.name)} {sql_type(column.type)}{required}{f' COMMENT {literal(comment)}' if comment else ''}"


def _statistics(spec: TableSpec) -> dict[str, str]:
    if spec.statistics:
        return {STATISTICS: spec.statistics_property}
    return {"delta.dataSkippingNumIndexedCols": "0"}
