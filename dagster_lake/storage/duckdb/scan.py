"""SQL that reads one pinned version of one Delta table with DuckDB, straight from its Parquet files.

The files come from the Delta log, so that a reader sees one version whatever is written beside it, and only the
files that may hold wanted rows are listed. The partition column comes from the folder names: a constant condition
on it skips whole files without opening them.
"""

from collections.abc import Collection
from pathlib import Path

import numpy as np
import pyarrow as pa
from upath import UPath

from dagster_lake.storage.checksums import first_differing
from dagster_lake.storage.damage import Fault, TableDamaged, table_name
from dagster_lake.storage.delta.write import DeltaWriteError, Pinned


def scan_sql(
    pinned: Pinned,
    partitions: Collection[str] | None = None,
    overlapping: tuple[str, object, object] | None = None,
) -> str:
    """A SELECT of every column, in schema order, from the files of ``pinned``.

    ``partitions`` and ``overlapping`` narrow the files as in ``Pinned.files``; rows of the remaining files are not
    filtered. No files gives a typed SELECT without rows. Raises TableDamaged where a file of named ``partitions`` is
    not as it was written, so far as its checksum is known; a whole table is not compared each time that it is read.
    Raises DeltaWriteError where the lake's own path has a folder that would be read as a column.
    """
    files = pinned.files(partitions, overlapping)
    if partitions is not None:
        refuse_changed(pinned, files)
    return files_sql(pinned, files)


def refuse_changed(pinned: Pinned, files: Collection[str]) -> None:
    """Raises TableDamaged for the first of a local table's files that is not as it was written."""
    changed = first_differing(pinned.uri, files) if isinstance(pinned.uri, Path) else None
    if changed is not None:
        place, how = changed
        raise TableDamaged(table_name(pinned.uri), [Fault(UPath(place), how, "data")])


def files_sql(pinned: Pinned, files: Collection[str]) -> str:
    """A SELECT of every column of ``pinned`` from the given ones of its files."""
    if not files:
        return empty_sql(pinned.schema)
    columns = ", ".join(quoted(name) for name in pinned.schema.names)
    options = ["hive_partitioning = false"]
    if pinned.partition_column is not None:
        _refuse_path_with_columns(pinned)
        options = ["hive_partitioning = true", f"hive_types = {{{literal(pinned.partition_column)}: VARCHAR}}"]
    if not pinned.evolved:
        return f"SELECT {columns} FROM {_read(files, options)}"
    # Older files lack the added columns, and perhaps all of these files do.
    read = f"SELECT * FROM {_read(files, [*options, 'union_by_name = true'])}"
    return f"SELECT {columns} FROM ({read} UNION ALL BY NAME {empty_sql(pinned.schema)})"


def _refuse_path_with_columns(pinned: Pinned) -> None:
    """DuckDB takes every folder ``name=value`` of a path for a column, and gives its value for the table's own."""
    columns = {name.lower() for name in pinned.schema.names}
    for folder in str(pinned.uri).split("/"):
        name, equals, _ = folder.partition("=")
        if equals and name.lower() in columns:
            raise DeltaWriteError(
                f"{pinned.uri}: the folder {folder} would be read as the table's column {name}; move the lake to a "
                "folder of another name, and set LAKE_ROOT to it"
            )


def files_holding(pinned: Pinned, column: str, values: pa.Array) -> list[str]:
    """The files of ``pinned`` whose statistics allow a row with one of these values in ``column``; all files, where the
    values are no integers."""
    actions = pinned.actions
    if f"min.{column}" not in actions.column_names or not pa.types.is_integer(values.type):
        return pinned.files()
    wanted = np.sort(values.to_numpy())
    low = actions[f"min.{column}"].fill_null(np.iinfo(np.int64).min).to_numpy()
    high = actions[f"max.{column}"].fill_null(np.iinfo(np.int64).max).to_numpy()
    holds = np.searchsorted(wanted, low, side="left") < np.searchsorted(wanted, high, side="right")
    return [file for file, held in zip(pinned.files(), holds, strict=True) if held]


def empty_sql(schema: pa.Schema) -> str:
    """A SELECT with the columns and types of ``schema`` and no rows."""
    columns = ", ".join(f"CAST(NULL AS {sql_type(column.type)}) AS {quoted(column.name)}" for column in schema)
    return f"SELECT {columns} WHERE false"


def with_columns_sql(schema: pa.Schema, pinned: Pinned | None, partitions: Collection[str]) -> str:
    """A SELECT of a table's rows of some partitions with all columns of ``schema``, of which a table of an earlier
    version may have fewer; without rows where there is no table."""
    return empty_sql(schema) + ("" if pinned is None else f" UNION ALL BY NAME {scan_sql(pinned, partitions)}")


def failing_sql(schema: pa.Schema, why: str) -> str:
    """A SELECT with the columns and types of ``schema`` that fails with the message ``why`` when it is run."""
    columns = ", ".join(f"CAST(NULL AS {sql_type(column.type)}) AS {quoted(column.name)}" for column in schema)
    return f"SELECT {columns} FROM range(1) WHERE error({literal(why)}) IS NULL"


def sql_type(kind: pa.DataType) -> str:
    """The DuckDB type of an Arrow type. Raises ValueError for a type that no lake table has."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"{sql_type(kind.value_type)}[]"
    if pa.types.is_struct(kind):
        return f"STRUCT({', '.join(f'{quoted(field.name)} {sql_type(field.type)}' for field in kind)})"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz is None else "TIMESTAMP WITH TIME ZONE"
    try:
        return _SQL_TYPES[str(kind)]
    except KeyError:
        raise ValueError(f"{kind} has no DuckDB type here; the lake's types are {', '.join(_SQL_TYPES)}") from None


_SQL_TYPES = {
    "string": "VARCHAR",
    "large_string": "VARCHAR",
    "string_view": "VARCHAR",
    "int8": "TINYINT",
    "int16": "SMALLINT",
    "int32": "INTEGER",
    "int64": "BIGINT",
    "float": "FLOAT",
    "double": "DOUBLE",
    "bool": "BOOLEAN",
    "date32[day]": "DATE",
    "binary": "BLOB",
    "large_binary": "BLOB",
    "binary_view": "BLOB",
}


def quoted(name: str) -> str:
    """``name`` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """``text`` as a SQL string."""
    return "'" + text.replace("'", "''") + "'"


def _read(files: Collection[str], options: list[str]) -> str:
    return f"read_parquet({listed_paths(files)}, {', '.join(options)})"


def listed_paths(files: Collection[str]) -> str:
    """The paths as a SQL list that read_parquet takes literally, whatever characters they have."""
    return "[" + ", ".join(literal(without_wildcards(file)) for file in files) + "]"


def without_wildcards(path: str) -> str:
    """The path with the characters that read_parquet would expand taken literally."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in path)
