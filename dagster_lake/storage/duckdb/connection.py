"""DuckDB as the lake uses it."""

from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from dagster_lake.settings.lake import Settings
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.duckdb.files import let_read
from dagster_lake.storage.duckdb.shared import database, own_database
from dagster_lake.storage.paths import Lake


@contextmanager
def connection(settings: Settings, *, alone: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty in-memory database with the lake's limits, in UTC.

    Those that are open at once share one DuckDB, unless one is to be ``alone``: who changes settings of DuckDB as a
    whole, or runs SQL that dbt has compiled, which calls the database ``memory``.
    """
    root = Lake.placed(settings).root
    # How files in ADLS are read is a setting of DuckDB as a whole, and of one lake.
    made = own_database if alone or is_adls(root) else database
    with made(settings.memory_limit, settings.threads or None) as con:
        let_read(con, root)
        yield con
