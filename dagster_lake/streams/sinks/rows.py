"""The rows of a stream's hour as a sink gets them: those that can no longer change, always in the same order."""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta.write import Pinned
from dagster_lake.storage.duckdb.connection import connection
from dagster_lake.storage.duckdb.scan import quoted, scan_sql
from dagster_lake.streams.declarations import FINAL, RESULT_TIME
from dagster_lake.streams.sinks.sink import SinkRefused
from dagster_lake.streams.sinks.values import Spelling

BATCH_ROWS = 20_000


def sent_columns(pinned: Pinned) -> pa.Schema:
    """The columns that sinks get: all but the one that tells final rows, for they get no others."""
    return pa.schema([field for field in pinned.schema if field.name != FINAL])


def rows_sql(pinned: Pinned, hour: str, key: tuple[str, ...], spelling: Spelling) -> str:
    """A SELECT of the hour's rows, each column as ``spelling`` says, by their time and key.

    Of a stream that tells final rows, the others are left out; one of an earlier version, which did not tell, is final.
    """
    columns = ", ".join(
        f"{spelling(field.name, field.type, f'of.{quoted(field.name)}')} AS {quoted(field.name)}"
        for field in sent_columns(pinned)
    )
    final = f" WHERE of.{quoted(FINAL)} IS DISTINCT FROM false" if FINAL in pinned.schema.names else ""
    order = ", ".join(f"of.{quoted(name)}" for name in dict.fromkeys([RESULT_TIME, *key]))
    return f"SELECT {columns} FROM ({scan_sql(pinned, [hour])}) AS of{final} ORDER BY {order}"


@contextmanager
def reading(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB to read rows with; a value that the sink cannot hold raises SinkRefused."""
    with connection(settings) as con:
        try:
            yield con
        except duckdb.InvalidInputException as error:
            raise SinkRefused(str(error).partition(": ")[2].partition("\n")[0] or str(error)) from error
