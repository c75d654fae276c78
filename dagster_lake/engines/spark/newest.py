"""Silver's latest rows by Spark, one a key: a function of all changes or snapshots, the quarantine and the contract."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from dagster_lake.compile.newest_changes import GONE, NewestChanges
from dagster_lake.compile.newest_snapshots import newest_of_snapshots_select
from dagster_lake.compile.spark_dialect import SparkDialect
from dagster_lake.contract.columns import deletions_schema, newest_schema, partition_field, quarantine_schema
from dagster_lake.contract.model import Contract
from dagster_lake.engines.spark.accepted import accepted_snapshots
from dagster_lake.storage.delta.spark import SparkDelta, SparkDeltaError
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import (
    accepted_table,
    deletions_table,
    newest_table,
    quarantine_table,
    quarantined_keys_table,
    silver_table,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

VIEWS = (
    *("changes", "questioned", "target", "touched", "present", "lost", "history", "winners", "unsure", "doubted"),
    *("deletions", "news", "snapshots", "kept_out"),
)
"""The temporary views that are made here, beside ``quarantined``."""


def write_newest(
    delta: SparkDelta, lake: Lake, contract: Contract, partitions: Sequence[str], dialect: SparkDialect
) -> int:
    """Brings the latest rows up to date with the named hours of silver, or with all its snapshots; returns the table's
    version.

    Raises SparkDeltaError when silver does not exist yet.
    """
    if delta.version(silver_table(lake, contract).uri) is None:
        raise SparkDeltaError(f"silver of {contract.name} does not exist yet; materialise it first")
    if contract.cadence == "snapshot":
        return _Snapshots(delta, lake, contract, dialect).write()
    return _Changes(delta, lake, contract, partitions, dialect).write()


class _Tables:
    """The tables of one contract, read as they were when the write began."""

    def __init__(self, delta: SparkDelta, lake: Lake, contract: Contract, dialect: SparkDialect) -> None:
        self.delta, self.lake, self.contract, self.dialect = delta, lake, contract, dialect
        self.newest = newest_table(lake, contract)
        self.column = partition_field(contract).name
        self.read: dict[TableSpec, int | None] = {}

    def rows(self, spec: TableSpec, schema: pa.Schema, partitions: Sequence[str] | None = None) -> "DataFrame":
        """The rows of a table, perhaps only of some partitions; none where there is no table."""
        version = self.read[spec] = self.delta.version(spec.uri)
        if version is None:
            return self.delta.empty(schema)
        found = self.delta.at(spec.uri, version)
        return found.rows if partitions is None else found.of(self.column, partitions)

    def unchanged(self, *specs: TableSpec, partitions: Sequence[str]) -> bool:
        """Whether these partitions hold what was read of them."""
        for spec in specs:
            before, after = self.read.get(spec), self.delta.version(spec.uri)
            if before is None or after is None:
                if before != after:
                    return False
            elif not self.delta.same_files(spec.uri, self.column, partitions, before, after):
                return False
        return True

    def view(self, name: str, select: str) -> None:
        """Creates a temporary view."""
        self.delta.spark.sql(select).createOrReplaceTempView(name)


class _Changes(_Tables):
    """The hourly table; see ``compile.newest_changes``."""

    def __init__(
        self, delta: SparkDelta, lake: Lake, contract: Contract, hours: Sequence[str], dialect: SparkDialect
    ) -> None:
        super().__init__(delta, lake, contract, dialect)
        self.hours = hours
        self.sql = NewestChanges(contract, dialect)
        self.key = dialect.identifier(contract.keys[0].name)
        self.changes, self.quarantine = silver_table(lake, contract), quarantine_table(lake, contract)

    def write(self) -> int:
        """Merges what the hours change; returns the table's version."""
        # Spark computes before Delta looks for conflicts: whoever commits last has then read what is newest.
        return self.delta.merge(
            self.newest,
            self._merge,
            up_to_date=lambda: self.unchanged(self.changes, self.quarantine, partitions=self.hours),
        )

    def _merge(self, table: str) -> str | None:
        sql, contract = self.sql, self.contract
        self.rows(self.changes, self.changes.schema, self.hours).createOrReplaceTempView("changes")
        self.rows(self.quarantine, quarantine_schema(contract), self.hours).createOrReplaceTempView("quarantined")
        self._note_quarantined()
        self.view("target", f"SELECT * FROM {table}")
        self.view("touched", sql.touched(self.hours))
        # Files that hold no such key are not opened.
        self.view("target", f"SELECT * FROM {table} t WHERE {self._within('touched')}")
        self.view("present", sql.present())
        self.view("lost", sql.lost(self.hours))
        history = self.rows(self.changes, self.changes.schema).alias("t")
        history.where(self._within("lost")).createOrReplaceTempView("history")
        self.view("winners", sql.winners())
        self.view("unsure", sql.unsure())
        doubted = self.rows(self.quarantine, quarantine_schema(contract)).alias("t")
        doubted.where(self._within("unsure", self.column)).createOrReplaceTempView("doubted")
        self.rows(deletions_table(self.lake, contract), deletions_schema(contract)).createOrReplaceTempView("deletions")
        self.view("news", sql.rows())
        within = self._within("news")
        if within == "false":
            return None
        matched = " AND ".join(f"t.{name} = s.{name}" for name in map(self.dialect.identifier, self._keys))
        names = [self.dialect.identifier(name) for name in newest_schema(contract).names]
        changed = [f"t.{name} = s.{name}" for name in names]
        # What the contract has no more is null in a row that is written, as delta-rs writes it.
        given = self.delta.spark.sql(f"SELECT * FROM {table}").columns
        changed += [f"t.{self.dialect.identifier(c)} = NULL" for c in given if c not in newest_schema(contract).names]
        return (
            f"MERGE INTO {table} t USING news s ON {matched} AND {within} "
            f"WHEN MATCHED AND s.{GONE} THEN DELETE "
            f"WHEN MATCHED THEN UPDATE SET {', '.join(changed)} "
            f"WHEN NOT MATCHED THEN INSERT ({', '.join(names)}) VALUES ({', '.join(f's.{name}' for name in names)})"
        )

    @property
    def _keys(self) -> list[str]:
        return [p.name for p in self.contract.keys]

    def _within(self, relation: str, partition: str | None = None) -> str:
        """A condition on rows ``t`` that holds for each that has a key of ``relation`` (false when this has none), and
        for none whose ``partition`` comes before all of its."""
        key = self.dialect.identifier(self._keys[0])
        found = self.delta.spark.sql(
            f"SELECT min({key}), max({key}), min({partition or 'NULL'}) FROM {relation}"
        ).first()
        assert found is not None
        if found[0] is None:
            return "false"
        within = f"t.{key} BETWEEN {found[0]} AND {found[1]}" if isinstance(found[0], int) else "true"
        return f"{within} AND t.{partition} >= {self.dialect.literal(found[2])}" if partition else within

    def _note_quarantined(self) -> None:
        """Adds the keys in the quarantine of the hours to those that ever were there, before any row says so of a key:
        when the hours are made again without them, their rows are looked at again. Creates ``questioned``."""
        spec = quarantined_keys_table(self.lake, self.contract)
        keys = self.sql.quarantined_keys()

        def note(table: str) -> str | None:
            names = [self.dialect.identifier(name) for name in spec.schema.names]
            news = f"SELECT {', '.join(names)} FROM ({keys}) EXCEPT SELECT {', '.join(names)} FROM {table}"
            if self.delta.is_empty(news):
                return None
            matched = " AND ".join(f"t.{name} = s.{name}" for name in names)
            return f"MERGE INTO {table} t USING ({news}) s ON {matched} WHEN NOT MATCHED THEN INSERT *"

        if not self.delta.is_empty(keys):
            self.delta.merge(spec, note)
        self.rows(spec, spec.schema, self.hours).createOrReplaceTempView("questioned")


