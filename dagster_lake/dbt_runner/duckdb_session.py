"""One dbt run's view of the lake: the version it reads of each table, and what it writes.

dbt sees silver, streams and gold as views over pinned Delta versions. A view is made when a model asks for it, since
one over all files of a long history takes time whether it is read or not. A model is written through
``storage.delta.write``, and the views of a written table move to the new version, so that later models of the run read
it.
"""

import tempfile
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal

import duckdb
import pyarrow as pa

from dagster_lake.contract.columns import LAKE_HOUR
from dagster_lake.dbt_runner.column_types import Declared
from dagster_lake.dbt_runner.tables import LAYERS, Written, pin_lake, pin_tables
from dagster_lake.engines.told_damage import damage_of
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.delta.reads import READ, difference, last_reads, older
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.delta.write import Merge, Pinned, pin
from dagster_lake.storage.duckdb.scan import empty_sql, failing_sql, files_holding, files_sql, quoted, scan_sql
from dagster_lake.storage.paths import Lake

BATCH_ROWS = 100_000


@dataclass(frozen=True)
class Store:
    """A model's rows, as SQL, and how they go into its table. ``inputs`` are the tables it reads."""

    table: str
    sql: str
    mode: Literal["overwrite", "replace_partitions", "merge"]
    declared: Declared
    inputs: tuple[str, ...]
    description: str = ""
    partition_by: str | None = None
    partitions: tuple[str, ...] = ()
    key: str | None = None


@dataclass(frozen=True)
class Belonging:
    """The rows that belong to rows of ``table``: those whose ``column`` is one of its ``key``, both in SQL."""

    table: str
    column: str
    key: str


@dataclass(frozen=True)
class View:
    """What a model reads of a table: all of it, or its rows of some hours; with ``of``, those that belong to rows of
    these hours of another table. ``schema`` is what the table looks like when the lake has none."""

    name: str
    table: str
    schema: pa.Schema
    hours: tuple[str, ...] | None = None
    of: Belonging | None = None

    @property
    def tables(self) -> set[str]:
        """The tables that the view's rows depend on."""
        return {self.table} | ({self.of.table} if self.of else set())


