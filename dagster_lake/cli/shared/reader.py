"""Runs one SELECT of a person over the lake's tables, and lets it read nothing else."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa

from dagster_lake.cli.shared.errors import CommandError
from dagster_lake.cli.shared.lake import near_names
from dagster_lake.engines.told_damage import damage_of
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.duckdb.connection import connection
from dagster_lake.storage.duckdb.scan import literal, quoted, scan_sql
from dagster_lake.storage.examine import UNREADABLE
from dagster_lake.storage.listing import LakeTable
from dagster_lake.storage.paths import LAYERS

BATCH_ROWS = 10_000
_UNKNOWN_TABLE = re.compile(r'(?:Table with name "?|Catalog ")([^\s"!]+)')


@contextmanager
def ask(catalog: list[LakeTable], settings: Settings, sql: str) -> Iterator[pa.RecordBatchReader]:
    """The rows of ``sql``, which sees the tables of ``catalog`` as views and can reach no other file.

    Raises CommandError for anything that is not one SELECT, and for SQL that fails.
    """
    unreadable: dict[LakeTable, str] = {}
    try:
        with connection(settings, alone=True) as con:
            _refuse_all_but_select(con, sql)
            named = _named(catalog, sql)
            # A statement that names no table may ask which there are (SHOW ALL TABLES).
            unreadable = _create_views(con, named or catalog, catalog)
            _lock(con, catalog)
            yield con.sql(sql).to_arrow_reader(BATCH_ROWS)
    except duckdb.CatalogException as error:
        unknown = _UNKNOWN_TABLE.search(str(error))
        if not unknown or "Table" not in str(error):
            raise CommandError(str(error)) from None
        for table, why in unreadable.items():
            if table.plain_name == unknown[1].lower():
                raise CommandError(why) from None
        raise CommandError(_no_such_table(catalog, sql, unknown[1])) from None
    except duckdb.PermissionException as error:
        raise CommandError(f"a query reads the lake's tables and no other file: {error}") from None
    except duckdb.Error as error:
        damaged = damage_of(table.uri for table in _named(catalog, sql))
        raise CommandError(str(damaged or error)) from None


def _named(catalog: list[LakeTable], sql: str) -> list[LakeTable]:
    return [t for t in catalog if re.search(rf"\b{re.escape(t.plain_name)}\b", sql, re.IGNORECASE)]


def _refuse_all_but_select(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    statements = con.extract_statements(sql)
    if len(statements) != 1:
        raise CommandError(f"give one SELECT statement; this is {len(statements)}")
    kind = statements[0].type
    if kind != duckdb.StatementType.SELECT:
        raise CommandError(f"only SELECT is allowed here, and this is {kind.name}; tables are written by assets")


def _create_views(
    con: duckdb.DuckDBPyConnection, wanted: list[LakeTable], catalog: list[LakeTable]
) -> dict[LakeTable, str]:
    """A view of each table; gives those that cannot be read, with why, which a query may have nothing to do with."""
    unreadable = {}
    for layer in LAYERS:
        con.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(layer)}")
    plain_names = [table.plain_name for table in catalog]
    for table in wanted:
        try:
            pinned = pin(table.uri)
            if pinned is None:
                continue
            con.execute(f"CREATE VIEW {quoted(table.layer)}.{quoted(table.plain_name)} AS {scan_sql(pinned)}")
        except UNREADABLE as error:
            unreadable[table] = str(error)
            continue
        except duckdb.Error:
            if (damaged := damage_of([table.uri])) is None:
                raise
            unreadable[table] = str(damaged)
            continue
        if plain_names.count(table.plain_name) == 1:
            source = f"{quoted(table.layer)}.{quoted(table.plain_name)}"
            con.execute(f"CREATE VIEW {quoted(table.plain_name)} AS SELECT * FROM {source}")
    return unreadable


def _lock(con: duckdb.DuckDBPyConnection, catalog: list[LakeTable]) -> None:
    """Closes everything but the folders of the tables: not even the lake's own key file can be read."""
    folders = ", ".join(literal(str(table.uri)) for table in catalog)
    con.execute(f"SET allowed_directories = [{folders}]")
    con.execute("SET enable_external_access = false")
    con.execute("SET lock_configuration = true")


def _no_such_table(catalog: list[LakeTable], sql: str, name: str) -> str:
    layers = [t.name for t in catalog if t.plain_name == name.lower()]
    if len(layers) > 1 and not re.search(rf'\.\s*"?{re.escape(name)}', sql):
        return f"{name!r} is in several layers; write one of: {', '.join(layers)}"
    return f"there is no table {name!r}; {near_names(catalog, name.lower())}"
