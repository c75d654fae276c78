"""The files that Stream Analytics writes to the lake: ``stream_analytics/<stream>/year=/month=/day=/hour=``.

They are filed by the time of the result, so that one exactly on the hour is filed under the hour that begins then; in
the lake it belongs to the hour that ends then.
"""

from collections.abc import Collection

import duckdb
import pyarrow as pa
from upath import UPath

from dagster_lake.lake_hour import HOUR, parse_hour
from dagster_lake.storage.duckdb.scan import empty_sql, listed_paths, literal, quoted, sql_type
from dagster_lake.storage.paths import Lake

FOLDER = "stream_analytics"
_SUFFIX = {"parquet": ".parquet", "json_lines": ".json"}


def outputs_of(lake: Lake, stream: str) -> UPath:
    """The folder of one stream's files."""
    return lake.root / FOLDER / stream


def files_of(lake: Lake, stream: str, file_format: str, hours: Collection[str]) -> list[str]:
    """The files that may hold results of the lake ``hours``. ``file_format`` is parquet or json_lines."""
    folders = {start + step * HOUR for start in map(parse_hour, hours) for step in (0, 1)}
    found = []
    for hour in sorted(folders):
        folder = outputs_of(lake, stream).joinpath(*f"{hour:year=%Y/month=%m/day=%d/hour=%H}".split("/"))
        if folder.exists():
            found += sorted(str(file) for file in folder.iterdir() if file.name.endswith(_SUFFIX[file_format]))
    return found


def results_sql(con: duckdb.DuckDBPyConnection, files: Collection[str], file_format: str, columns: pa.Schema) -> str:
    """A SELECT of the results in ``files`` with the given columns, and ``_lake_hour``.

    A value that is not of its column's type, and a column that the files lack, are null. Raises duckdb.Error for a
    file that cannot be read.
    """
    if not files:
        return empty_sql(columns.append(pa.field("_lake_hour", pa.string())))
    if file_format == "parquet":
        read = f"read_parquet({listed_paths(files)}, union_by_name = true, hive_partitioning = false)"
        there = {row[0] for row in con.execute(f"DESCRIBE SELECT * FROM {read}").fetchall()}
    else:
        as_text = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in columns.names)
        read = f"read_json({listed_paths(files)}, format = 'newline_delimited', columns = {{{as_text}}})"
        there = set(columns.names)
    typed = ", ".join(
        f"TRY_CAST({quoted(c.name) if c.name in there else 'NULL'} AS {sql_type(c.type)}) AS {quoted(c.name)}"
        for c in columns
    )
    hour = "strftime(date_trunc('hour', _time - INTERVAL 1 MICROSECOND), '%Y-%m-%dT%H')"
    return f"SELECT *, {hour} AS _lake_hour FROM (SELECT {typed} FROM {read})"