@dataclass
class DbtSession:
    """The tables of one dbt run; of one by hand, which has no ``name``, all can be seen from the start.

    ``notes`` are the versions of silver that a model's write may claim to have caught up with, by model; see
    ``dbt_runner.silver_reads``.
    """

    lake: Lake
    settings: Settings
    name: str = ""
    workspace: Mapping[str, str] = field(default_factory=dict)
    pinned: dict[str, Pinned] = field(default_factory=dict)
    notes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._spill: tempfile.TemporaryDirectory[str] | None = None
        self._reads: dict[str, tuple[int, dict[str, int]]] = {}
        self._seen: dict[tuple[str, int], Pinned] = {}
        self._unread: dict[tuple[str, int, int], str | None] = {}
        self._written: dict[str, Written] = {}
        self._views: dict[str, View] = {}
        self._note(pin_lake(self.lake))

    @property
    def variables(self) -> dict[str, Any]:
        """What the macros are told: under which name the plugin finds this session."""
        return {"lake_session": self.name}

    def heard(self, event: Any) -> None:
        """Nothing to hear: commits announce themselves where they are made."""

    def written(self, table: str) -> Written | None:
        """What the run left of a model, if it stored it."""
        return self._written.get(table)

    @property
    def spill(self) -> str:
        """Where what does not fit into memory goes: a folder that only this user can enter, gone with the session.

        DuckDB would take one in the working folder, where nobody may write in production.
        """
        self._spill = self._spill or tempfile.TemporaryDirectory(prefix="lake-")
        return self._spill.name

    def open(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Gives ``connection`` the schemas, and, when dbt runs by hand, a view of each pinned table."""
        self._connection = connection
        for schema in (*LAYERS, "lake"):
            connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute("CREATE TABLE lake.unread (reader VARCHAR, feed VARCHAR, select_sql VARCHAR)")
        for table in self.pinned if not self.name else ():
            self.show(_whole(table, self.pinned[table].schema))
        self._show_unread(connection)

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor of its own on the opened connection, in UTC."""
        assert self._connection is not None, "open() gives the session its connection"
        cursor = self._connection.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        return cursor

    def close(self) -> None:
        """Ends the connection given to ``open``, and removes what it spilled."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._spill is not None:
            self._spill.cleanup()
            self._spill = None

    def show(self, view: View) -> None:
        """Makes a view that a model asks for, unless it is there."""
        with self._lock:
            if view.name not in self._views:
                with self.cursor() as cursor:
                    self._make(cursor, view)
                self._views[view.name] = view

    def store(self, store: Store) -> None:
        """Computes the model's rows and writes them; nothing is committed when there is nothing to change."""
        layer, name = store.table.split(".")
        uri = self.lake.table(layer, name)
        before = _version_of(self.pinned.get(store.table))
        # What `unread` was computed from; a later attempt may read newer rows, and must not claim to have caught up.
        reads = {READ + table: str(version) for table, version in self._caught_up_with(store).items()}
        if f'"{layer}"."{name}"' in store.sql:
            self.show(_whole(store.table, store.declared.typed))
        with self.cursor() as cursor:
            asked = cursor.sql(store.sql)
            # First of all: a model that is refused leaves no table.
            columns = store.declared.columns(store.table, asked)
            spec = TableSpec(uri, columns, store.partition_by, description=store.description)

            def rows() -> pa.RecordBatchReader:
                nonlocal before, asked
                now = _version_of(pin(uri))
                if now != before:  # someone else wrote since we pinned: what we read may be older than theirs
                    self._pin_again(cursor, store.inputs)
                    before = now
                    asked = cursor.sql(store.sql)
                return asked.to_arrow_reader(BATCH_ROWS)

            if store.mode == "merge":
                written = delta.merge(spec, lambda _: _merge_of(rows(), store.key or ""), reads)
            elif store.mode == "overwrite":
                written = delta.overwrite(spec, rows, reads)
            elif store.partitions:
                written = delta.replace_partitions(spec, list(store.partitions), rows, reads)
            else:
                written = self.pinned[store.table]  # no partition is stale
            replaced = store.partitions if store.mode == "replace_partitions" else None
            with self._lock:
                self._note({store.table: written})
                self._written[store.table] = Written(written, replaced)
                self._make_again(cursor, {store.table})
                self._show_unread(cursor)

    def _caught_up_with(self, store: Store) -> dict[str, int]:
        read = {table: self.pinned[table].version for table in store.inputs if table in self.pinned}
        if store.table not in self.notes:
            return read
        by_hour = {table for table in read if self._is_hourly_silver(table)}
        return {table: version for table, version in read.items() if table not in by_hour} | {
            table: version for table, version in self.notes[store.table].items() if table in by_hour
        }

    def _is_hourly_silver(self, table: str) -> bool:
        return table.startswith("silver.") and self.pinned[table].partition_column == "_lake_hour"

    def _note(self, pinned: Mapping[str, Pinned]) -> None:
        self.pinned.update(pinned)
        self._seen.update({(table, version.version): version for table, version in pinned.items()})

    def _pin_again(self, cursor: duckdb.DuckDBPyConnection, tables: Collection[str]) -> None:
        with self._lock:
            self._note(pin_tables(self.lake, tables))
            self._make_again(cursor, {*tables})

    def _make_again(self, cursor: duckdb.DuckDBPyConnection, tables: Collection[str]) -> None:
        for view in self._views.values():
            if view.tables & {*tables}:
                self._make(cursor, view)

    def _make(self, cursor: duckdb.DuckDBPyConnection, view: View) -> None:
        schema, name = view.name.split(".", 1)
        make = f"CREATE OR REPLACE VIEW {schema}.{quoted(name)} AS"
        try:
            cursor.execute(f"{make} {self._select(cursor, view)}")
        except duckdb.Error:
            if (damaged := damage_of([self.pinned[t].uri for t in sorted(view.tables) if t in self.pinned])) is None:
                raise
            # Only what reads the table fails: other models have nothing to do with it.
            cursor.execute(f"{make} {failing_sql(self.pinned[view.table].schema, str(damaged))}")

    def _select(self, cursor: duckdb.DuckDBPyConnection, view: View) -> str:
        pinned = self.pinned.get(view.table)
        if pinned is None:
            return empty_sql(view.schema)
        if view.of is None:
            return _rows_of(pinned, view.hours)
        others = self.pinned.get(view.of.table)
        if others is None:
            return empty_sql(view.schema)
        keys = f"SELECT {view.of.key} FROM ({_rows_of(others, view.hours)})"
        found = cursor.sql(f"SELECT DISTINCT * FROM ({keys})").to_arrow_table().column(0).combine_chunks()
        files = files_holding(pinned, view.of.column.strip('"'), found)
        return f"SELECT * FROM ({files_sql(pinned, files)}) WHERE {view.of.column} IN ({keys})"

    def _show_unread(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Says, for each gold table that another was computed from, how to read what changed in it since."""
        cursor.execute("DELETE FROM lake.unread")
        for reader, pinned in self.pinned.items():
            if not reader.startswith("gold."):
                continue
            for feed, version in self._last_reads(reader, pinned).items():
                sql = self._unread_since(feed, version) if feed in self.pinned else None
                if sql is not None:
                    cursor.execute("INSERT INTO lake.unread VALUES (?, ?, ?)", [reader[5:], feed[5:], sql])

    def _unread_since(self, feed: str, version: int) -> str | None:
        """As ``_unread_sql``; of what this run has seen itself, nothing is loaded, and nothing is asked twice."""
        now = self.pinned[feed]
        asked = (feed, now.version, version)
        if asked not in self._unread:
            old = self._seen.get((feed, version)) or older(now, version)
            self._unread[asked] = None if old is None else _unread_sql(now, old)
        return self._unread[asked]

    def _last_reads(self, table: str, pinned: Pinned) -> dict[str, int]:
        """The version of each gold table that ``table`` was last computed from."""
        known = self._reads.get(table)
        if known is None or known[0] != pinned.version:
            known = self._reads[table] = (pinned.version, last_reads(pinned))
        return known[1]


def _whole(table: str, schema: pa.Schema) -> View:
    return View(table, table, schema)


def _rows_of(pinned: Pinned, hours: tuple[str, ...] | None) -> str:
    """All rows of a table, or those of some hours."""
    if hours is None or pinned.partition_column == LAKE_HOUR.name:
        return scan_sql(pinned, hours)
    return f"SELECT * FROM ({scan_sql(pinned)}) WHERE list_contains({list(hours)}::VARCHAR[], {LAKE_HOUR.name})"


def _version_of(pinned: Pinned | None) -> int:
    return 0 if pinned is None else pinned.version  # a table just created is as empty as none


def _unread_sql(feed: Pinned, old: Pinned) -> str | None:
    """The rows of ``feed`` that came, changed or went since it was ``old``; None when that cannot be told."""
    found = difference(feed, old)
    if found is None:
        return None
    added, removed = files_sql(feed, found.added), files_sql(old, found.removed)
    return f"({added} EXCEPT ALL {removed}) UNION ALL ({removed} EXCEPT ALL {added})"


def _merge_of(reader: pa.RecordBatchReader, key: str) -> Merge | None:
    first = next((batch for batch in reader if batch.num_rows), None)
    if first is None:
        return None
    source = pa.RecordBatchReader.from_batches(reader.schema, chain([first], reader))
    return Merge(source, (key,))