class _Snapshots(_Tables):
    """The table of snapshots, always made from all of them: a cluster reads their keys as fast as it looks up what
    has changed."""

    def write(self) -> int:
        """Replaces the table where it is another one by now; returns its version."""
        silver, kept_out = silver_table(self.lake, self.contract), accepted_table(self.lake, self.contract)
        accepted: list[str] = []

        def compute() -> "DataFrame | None":
            accepted[:] = accepted_snapshots(self.delta, self.lake, self.contract)
            self.rows(silver, silver.schema, accepted).createOrReplaceTempView("snapshots")
            self.rows(kept_out, kept_out.schema, accepted).createOrReplaceTempView("kept_out")
            select = newest_of_snapshots_select(self.contract, self.dialect, accepted)
            names = ", ".join(self.dialect.identifier(name) for name in newest_schema(self.contract).names)
            table = f"SELECT {names} FROM {self.delta.name(self.newest.uri)}"
            if self.delta.is_empty(f"({select}) EXCEPT {table}") and self.delta.is_empty(f"{table} EXCEPT ({select})"):
                return None
            return self.delta.spark.sql(select)

        def up_to_date() -> bool:
            if all(self.read[spec] == self.delta.version(spec.uri) for spec in (silver, kept_out)):
                return True
            there = accepted_snapshots(self.delta, self.lake, self.contract)
            return accepted == there and self.unchanged(silver, kept_out, partitions=accepted)

        return self.delta.overwrite(
            self.newest, compute, up_to_date, lambda: {"silver_version": str(self.read[silver])}
        )
