"""Every Delta write that Spark makes, and the versions it reads.

The counterpart of ``storage.delta.write``: the same tables, readable by both. Only what Spark Connect offers is used,
so that the code runs on Databricks' serverless compute: no RDD, no JVM, no cached tables, nothing collected but
counts.

Spark computes its input before a write begins, and Delta's conflict detection looks at what is committed after that.
So after a commit each writer asks whether its input is still the newest, and writes again when it is not: whoever
commits last has then read the newest input.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
from upath import UPath

from dagster_lake.commit import commit
from dagster_lake.errors import LakeError
from dagster_lake.sql.spark import literal, quoted
from dagster_lake.storage.back_off import BackOff
from dagster_lake.storage.checksums import differing_in
from dagster_lake.storage.damage import Fault, TableDamaged, refuse_torn, table_name
from dagster_lake.storage.delta.spark_ddl import sql_type, table_ddl
from dagster_lake.storage.delta.spec import STATISTICS, TableSpec

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ATTEMPTS = 8
BACK_OFF = BackOff(timedelta(milliseconds=50), timedelta(seconds=5))
EVOLVED = "lake.evolved"
CONTRACT = "lake.contract"
_LOST = re.compile(r"DELTA_CONCURRENT|DELTA_METADATA_CHANGED|DELTA_PROTOCOL_CHANGED|Concurrent\w*Exception")
_MISSING = re.compile(
    r"DELTA_MISSING_DELTA_TABLE|DELTA_TABLE_NOT_FOUND|DELTA_PATH_DOES_NOT_EXIST|DELTA_TABLE_ONLY_OPERATION"
    r"|TABLE_OR_VIEW_NOT_FOUND|SCHEMA_NOT_FOUND|PATH_NOT_FOUND|is not a Delta table"
)


class SparkDeltaError(LakeError):
    """A write that was refused, or that lost to other writers too many times in a row."""


@dataclass(frozen=True)
class SparkVersion:
    """One version of a table, whatever is written beside it."""

    delta: "SparkDelta"
    uri: UPath
    version: int

    @cached_property
    def rows(self) -> "DataFrame":
        """All rows."""
        return self.delta.spark.sql(f"SELECT * FROM {self.delta.name(self.uri)} VERSION AS OF {self.version:d}")

    def of(self, column: str, partitions: Collection[str]) -> "DataFrame":
        """The rows of the named partitions. Raises TableDamaged where one of their files is not as it was written, so
        far as its checksum is known; ``rows`` are not compared each time that they are read."""
        self._refuse_changed(column, partitions)
        return self.rows.where(self.delta.is_one_of(column, partitions))

    def _refuse_changed(self, column: str, partitions: Collection[str]) -> None:
        if self.delta.catalog is not None or not isinstance(self.uri, Path):
            return
        changed = dict(differing_in(self.uri, (f"{column}={partition}" for partition in partitions)))
        if not changed:
            return
        from dagster_lake.storage.delta.write import pin

        pinned = pin(self.uri, self.version)
        found = [
            Fault(UPath(file), changed[file], "data") for file in (pinned.files() if pinned else ()) if file in changed
        ]
        if found:
            raise TableDamaged(table_name(self.uri), found[:1])


class SparkDelta:
    """The lake's Delta tables through one Spark session.

    A table is addressed by its path, or, with a ``catalog``, as catalog.schema.table in Unity Catalog: what lies in
    the sensitive zone is then ``sensitive.<layer>_<table>``.
    """

    def __init__(self, spark: "SparkSession", catalog: str | None) -> None:
        self.spark = spark
        self.catalog = catalog

    def name(self, uri: UPath) -> str:
        """The table as SQL addresses it."""
        if self.catalog is None:
            return f"delta.{quoted(str(uri))}"
        layer, table = uri.parent.name, uri.name
        schema, table = ("sensitive", f"{layer}_{table}") if uri.parent.parent.name == "sensitive" else (layer, table)
        return ".".join(quoted(part) for part in (self.catalog, schema, table))

    def version(self, uri: UPath) -> int | None:
        """The table's newest version; None when there is no table. Raises TableDamaged where its log was cut off."""
        # Spark reads the log to tell, in two jobs that take longer than most steps' queries; of a local table, its
        # folder tells.
        if self.catalog is None and (known := refuse_torn(uri)) is not None:
            return known
        from pyspark.errors import AnalysisException

        try:
            newest = self.spark.sql(f"DESCRIBE HISTORY {self.name(uri)} LIMIT 1").select("version").first()
        except AnalysisException as error:
            if _MISSING.search(str(error)):
                return None
            raise
        return None if newest is None else newest[0]

    def existing(self, spec: TableSpec) -> int:
        """The newest version of a table that must be there; raises SparkDeltaError when it is not."""
        version = self.version(spec.uri)
        if version is None:
            raise SparkDeltaError(f"{spec.name} does not exist yet; materialise it first")
        return version

    def at(self, uri: UPath, version: int) -> SparkVersion:
        """One version of a table."""
        return SparkVersion(self, uri, version)

    def read(self, uri: UPath, version: int) -> "DataFrame":
        """All rows of one version of a table."""
        return self.at(uri, version).rows

    def empty(self, schema: pa.Schema) -> "DataFrame":
        """No rows, with these columns."""
        return self.spark.createDataFrame([], ", ".join(f"{quoted(c.name)} {sql_type(c.type)}" for c in schema))

    def partitions(self, spec: TableSpec) -> set[str]:
        """The partition values that hold rows, in the newest version; none without a table."""
        version = self.version(spec.uri)
        if version is None:
            return set()
        rows = self.read(spec.uri, version).select(spec.partition_by or "").distinct()
        return {row[0] for row in rows.collect()}

    def newest_partition(self, spec: TableSpec, version: int) -> str | None:
        """The greatest partition value that holds rows."""
        found = self.read(spec.uri, version).selectExpr(f"max({quoted(spec.partition_by or '')})").first()
        return None if found is None else found[0]

    def count(self, statement: str) -> int:
        """The one number that a SELECT gives."""
        row = self.spark.sql(statement).first()
        assert row is not None
        return int(row[0])

    def counts(self, statement: str) -> dict[str, int]:
        """The numbers that a SELECT of a text and a number gives, by the text."""
        return {row[0]: int(row[1]) for row in self.spark.sql(statement).collect()}

    def is_empty(self, statement: str) -> bool:
        """Whether a SELECT gives no row."""
        return self.spark.sql(statement).limit(1).count() == 0

    @staticmethod
    def is_one_of(column: str, values: Collection[str]) -> str:
        """The condition that a text column has one of the values."""
        return f"{quoted(column)} IN ({', '.join(literal(value) for value in sorted(values))})" if values else "false"

    def rows(self, uri: UPath, version: int, column: str, partitions: Collection[str]) -> dict[str, int]:
        """The rows of each of the named partitions; 0 for one without."""
        found = self.read(uri, version).where(self.is_one_of(column, partitions)).groupBy(column).count().collect()
        return dict.fromkeys(partitions, 0) | {row[0]: row[1] for row in found}

    def bytes(self, uri: UPath) -> int:
        """The bytes of the table's files as it stands."""
        detail = self.spark.sql(f"DESCRIBE DETAIL {self.name(uri)}").select("sizeInBytes").first()
        assert detail is not None
        return int(detail[0])

    def same_files(self, uri: UPath, column: str, partitions: Collection[str], before: int, after: int) -> bool:
        """Whether the partitions consist of the same files in both versions."""
        return before == after or self._files(uri, column, partitions, before) == self._files(
            uri, column, partitions, after
        )

    def replace_partitions(
        self,
        spec: TableSpec,
        partitions: Collection[str],
        compute: Callable[[], "DataFrame"],
        up_to_date: Callable[[], bool],
        metadata: Callable[[], Mapping[str, str]],
    ) -> int:
        """Replaces exactly the named partitions by the rows of ``compute()``, and returns the table's version.

        A row of another partition fails the write before anything is committed. ``up_to_date`` tells after a commit
        whether what ``compute`` read is still the newest; if not, it is computed and written again. ``metadata`` goes
        into the commit, of what ``compute`` read.
        """
        column = spec.partition_by
        if column is None:
            raise ValueError(f"{spec.name} is not partitioned")

        def write() -> None:
            rows = _conforming(compute(), spec.schema)
            if len(partitions) > 1:
                # One task a partition: else every task would leave a small file in each.
                rows = rows.repartition(column)
            writer = (
                rows.write.format("delta")
                .mode("overwrite")
                .option("replaceWhere", self.is_one_of(column, partitions))
                .option("userMetadata", json.dumps(dict(metadata()), sort_keys=True))
            )
            self._save(writer, spec.uri)

        return self._attempt(spec, write, up_to_date)

    def remember(self, spec: TableSpec, partition: str) -> int:
        """Notes in the log that ``partition`` was written and holds nothing; returns the table's version.

        ``storage.delta.write`` notes it the same way, so that either finds the other's note.
        """
        empty = self.read(spec.uri, self.existing(spec)).limit(0)
        with commit(f"{spec.name}.remember"):
            self._save(
                empty.write.format("delta")
                .mode("append")
                .option("txnAppId", f"lake.partition.{partition}")
                .option("txnVersion", 1)
                .option("userMetadata", json.dumps({"remember": partition})),
                spec.uri,
            )
        return self.existing(spec)

    def overwrite(
        self,
        spec: TableSpec,
        compute: Callable[[], "DataFrame | None"],
        up_to_date: Callable[[], bool],
        metadata: Callable[[], Mapping[str, str]],
    ) -> int:
        """Replaces the whole table by the rows of ``compute()``, None meaning that there is nothing to do, and returns
        the table's version; ``up_to_date`` and ``metadata`` as in ``replace_partitions``."""

        def write() -> None:
            found = compute()
            if found is None:
                return
            writer = _conforming(found, spec.schema).write.format("delta").mode("overwrite")
            self._save(writer.option("userMetadata", json.dumps(dict(metadata()), sort_keys=True)), spec.uri)

        return self._attempt(spec, write, up_to_date)

    def merge(
        self, spec: TableSpec, statement: Callable[[str], str | None], up_to_date: Callable[[], bool] = lambda: True
    ) -> int:
        """Runs the MERGE that ``statement`` makes for the table's SQL name; None means nothing to do. ``up_to_date`` as
        in ``replace_partitions``."""

        def write() -> None:
            merge = statement(self.name(spec.uri))
            if merge is not None:
                self.spark.sql(merge).collect()

        return self._attempt(spec, write, up_to_date)

    def property(self, spec: TableSpec, key: str) -> str | None:
        """A property of a table that is there; None without it."""
        told = self.spark.sql(f"SHOW TBLPROPERTIES {self.name(spec.uri)}").where(f"key = {literal(key)}").first()
        return None if told is None else told[1]

    def set_property(self, spec: TableSpec, key: str, value: str) -> None:
        """Sets a property of a table."""
        with commit(f"{spec.name}.property"):
            properties = f"{literal(key)} = {literal(value)}"
            self.spark.sql(f"ALTER TABLE {self.name(spec.uri)} SET TBLPROPERTIES ({properties})")

    def ensure(self, spec: TableSpec) -> None:
        """Creates the table, or widens it by the columns that it lacks; one without rows may change its types.

        Raises SparkDeltaError where a column has another type than the contract or model says.
        """
        ddl = table_ddl(self.name(spec.uri), spec, None if self.catalog is None else str(spec.uri))
        if self.version(spec.uri) is None:
            with commit(f"{spec.name}.create"):
                self.spark.sql(f"CREATE TABLE IF NOT EXISTS {ddl}")
            return
        found = {field.name: field.dataType.simpleString() for field in self.spark.table(self.name(spec.uri)).schema}
        for column in spec.schema:
            wanted = sql_type(column.type)
            if column.name in found and found[column.name].upper() != wanted:
                if self.spark.table(self.name(spec.uri)).isEmpty():
                    with commit(f"{spec.name}.recreate"):
                        self.spark.sql(f"CREATE OR REPLACE TABLE {ddl}")
                    return
                raise SparkDeltaError(
                    f"{spec.name}.{column.name} is {found[column.name]} in the lake and {wanted.lower()} in the "
                    f"contract or model; a type cannot change in place: remove {spec.uri} and materialise it again"
                )
        added = [column for column in spec.schema if column.name not in found]
        if added:
            # Said before it is true, as in storage.delta: readers then look for missing columns in vain.
            with commit(f"{spec.name}.evolved"):
                self.spark.sql(f"ALTER TABLE {self.name(spec.uri)} SET TBLPROPERTIES ({literal(EVOLVED)} = 'true')")
            columns = ", ".join(f"{quoted(column.name)} {sql_type(column.type)}" for column in added)
            with commit(f"{spec.name}.columns"):
                self.spark.sql(f"ALTER TABLE {self.name(spec.uri)} ADD COLUMNS ({columns})")
        # Asked only where it can be wrong: the answer takes a query.
        asked = spec.without_statistics or "`" in spec.statistics_property
        if asked and spec.statistics_are_wrong(self.property(spec, STATISTICS)):
            self.set_property(spec, STATISTICS, spec.statistics_property)

    def _attempt(self, spec: TableSpec, write: Callable[[], None], up_to_date: Callable[[], bool]) -> int:
        for failures in range(ATTEMPTS):
            if failures:
                BACK_OFF.wait(failures)
            try:
                self.ensure(spec)
                with commit(spec.name):
                    write()
            except Exception as error:
                if not _LOST.search(f"{type(error).__name__} {error}"):
                    raise
                continue
            if up_to_date():
                return self.existing(spec)
        raise SparkDeltaError(
            f"{spec.name}: lost to another writer {ATTEMPTS} times in a row; run again when the other runs have ended"
        )

    def _files(self, uri: UPath, column: str, partitions: Collection[str], version: int) -> set[str]:
        rows = (
            self.read(uri, version).where(self.is_one_of(column, partitions)).select("_metadata.file_path").distinct()
        )
        return {row[0] for row in rows.collect()}

    def _save(self, writer, uri: UPath) -> None:  # type: ignore[no-untyped-def]
        if self.catalog is None:
            writer.save(str(uri))
        else:
            writer.saveAsTable(self.name(uri))


def _conforming(rows: "DataFrame", schema: pa.Schema) -> "DataFrame":
    """The same rows with exactly the table's columns, order and types."""
    from pyspark.sql import functions as f

    unknown = set(rows.columns) - set(schema.names)
    if unknown:
        raise SparkDeltaError(f"columns {sorted(unknown)} are not in the table's schema")
    return rows.select([f.col(quoted(c.name)).cast(sql_type(c.type)).alias(c.name) for c in schema])
