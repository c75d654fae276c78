"""One dbt run's view of the lake: the version it reads of each table, and what it writes.

dbt sees silver, streams and gold as views over pinned Delta versions. A model is written through ``storage.delta``, and
the view of a written table moves to the new version, so that later models of the run read it.
"""

import tempfile
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any, Literal

import duckdb
import pyarrow as pa

from dagster_lake.engines.dbt_reads import READ, difference, last_reads, older
from dagster_lake.engines.dbt_tables import LAYERS, Written, pin_lake, pin_tables
from dagster_lake.engines.recompute import Recomputation
from dagster_lake.engines.scan import failing_sql, files_holding, files_sql, quoted, sql_type
from dagster_lake.engines.told_damage import damage_of
from dagster_lake.settings import Settings
from dagster_lake.storage import delta
from dagster_lake.storage.delta import Merge, Pinned, pin
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.table_spec import TableSpec

BATCH_ROWS = 100_000


@dataclass(frozen=True)
class Store:
    """A model's rows, as SQL, and how they go into its table. ``inputs`` are the tables it reads."""

    table: str
    sql: str
    mode: Literal["overwrite", "replace_partitions", "merge"]
    schema: pa.Schema
    inputs: tuple[str, ...]
    description: str = ""
    partition_by: str | None = None
    partitions: tuple[str, ...] = ()
    key: str | None = None


@dataclass
class DbtSession:
    """The tables of one dbt run.

    When ``recomputed`` is set, the hourly tables of silver show what those hours need, and nothing else: listing every
    file of a long history costs more than reading an hour. ``notes`` are the versions of silver that a model's write
    may claim to have caught up with, by model; see ``engines.silver_reads``.
    """

    lake: Lake
    settings: Settings
    name: str = ""
    workspace: Mapping[str, str] = field(default_factory=dict)
    pinned: dict[str, Pinned] = field(default_factory=dict)
    recomputed: Recomputation | None = None
    notes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lock = threading.RLock()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._spill: tempfile.TemporaryDirectory[str] | None = None
        self._reads: dict[str, tuple[int, dict[str, int]]] = {}
        self._seen: dict[tuple[str, int], Pinned] = {}
        self._unread: dict[tuple[str, int, int], str | None] = {}
        self._written: dict[str, Written] = {}
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
        """Gives ``connection`` a view of each pinned table."""
        self._connection = connection
        for schema in (*LAYERS, "lake"):
            connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute("CREATE TABLE lake.unread (reader VARCHAR, feed VARCHAR, select_sql VARCHAR)")
        for table in self.pinned:
            self._show(connection, table)
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

    def store(self, store: Store) -> None:
        """Computes the model's rows and writes them; nothing is committed when there is nothing to change."""
        layer, name = store.table.split(".")
        spec = TableSpec(self.lake.table(layer, name), store.schema, store.partition_by, description=store.description)
        before = _version_of(self.pinned.get(store.table))
        # What `unread` was computed from; a later attempt may read newer rows, and must not claim to have caught up.
        reads = {READ + table: str(version) for table, version in self._caught_up_with(store).items()}
        with self.cursor() as cursor:
            # First of all: a model that is refused leaves no table.
            asked = _query(cursor, store)

            def rows() -> pa.RecordBatchReader:
                nonlocal before, asked
                now = _version_of(pin(spec.uri))
                if now != before:  # someone else wrote since we pinned: what we read may be older than theirs
                    self._pin_again(cursor, store.inputs)
                    before = now
                    asked = _query(cursor, store)
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
                self._show(cursor, store.table)
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
            if self.recomputed is not None:
                self.recomputed = replace(self.recomputed, orders=None)  # the orders may be others by now
            self._note(pin_tables(self.lake, tables))
            for table in tables:
                if table in self.pinned:
                    self._show(cursor, table)

    def _show(self, cursor: duckdb.DuckDBPyConnection, table: str) -> None:
        layer, name = table.split(".")
        view = f"CREATE OR REPLACE VIEW {layer}.{quoted(name)} AS"
        try:
            cursor.execute(f"{view} {files_sql(self.pinned[table], self._files(table))}")
        except duckdb.Error:
            if (damaged := damage_of([self.pinned[table].uri])) is None:
                raise
            # Only what reads the table fails: other models have nothing to do with it.
            cursor.execute(f"{view} {failing_sql(self.pinned[table].schema, str(damaged))}")

    def _files(self, table: str) -> list[str]:
        pinned = self.pinned[table]
        if self.recomputed is None or not self._is_hourly_silver(table):
            return pinned.files()
        if table == "silver.order_items":  # an order's items may be of other hours than the order
            orders = self.recomputed.orders
            return pinned.files() if orders is None else files_holding(pinned, "order_id", orders)
        return pinned.files(self.recomputed.hours)

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


def _query(cursor: duckdb.DuckDBPyConnection, store: Store) -> duckdb.DuckDBPyRelation:
    """The model's rows, not computed yet; refused when they have other columns than the model declares."""
    relation = cursor.sql(store.sql)
    _refuse_other_columns(store, relation.limit(0).to_arrow_reader(1).schema)
    return relation


def _refuse_other_columns(store: Store, found: pa.Schema) -> None:
    wanted = {column.name: sql_type(column.type) for column in store.schema}
    actual = {column.name: sql_type(column.type) for column in found}
    if wanted != actual:
        differing = sorted(n for n in {*wanted, *actual} if wanted.get(n) != actual.get(n))
        told = "; ".join(f"{n}: declared {wanted.get(n, 'not')}, selected {actual.get(n, 'not')}" for n in differing)
        raise delta.DeltaWriteError(f"{store.table} differs from the columns declared in its YAML: {told}")
