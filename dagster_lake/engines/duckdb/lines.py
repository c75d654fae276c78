"""Raw as DuckDB sees it: the relation ``lines`` that bronze's SELECT reads."""

from collections.abc import Iterator, Sequence

import duckdb
import pyarrow as pa

from dagster_lake.contract.columns import (
    INGESTED_AT,
    RESCUED,
    SOURCE_FILE,
    SOURCE_MODIFIED,
    SOURCE_ROW,
    arrow_type,
    partition_field,
)
from dagster_lake.contract.model import Contract, EventHubSource, FileSource
from dagster_lake.engines.landed import LandedFile
from dagster_lake.engines.raw_files import raw_files
from dagster_lake.storage.duckdb.scan import empty_sql, listed_paths, literal, quoted, sql_type
from dagster_lake.storage.lines import line_batches
from dagster_lake.storage.manifest import Manifest
from dagster_lake.storage.paths import Lake

_BYTE_ORDER_MARK = "'\\xEF\\xBB\\xBF'::BLOB"


def offer_lines(con: duckdb.DuckDBPyConnection, lake: Lake, contract: Contract, landed: list[Manifest]) -> None:
    """Creates ``lines``, every row of the landed partitions; it can be read once.

    ``_source_file`` says the same however often raw was landed: the dropped file's own name, or the data set with the
    number of the attempt and file.
    """
    files = raw_files(lake, contract, landed)
    if isinstance(contract.source, FileSource) and contract.source.format == "json_lines":
        con.register("lines", pa.RecordBatchReader.from_batches(_line_schema(contract), _lines(lake, contract, files)))
        return
    con.execute(f"CREATE OR REPLACE TEMP VIEW lines AS {_select(con, contract, files)}")


def _select(con: duckdb.DuckDBPyConnection, contract: Contract, files: list[LandedFile]) -> str:
    partition = partition_field(contract).name
    if not files:
        return f"SELECT * FROM ({empty_sql(_empty_schema(contract))})"
    described = pa.table(
        {
            "_file": [f.place for f in files],
            partition: [f.partition for f in files],
            INGESTED_AT.name: pa.array([f.landed_at for f in files], INGESTED_AT.type),
            "_label": [f.label for f in files],
        }
    )
    con.register("raw_files", described)
    paths = listed_paths([f.place for f in files])
    options = "filename = '_file', hive_partitioning = false"
    if isinstance(contract.source, EventHubSource):
        position = (
            "enqueued_time AS _enqueued_time, partition AS _partition, sequence_number AS _sequence_number, "
            "_label AS _source_file, sequence_number AS _source_row"
        )
        read = f"read_parquet({paths}, {options}) JOIN raw_files USING (_file)"
        return f"SELECT body, {position}, {INGESTED_AT.name}, {partition} FROM {read}"
    if isinstance(contract.source, FileSource):
        position = "modified AS _source_modified, source_file AS _source_file, coalesce(_row, 1) AS _source_row"
        # A byte order mark at the start is dropped, as it is from files of lines.
        body = f"CASE WHEN body[1:3] = {_BYTE_ORDER_MARK} THEN body[4:] ELSE body END AS body"
        numbered = (
            f"(SELECT * FROM read_parquet({paths}, {options}, union_by_name = true) "
            "UNION ALL BY NAME SELECT CAST(NULL AS BIGINT) AS _row WHERE false) JOIN raw_files USING (_file)"
        )  # documents that landed before arrays were read have no number
        return f"SELECT {body}, {position}, {INGESTED_AT.name}, {partition} FROM {numbered}"
    typed = [*(pa.field(p.name, arrow_type(p)) for p in contract.source_properties), RESCUED]
    own = ", ".join(f"{quoted(_given(field))} AS {quoted(field.name)}" for field in typed)
    position = "_label AS _source_file, file_row_number + 1 AS _source_row"
    read = f"read_parquet({paths}, {options}, file_row_number = true, schema = {_columns(typed)})"
    return f"SELECT {own}, {position}, {INGESTED_AT.name}, {partition} FROM {read} JOIN raw_files USING (_file)"


def _columns(fields: Sequence[pa.Field]) -> str:
    """What ``read_parquet`` is to read, and as what: a column may be named as what DuckDB adds, and files of before a
    column was added lack it."""
    columns = ", ".join(
        f"{literal(field.name)}: {{name: {literal(_given(field))}, type: {literal(sql_type(field.type))}, "
        "default_value: NULL}"
        for field in fields
    )
    return f"MAP {{{columns}}}"


def _given(field: pa.Field) -> str:
    return f"_given {field.name}"


def _lines(lake: Lake, contract: Contract, files: list[LandedFile]) -> Iterator[pa.RecordBatch]:
    schema = _line_schema(contract)
    for file in files:
        for batch in line_batches(lake.file(file.place)):
            same = [
                pa.repeat(pa.scalar(v, f.type), len(batch)) for v, f in zip(_of(file), list(schema)[2:], strict=True)
            ]
            yield pa.RecordBatch.from_arrays([batch["body"], batch["row"], *same], schema=schema)


def _of(file: LandedFile) -> tuple[object, ...]:
    return file.modified, file.label, file.landed_at, file.partition


def _line_schema(contract: Contract) -> pa.Schema:
    body = pa.field("body", pa.binary(), nullable=False)
    return pa.schema([body, SOURCE_ROW, SOURCE_MODIFIED, SOURCE_FILE, INGESTED_AT, partition_field(contract)])


def _empty_schema(contract: Contract) -> pa.Schema:
    from dagster_lake.contract.columns import bronze_schema

    schema = bronze_schema(contract)
    return schema if contract.typed_source else schema.append(pa.field("body", pa.binary()))
