"""Landing one hour of a database table: the rows that differ from the last one landed under their key and time."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

import duckdb
import pyarrow as pa

from dagster_lake.commit import commit
from dagster_lake.contract import Contract, DatabaseSource, Property
from dagster_lake.lake_hour import HOUR
from dagster_lake.landing.attempt import ROW_GROUP_ROWS, AttemptFolder
from dagster_lake.landing.result import LandingError
from dagster_lake.resources.database import Database
from dagster_lake.resources.database_dialect import listed, quoted
from dagster_lake.storage.duckdb_files import let_read
from dagster_lake.storage.manifest import Manifest, landed_files

_TYPES: dict[str, pa.DataType] = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
}


def land(contract: Contract, hour: datetime, database: Database, before: Manifest, attempt: AttemptFolder) -> Manifest:
    """Fills ``attempt`` with the hour's rows that are not landed yet; gives the manifest with what was seen."""
    assert isinstance(contract.source, DatabaseSource)
    # Looked at before it is read: a row committed in between is read now and costs one look too many later. The
    # other way around it would be missed for good.
    seen = look(contract, database, hour)
    columns = columns_of(contract)
    source = contract.source
    found = database.read(source.table, columns, source.updated_at, hour, hour + HOUR)
    new = _not_landed(contract, found, before, attempt) if before.files else found
    with commit(f"raw.{contract.name}.files"):
        attempt.write_parquet("rows", columns, new)
    return replace(before, source_state=seen)


def look(contract: Contract, database: Database, hour: datetime) -> str:
    """The fingerprint of the hour's rows as the database has them now."""
    assert isinstance(contract.source, DatabaseSource)
    source = contract.source
    return str(database.fingerprint(source.table, columns_of(contract), source.updated_at, hour, hour + HOUR))


def columns_of(contract: Contract) -> pa.Schema:
    """The columns that raw and bronze have of a database table, in their types."""
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
    contract: Contract, found: pa.RecordBatchReader, before: Manifest, attempt: AttemptFolder
) -> Iterator[pa.RecordBatch]:
    assert isinstance(contract.source, DatabaseSource)
    version = listed(dict.fromkeys([*(p.name for p in contract.keys), contract.source.updated_at]))
    order = listed(dict.fromkeys([contract.source.updated_at, *(p.name for p in contract.keys)]))
    same = " AND ".join(f"found.{quoted(c)} IS NOT DISTINCT FROM last.{quoted(c)}" for c in found.schema.names)
    # An attempt holds a key and time once, and attempt folders sort by number.
    sql = f"""
        WITH last AS (
            SELECT * FROM read_parquet(?, filename = '_file')
            QUALIFY row_number() OVER (PARTITION BY {version} ORDER BY _file DESC) = 1
        )
        SELECT found.* FROM found ANTI JOIN last ON {same} ORDER BY {order}"""
    files = [str(place) for _, _, place in landed_files(attempt.path.parent, before)]
    with tempfile.TemporaryDirectory() as spill, duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; SET memory_limit = '1GB'")
        connection.execute("SET temp_directory = ?", [spill])
        let_read(connection, attempt.path)
        connection.register("found", found)
        new = connection.sql(sql, params=[files]).to_arrow_reader(ROW_GROUP_ROWS)
        assert new is not None
        for batch in new:
            yield batch.cast(found.schema)
