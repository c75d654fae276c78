"""One stream's table held against what Stream Analytics wrote of it, for those hours that both must have by now."""

from collections.abc import Collection

import pyarrow as pa

from dagster_lake.contract.model import contracts
from dagster_lake.lake_hour import HOUR, hour_key, parse_hour
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta.write import Pinned
from dagster_lake.storage.duckdb.connection import connection
from dagster_lake.storage.duckdb.scan import scan_sql
from dagster_lake.storage.manifest import read_manifest
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.declarations import StreamDeclaration
from dagster_lake.streams.stream_analytics.compare import Comparison, Shape, compare
from dagster_lake.streams.stream_analytics.outputs import files_of, results_sql


def shape_of(stream: StreamDeclaration, table: pa.Schema) -> Shape:
    """What of a stream's table both have, and how far it may differ."""
    values = tuple(column for column in stream.delivered if column not in stream.key)
    floats = frozenset(column for column in values if pa.types.is_floating(table.field(column).type))
    tolerance = stream.query.tolerance
    return Shape(tuple(stream.key), values, floats, tolerance.values, tolerance.rows)


def settled_hours(lake: Lake, stream: StreamDeclaration, written: Collection[str]) -> list[str]:
    """Those of the hours ``written``, and of the hours before them, that are landed completely, as is the next one.

    Events of an hour's last minute may arrive in the next, in the lake as in Stream Analytics.
    """
    complete: dict[tuple[str, str], bool] = {}

    def landed(data_set: str, hour: str) -> bool:
        if (data_set, hour) not in complete:
            contract = contracts()[data_set]
            manifest = read_manifest(lake.raw_partition(data_set, hour, sensitive=contract.sensitive))
            complete[data_set, hour] = manifest is not None and manifest.complete
        return complete[data_set, hour]

    def settled(hour: str) -> bool:
        following = hour_key(parse_hour(hour) + HOUR)
        return all(landed(data_set, hour) and landed(data_set, following) for data_set in stream.inputs)

    candidates = {*written, *(hour_key(parse_hour(hour) - HOUR) for hour in written)}
    return [hour for hour in sorted(candidates) if settled(hour)]


def reconciled(
    settings: Settings, lake: Lake, stream: StreamDeclaration, table: Pinned, hours: Collection[str]
) -> Comparison:
    """The table's ``hours`` compared with what Stream Analytics wrote of them.

    Raises duckdb.Error for a file that cannot be read.
    """
    columns = pa.schema([table.schema.field(name) for name in stream.delivered])
    file_format = stream.query.format
    files = files_of(lake, stream.name, file_format, hours)
    with connection(settings) as con:
        theirs = f"({results_sql(con, files, file_format, columns)})"
        return compare(con, f"({scan_sql(table, hours)})", theirs, sorted(hours), shape_of(stream, table.schema))
