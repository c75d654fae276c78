"""How the values of each type are spelled in each kind of sink: without loss, or not at all.

Each is a DuckDB expression. What has no such value, as JSON has none for NaN, fails with the column's name.
"""

from collections.abc import Callable

import pyarrow as pa

from dagster_lake.storage.duckdb.scan import literal, quoted
from dagster_lake.streams.sinks.sink import SinkRefused

Spelling = Callable[[str, pa.DataType, str], str]
"""The expression of a column by its name, its type, and the expression that gives it."""


def as_json(name: str, kind: pa.DataType, value: str) -> str:
    """As to_json takes it: decimals as texts with all their digits, times in UTC as ISO 8601, bytes in Base64."""
    if _is_text(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_date(kind):
        return value
    if pa.types.is_floating(kind):
        return _finite(name, value, "JSON")
    if pa.types.is_decimal(kind):
        return f"CAST({value} AS VARCHAR)"
    if pa.types.is_timestamp(kind):
        return _instant(kind, value)
    if _is_bytes(kind):
        return f"base64({value})"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list_transform({value}, lambda x: {as_json(name, kind.value_type, 'x')})"
    if pa.types.is_struct(kind):
        # The field of the alias x is another one than the lambda's own.
        fields = (f"{quoted(f.name)} := {as_json(name, f.type, f'({value}).{quoted(f.name)}')}" for f in kind)
        return f"CASE WHEN ({value}) IS NULL THEN NULL ELSE struct_pack({', '.join(fields)}) END"
    raise SinkRefused(f"column {name} is {kind}, which no sink can hold; leave it out of the model, or cast it")


def as_csv(name: str, kind: pa.DataType, value: str) -> str:
    """As text: what is nested as JSON, times as in JSON. Null is nothing, and an empty text is quoted."""
    if _is_nested(kind):
        return _json_text(name, kind, value)
    if pa.types.is_floating(kind):
        return value
    return as_json(name, kind, value)


def as_parquet(name: str, kind: pa.DataType, value: str) -> str:
    """As it is."""
    return value


def as_sqlite(name: str, kind: pa.DataType, value: str) -> str:
    """SQLite has integers, doubles, texts and bytes; NaN becomes null there, which it is not."""
    if _is_nested(kind):
        return _json_text(name, kind, value)
    if pa.types.is_floating(kind):
        return f"CASE WHEN isnan({value}) THEN {_error(name, 'NaN', 'SQLite')} ELSE CAST({value} AS DOUBLE) END"
    if pa.types.is_date(kind):
        return f"CAST({value} AS VARCHAR)"
    return value if _is_bytes(kind) else as_json(name, kind, value)


def as_postgres(name: str, kind: pa.DataType, value: str) -> str:
    """PostgreSQL has all types; its driver takes decimals and JSON as texts, and a text has no character 0 there.

    What is nested is ``json``, not ``jsonb``, which has no such character either.
    """
    if _is_nested(kind):
        return _json_text(name, kind, value)
    if pa.types.is_decimal(kind):
        return f"CAST({value} AS VARCHAR)"
    if _is_text(kind):
        return (
            f"CASE WHEN contains({value}, chr(0)) THEN {_error(name, 'the character 0', 'PostgreSQL')} ELSE {value} END"
        )
    as_json(name, kind, value)  # for what it refuses
    return value


def sqlite_type(kind: pa.DataType) -> str:
    """The type of a column in SQLite. A decimal is text: as a number it would keep 15 digits."""
    if pa.types.is_boolean(kind):
        return "BOOLEAN"
    if pa.types.is_integer(kind):
        return "INTEGER"
    if pa.types.is_floating(kind):
        return "REAL"
    return "BLOB" if _is_bytes(kind) else "TEXT"


def postgres_type(kind: pa.DataType) -> str:
    """The type of a column in PostgreSQL."""
    if _is_nested(kind):
        return "json"
    if pa.types.is_decimal(kind):
        return f"numeric({kind.precision}, {kind.scale})"
    if pa.types.is_timestamp(kind):
        return "timestamptz" if kind.tz is not None else "timestamp"
    return _POSTGRES.get(str(kind), "bytea" if _is_bytes(kind) else "text")


_POSTGRES = {
    "int8": "smallint",
    "int16": "smallint",
    "int32": "integer",
    "int64": "bigint",
    "float": "real",
    "double": "double precision",
    "bool": "boolean",
    "date32[day]": "date",
}


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)


def _is_nested(kind: pa.DataType) -> bool:
    return pa.types.is_nested(kind)


def _json_text(name: str, kind: pa.DataType, value: str) -> str:
    return f"CAST(to_json({as_json(name, kind, value)}) AS VARCHAR)"


def _instant(kind: pa.TimestampType, value: str) -> str:
    if kind.tz is None:
        return f"strftime({value}, '%Y-%m-%dT%H:%M:%S.%f')"
    return f"strftime({value} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"


def _finite(name: str, value: str, where: str) -> str:
    return (
        f"CASE WHEN isnan({value}) OR isinf({value}) THEN {_error(name, 'NaN or an infinity', where)} ELSE {value} END"
    )


def _error(name: str, what: str, where: str) -> str:
    # Not constant, or it would fail when the query is bound.
    told = f"column {name} holds {what}, which {where} has not; leave it out in the model"
    return f"error({literal(told)} || substr(CAST(random() AS VARCHAR), 1, 0))"
