"""DuckDB as the lake uses it."""

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager

import duckdb

from dagster_lake.settings import Settings
from dagster_lake.storage.duckdb_files import let_read
from dagster_lake.storage.paths import Lake


@contextmanager
def connection(settings: Settings) -> Iterator[duckdb.DuckDBPyConnection]:
    """An in-memory DuckDB with the lake's limits, in UTC."""
    # What spills may be personal data in clear: a folder that only this user can enter, gone when the work is done.
    with (
        tempfile.TemporaryDirectory(prefix="lake-") as spill,
        closing(duckdb.connect(":memory:", config={"memory_limit": settings.memory_limit})) as con,
    ):
        con.execute("SET temp_directory = $spill", {"spill": spill})
        con.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")  # a bar would go to whatever stdout is
        let_read(con, Lake.placed(settings).root)
        if settings.threads:
            con.execute(f"SET threads = {settings.threads:d}")
        yield con
