"""Rows as a database gave them, brought into the lake's types: what does not fit is put aside and never lost.

SQLite keeps any value in any column, and PostgreSQL's types hold more than the lake's: a price with three decimals, a
number that is none, the year 20000. Such a value is null in its column, and its text stands in ``_rescued_data``.
"""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from dagster_lake.compile.dialect import DATE
from dagster_lake.compile.duckdb_dialect import DuckDBDialect
from dagster_lake.contract.model import LogicalType, Property
from dagster_lake.sources.database.dialect import MISFIT, WRITTEN, DatabaseError, Query, quoted
from dagster_lake.storage.duckdb.shared import database

RESCUED = pa.field("_rescued_data", pa.string())
WRITTEN_AT = pa.field(WRITTEN, pa.timestamp("us", "UTC"))
BLOB = "\x01blob:"
"""Before the hexadecimal digits of bytes where a text, number or time belongs."""

_BATCH_ROWS = 100_000
_MEMORY_LIMIT = "1GB"
_EPOCH_SECONDS = "[0-9]{9,11}(\\.[0-9]*)?"  # 1973 to 5138: neither a Julian day nor milliseconds
_OFFSET = ".*(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
_DIALECT = DuckDBDialect()


def fitted(query: Query, wire: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """The rows of ``wire`` in the query's types and range, by (time, columns), with ``WRITTEN`` and ``RESCUED``.

    Raises DatabaseError where the database gave a row of another hour.
    """
    columns = [field.name for field in query.columns]
    order = ", ".join([WRITTEN, *(quoted(name) for name in columns)])
    within = f"WHERE {WRITTEN} > $start AND {WRITTEN} <= $end ORDER BY {order}" if query.start else ""
    params = {"start": query.start, "end": query.end} if query.start else {}
    schema = pa.schema([*query.columns, RESCUED, WRITTEN_AT])
    with database(_MEMORY_LIMIT) as connection:
        connection.register("wire", wire)
        found = connection.sql(f"SELECT * FROM ({_select(query, wire.schema)}) {within}", params=params)
        for batch in found.to_arrow_reader(_BATCH_ROWS):
            yield _asserted(query, batch.cast(schema))


def without_time(query: Query, wire: pa.RecordBatchReader, examples: int) -> tuple[int, list[dict[str, str]]]:
    """How many rows of ``wire`` have no time that can be read, and the columns and times of some, as text."""
    names = list(dict.fromkeys([*query.columns.names, *(f"{MISFIT}{name}" for name in query.columns.names)]))
    shown = [quoted(name) for name in names if name in wire.schema.names]
    time = _instant(WRITTEN, query) if pa.types.is_string(wire.schema.field(WRITTEN).type) else WRITTEN
    with database(_MEMORY_LIMIT) as connection:
        connection.register("wire", wire)
        found = f"SELECT *, {time} AS _time FROM ({_trimmed(query, wire.schema)})"
        connection.execute(f"CREATE TEMP TABLE found AS SELECT {', '.join(shown)} FROM ({found}) WHERE _time IS NULL")
        rows = connection.execute("SELECT count(*) FROM found").fetchall()[0][0]
        some = connection.sql(f"SELECT * FROM found ORDER BY ALL LIMIT {examples:d}").to_arrow_table()
    return rows, [_shown(row) for row in some.to_pylist()]


def _shown(row: dict[str, Any]) -> dict[str, str]:
    given = {name: value for name, value in row.items() if value is not None}
    return {name.removeprefix(MISFIT): str(value).replace(BLOB, "hex:") for name, value in given.items()}


def _select(query: Query, wire: pa.Schema) -> str:
    """Each column in its type, what was put aside, and the time."""
    values, misfits = [], []
    for field in query.columns:
        name, text = quoted(field.name), pa.types.is_string(wire.field(field.name).type)
        value = _value(field, query) if text else f"CAST({name} AS {_DIALECT.sql_type(property_of(field))})"
        values.append(f"{value} AS {quoted('value of ' + field.name)}")
        if f"{MISFIT}{field.name}" in wire.names:
            misfits.append((field.name, quoted(f"{MISFIT}{field.name}")))
        elif text:
            given = name if pa.types.is_string(field.type) else _text(field.name)
            shown = f"CASE WHEN starts_with({name}, '{BLOB}') THEN 'hex:' || {name}[{len(BLOB) + 1}:] ELSE {name} END"
            is_misfit = f"{given} IS NOT NULL AND {quoted('value of ' + field.name)} IS NULL"
            misfits.append((field.name, f"CASE WHEN {is_misfit} THEN {shown} END"))
    time = _instant(WRITTEN, query) if pa.types.is_string(wire.field(WRITTEN).type) else WRITTEN
    columns = [f"{quoted('value of ' + f.name)} AS {quoted(f.name)}" for f in query.columns]
    texts = [f"{text} AS {quoted('misfit of ' + name)}" for name, text in misfits]
    inner = f"SELECT *, {', '.join([*values, f'{time} AS _time'])} FROM ({_trimmed(query, wire)})"
    inner = f"SELECT *{''.join(', ' + text for text in texts)} FROM ({inner})"
    columns += [_rescued([name for name, _ in misfits]), f"_time AS {WRITTEN}"]
    return f"SELECT {', '.join(columns)} FROM ({inner})"


def _trimmed(query: Query, wire: pa.Schema) -> str:
    """``wire`` with the trimmed text of each column that comes as text and is none. It has a name because it is looked
    at many times: written out each time, the statement is so long that reading it takes longer than the rows do."""
    texts = {}
    for field in query.columns:
        if pa.types.is_string(wire.field(field.name).type) and not pa.types.is_string(field.type):
            trimmed = _DIALECT.trimmed(quoted(field.name))
            texts[field.name] = _one_space(trimmed) if pa.types.is_timestamp(field.type) else trimmed
    if pa.types.is_string(wire.field(WRITTEN).type):
        # A time of writing is found by how its text begins, so that nothing may stand before it.
        texts[WRITTEN] = _one_space(f"rtrim({quoted(WRITTEN)}, E' \\t\\r\\n')")
    return f"SELECT *{''.join(f', {text} AS {_text(name)}' for name, text in texts.items())} FROM wire"


def _text(name: str) -> str:
    return quoted(f"trimmed text of {name}")


def _one_space(text: str) -> str:
    """A time's text without the space that SQLite takes before an offset."""
    return f"regexp_replace({text}, ' +(Z|[+-][0-9:]+)$', '\\1')"


def _rescued(names: list[str]) -> str:
    if not names:
        return f"CAST(NULL AS VARCHAR) AS {RESCUED.name}"
    any_misfit = " OR ".join(f"{quoted('misfit of ' + name)} IS NOT NULL" for name in names)
    fields = ", ".join(f"{_DIALECT.literal(name)}, {quoted('misfit of ' + name)}" for name in names)
    # A merge patch onto nothing leaves out what is null.
    rest = f"CAST(json_merge_patch('{{}}', json_object({fields})) AS VARCHAR)"
    return f"CASE WHEN {any_misfit} THEN {rest} END AS {RESCUED.name}"


def _value(field: pa.Field, query: Query) -> str:
    """The text of a column in its type; null where it is not exactly of that type."""
    name, prop = quoted(field.name), property_of(field)
    if pa.types.is_string(field.type):
        return f"CASE WHEN NOT starts_with({name}, '{BLOB}') THEN {name} END"
    text = _text(field.name)
    if pa.types.is_boolean(field.type):
        return f"CASE WHEN lower({text}) IN ('1', 'true') THEN true WHEN lower({text}) IN ('0', 'false') THEN false END"
    return _instant(field.name, query) if pa.types.is_timestamp(field.type) else _DIALECT.try_cast(text, prop)


def _instant(name: str, query: Query) -> str:
    """The instant that a text says: a time with an offset, one without in the database's zone, or seconds since 1970.

    The hour that a change of clocks repeats is taken for the later one, and one that it leaves out for the time as it
    would have gone on, as PostgreSQL does: every text is exactly one instant.
    """
    text = _text(name)
    stamp = Property("t", "timestamp", "")
    day = f"{text} || ' 00:00:00'"
    zone = _DIALECT.literal(query.time_zone)

    def local(of: str) -> str:
        utc = _DIALECT.try_cast(of, stamp)
        return utc if query.time_zone == "UTC" else f"timezone({zone}, timezone('UTC', {utc}))"

    return (
        f"CASE WHEN {_DIALECT.matches(text, _EPOCH_SECONDS)} "
        f"THEN make_timestamptz(CAST(CAST({text} AS DECIMAL(20, 6)) * 1000000 AS BIGINT)) "
        f"WHEN {_DIALECT.matches(text, DATE)} THEN {local(day)} "
        f"WHEN {_DIALECT.matches(f'{text}[11:]', _OFFSET)} THEN {_DIALECT.try_cast(text, stamp)} "
        f"ELSE {local(text)} END"
    )


def _asserted(query: Query, batch: pa.RecordBatch) -> pa.RecordBatch:
    import pyarrow.compute as pc

    if query.start is None or query.end is None or not len(batch):
        return batch
    least, most = (bound.as_py() for bound in pc.min_max(batch.column(WRITTEN)).values())
    if not (query.start < least and most <= query.end):
        raise DatabaseError(
            f"table {query.table}: asked for rows written after {query.start.isoformat()} and up to "
            f"{query.end.isoformat()}, the database gave some of {least.isoformat()} to {most.isoformat()}; it "
            "compares times otherwise than they are read: name a column that holds times and nothing else"
        )
    return batch


def property_of(field: pa.Field) -> Property:
    """A property of the field's type."""
    kinds: list[tuple[bool, LogicalType]] = [
        (pa.types.is_integer(field.type), "integer"),
        (pa.types.is_floating(field.type), "number"),
        (pa.types.is_boolean(field.type), "boolean"),
        (pa.types.is_date(field.type), "date"),
        (pa.types.is_timestamp(field.type), "timestamp"),
    ]
    if pa.types.is_decimal(field.type):
        return Property(field.name, "number", "", precision=field.type.precision, scale=field.type.scale)
    return Property(field.name, next((kind for found, kind in kinds if found), "string"), "")
