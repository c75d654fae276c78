"""Landing one hour of a database table: the rows that differ from the last one landed under their key and time."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import TypedDict

import pyarrow as pa
from upath import UPath

from dagster_lake.commit import commit
from dagster_lake.contract.model import Contract, DatabaseSource, Property
from dagster_lake.lake_hour import HOUR, HourRange
from dagster_lake.landing.attempt import ROW_GROUP_ROWS, AttemptFolder
from dagster_lake.landing.result import LandingError
from dagster_lake.sources.database.database import Database, Untimed
from dagster_lake.sources.database.dialect import listed, quoted
from dagster_lake.sources.database.fit import RESCUED
from dagster_lake.storage.duckdb.files import reading
from dagster_lake.storage.manifest import Manifest, landed_files

_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}


class TimesOf(TypedDict):
    """How a database's times are told, as ``Database`` takes it."""

    fallback: tuple[str, ...]
    time_zone: str


def land(contract: Contract, hour: datetime, database: Database, before: Manifest, attempt: AttemptFolder) -> Manifest:
    """Fills ``attempt`` with the hour's rows that are not landed yet; gives the manifest with what was seen."""
    # Looked at before it is read: a row committed in between is read now and costs one look too many later. The
    # other way around it would be missed for good.
    seen = look(contract, database, hour)
    found = _read(contract, database, hour)
    new = _not_landed(contract, found, before, attempt.path.parent) if before.files else found
    with commit(f"raw.{contract.name}.files"):
        attempt.write_parquet("rows", found.schema, new)
    return replace(before, source_state=seen)


def look(contract: Contract, database: Database, hour: datetime) -> str:
    """The fingerprint of the hour's rows as the database has them now."""
    source, times = _source(contract)
    return str(database.fingerprint(source.table, columns_of(contract), source.updated_at, hour, hour + HOUR, **times))


def has_news(contract: Contract, hour: datetime, database: Database, manifest: Manifest, folder: UPath) -> bool:
    """Whether the database has a row of the hour that is not landed, or not as it is now.

    A row that left the hour is no news: it was updated, and its new hour has it. ``folder`` is the hour's, in raw.
    """
    if look(contract, database, hour) == manifest.source_state:
        return False
    found = _read(contract, database, hour)
    new = _not_landed(contract, found, manifest, folder) if manifest.files else found
    return any(len(batch) for batch in new)


def untimed(contract: Contract, database: Database, hours: HourRange | None) -> Untimed:
    """The rows that land in no hour, since their time is null or none that can be read."""
    source, times = _source(contract)
    columns = columns_of(contract)
    keys = pa.schema([columns.field(p.name) for p in contract.keys])
    start, end = (hours.first, hours.end) if hours else (None, None)
    return database.untimed(source.table, keys, source.updated_at, start, end, **times)


def read_table(
    contract: Contract,
    database: Database,
    columns: pa.Schema,
    start: datetime | None = None,
    end: datetime | None = None,
    *,
    rescued: bool = False,
    written: bool = False,
) -> pa.RecordBatchReader:
    """The rows of the contract's table that were written in (start, end], or all; see ``Database.read``."""
    source, times = _source(contract)
    return database.read(
        source.table, columns, source.updated_at, start, end, rescued=rescued, written=written, **times
    )


def _read(contract: Contract, database: Database, hour: datetime) -> pa.RecordBatchReader:
    return read_table(contract, database, columns_of(contract), hour, hour + HOUR, rescued=True)


def _source(contract: Contract) -> tuple[DatabaseSource, TimesOf]:
    assert isinstance(contract.source, DatabaseSource)
    return contract.source, {"fallback": contract.source.fallback, "time_zone": contract.source.time_zone}


def columns_of(contract: Contract) -> pa.Schema:
    """The columns that raw and bronze have of a database table, in their types. Raw also has ``_rescued_data``."""
    return pa.schema([pa.field(p.name, _type(contract, p)) for p in contract.source_properties])


def _type(contract: Contract, prop: Property) -> pa.DataType:
    if prop.precision is not None and prop.scale is not None:
        return pa.decimal128(prop.precision, prop.scale)
    if prop.logical_type not in _TYPES:
        raise LandingError(
            f"{contract.name}: {prop.name} is {prop.logical_type}, which no database column is; "
            f"use one of {', '.join(_TYPES)} in {contract.file}"
        )
    return _TYPES[prop.logical_type]


def _not_landed(
    contract: Contract, found: pa.RecordBatchReader, before: Manifest, folder: UPath
) -> Iterator[pa.RecordBatch]:
    source, _ = _source(contract)
    keys = [quoted(p.name) for p in contract.keys]
    written = f"coalesce({listed((source.updated_at, *source.fallback))})"
    # A key that does not fit its type is null, and what it was is among the rescued: such rows are told apart by that.
    odd_key = f"CASE WHEN {' OR '.join(f'{key} IS NULL' for key in keys)} THEN {quoted(RESCUED.name)} END"
    version = ", ".join([*keys, written, odd_key])
    order = ", ".join([written, *keys, listed(found.schema.names)])
    same = " AND ".join(f"found.{quoted(c)} IS NOT DISTINCT FROM last.{quoted(c)}" for c in found.schema.names)
    # What the newest attempt that holds a key and time has of it; attempt folders sort by number. Older files may lack
    # columns.
    sql = f"""
        WITH landed AS (
            SELECT * FROM none UNION ALL BY NAME
            SELECT * FROM read_parquet($files, filename = '_file', union_by_name = true, hive_partitioning = false)
        ), last AS (
            SELECT * FROM landed
            QUALIFY rank() OVER (PARTITION BY {version} ORDER BY parse_dirpath(_file) DESC) = 1
        )
        SELECT found.* FROM found ANTI JOIN last ON {same} ORDER BY {order}"""
    files = [str(place) for _, _, place in landed_files(folder, before)]
    with reading(folder) as connection:
        connection.register("found", found)
        connection.register("none", found.schema.empty_table())
        new = connection.sql(sql, params={"files": files}).to_arrow_reader(ROW_GROUP_ROWS)
        assert new is not None
        for batch in new:
            yield batch.cast(found.schema)
