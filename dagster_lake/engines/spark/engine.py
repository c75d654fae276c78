"""The scale engine: Apache Spark computes and writes, in a local JVM, on a cluster or on Databricks.

The same steps from the same contracts as the embedded engine, in Spark's dialect. Nothing but counts and names comes
back to this process, and only what Spark Connect offers is used (see ``storage.delta.spark``).
"""

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

import pyarrow as pa

from dagster_lake.compile.acceptance import Load, bad_rows_select, why_withheld, withheld_select
from dagster_lake.compile.bronze import bronze_select, rescued_select
from dagster_lake.compile.fingerprint import fingerprint
from dagster_lake.compile.silver import (
    conflict_reason,
    duplicates_select,
    keys_before_select,
    keys_select,
    look_back,
    losers_select,
    quarantine_select,
    silver_select,
    suspect_partitions_select,
    suspects_select,
    uses_masking_key,
)
from dagster_lake.compile.snapshot_guard import lost_keys_select, shrunken, why_shrunken
from dagster_lake.compile.spark_dialect import SparkDialect
from dagster_lake.contract.columns import partition_field
from dagster_lake.contract.model import Contract
from dagster_lake.engines.landed import LandedPartition
from dagster_lake.engines.spark.accepted import accepted_snapshots, note_accepted
from dagster_lake.engines.spark.checks import broken_rows
from dagster_lake.engines.spark.later_hours import VIEWS as LATER_HOURS
from dagster_lake.engines.spark.later_hours import stale_later_hours
from dagster_lake.engines.spark.lines import offer_lines
from dagster_lake.engines.spark.newest import VIEWS as NEWEST
from dagster_lake.engines.spark.newest import write_newest
from dagster_lake.engines.spark.patterns import offer_patterns
from dagster_lake.engines.spark.session import spark_session
from dagster_lake.engines.step import Check, Counts, Step, StepResult, noted
from dagster_lake.engines.told_damage import tells_damage
from dagster_lake.privacy.masking_key import MaskingKey, masking_key
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta.spark import CONTRACT, SparkDelta
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import (
    bronze_table,
    newest_table,
    quarantine_table,
    silver_table,
    tables_of_layer,
)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

VIEWS = (
    *("lines", "written", "bronze", "look_back", "keys_here", "keys_before", "suspects", "reach", "losers"),
    *LATER_HOURS,
    *("masking_key", "offered", "held", "silver", "quarantined", "referenced"),
    *NEWEST,
)
"""The temporary views that steps and checks make."""

Landed = Callable[[Contract, Sequence[str]], list[LandedPartition]]
_one_step = threading.Lock()  # steps share a session, and its temporary views have fixed names


class SparkEngine:
    """Runs steps with Spark.

    ``spark`` is the session, by default this process's own. ``landed`` says what raw holds, by default what its
    manifests say; ``key`` gives the masking key, by default that of the settings. Where a step runs away from the
    lake's host, both travel another way.
    """

    name = "spark"

    def __init__(
        self,
        lake: Lake,
        contracts: dict[str, Contract],
        settings: Settings,
        *,
        spark: "SparkSession | None" = None,
        landed: Landed | None = None,
        key: Callable[[], MaskingKey] | None = None,
    ) -> None:
        self.lake = lake
        self.contracts = contracts
        self.settings = settings
        self.dialect = SparkDialect()
        self._given = spark
        self._landed = landed or self._by_manifests
        self._key = key or (lambda: masking_key(settings, lake))

    @cached_property
    def spark(self) -> "SparkSession":
        """The session, started when first asked for."""
        spark = self._given or spark_session(self.settings)
        offer_patterns(spark)
        return spark

    @cached_property
    def delta(self) -> SparkDelta:
        """The lake's tables."""
        return SparkDelta(self.spark, self.settings.catalog)

    @tells_damage
    def run(self, step: Step) -> StepResult:
        """Runs ``step``; see Step for what each layer does."""
        contract = self.contracts[step.data_set]
        partitions = sorted(step.partitions)
        with self._a_step():
            if not partitions and not self._none_taken(step, contract):
                return self._nothing(contract, step.layer)
            if step.layer == "bronze":
                return self._bronze(contract, partitions)
            if step.layer == "silver":
                further = stale_later_hours(self.delta, self.lake, contract, partitions, self.dialect)
                made = self._silver(contract, sorted([*partitions, *further]), step)
                return replace(made, rewritten=tuple(further))
            version = write_newest(self.delta, self.lake, contract, partitions, self.dialect)
            newest = newest_table(self.lake, contract)
            return self._result(newest, version, self._counted(total=self._total(newest, version)), {})

    def _none_taken(self, step: Step, contract: Contract) -> bool:
        """Whether silver has taken no snapshot any more: then there are no latest rows."""
        return step.layer == "newest" and self.delta.version(silver_table(self.lake, contract).uri) is not None

    def _nothing(self, contract: Contract, layer: str) -> StepResult:
        """The layer's tables, made without rows where there are none: nothing of a snapshot was ever delivered."""
        specs = tables_of_layer(self.lake, contract, layer)
        for spec in specs:
            self.delta.ensure(spec)
        version = self.delta.existing(specs[-1])
        return self._result(specs[-1], version, self._counted(total=self._total(specs[-1], version)), {})

    @tells_damage
    def check(self, check: Check) -> dict[str, dict[str, int]]:
        """How many rows break each of the named checks, by partition; one without any is left out."""
        with self._a_step():
            return broken_rows(self.delta, self.lake, self.contracts, check, self.dialect)

    @contextmanager
    def _a_step(self) -> Iterator[None]:
        """One step at a time, which leaves no view behind: dbt would take it for a table, and one holds the key."""
        with _one_step:
            try:
                yield
            finally:
                for view in VIEWS:
                    self.spark.catalog.dropTempView(view)

    def _bronze(self, contract: Contract, partitions: list[str]) -> StepResult:
        spec = bronze_table(self.lake, contract)
        landed: list[LandedPartition] = []

        def compute() -> "DataFrame":
            landed[:] = self._landed(contract, partitions)
            offer_lines(self.spark, contract, [file for partition in landed for file in partition.files])
            return self.spark.sql(bronze_select(contract, self.dialect))

        version = self.delta.replace_partitions(
            spec,
            partitions,
            compute,
            up_to_date=lambda: self._landed(contract, partitions) == landed,
            metadata=lambda: {"contract": noted(contract)},
        )
        self._rows_of(spec, version, partitions).createOrReplaceTempView("written")
        found = self._counted(
            rows=_rows_by(spec.partition_by, "written"),
            rescued=rescued_select(contract, self.dialect, "written"),
            total=self._total(spec, version),
        )
        counts = {
            p.partition: Counts(p.rows, found["rows"].get(p.partition, 0), rescued=found["rescued"].get(p.partition, 0))
            for p in landed
        }
        version = self._remember(contract, spec, version, counts)
        if contract.cadence == "snapshot":
            self._note_contract(contract, spec, partitions, lambda: self.delta.partitions(spec))
        return self._result(spec, version, found, counts)

    def _silver(self, contract: Contract, partitions: list[str], step: Step) -> StepResult:
        bronze = bronze_table(self.lake, contract)
        silver, quarantine = silver_table(self.lake, contract), quarantine_table(self.lake, contract)
        column = partition_field(contract).name
        before = look_back(contract, partitions)
        shrunken = self._shrunken(contract, partitions, step)
        read: int | None = None

        def read_bronze(wanted: list[str]) -> None:
            nonlocal read
            now = self.delta.existing(bronze)
            rows = self.delta.at(bronze.uri, now)
            if now != read:
                rows.of(column, partitions).createOrReplaceTempView("bronze")
                rows.of(column, before).createOrReplaceTempView("look_back")
                self._offer_losers(contract, now, partitions)
                read = now
            rows.of(column, wanted).createOrReplaceTempView("bronze")

        def compute_quarantine() -> "DataFrame":
            read_bronze(partitions)
            return self.spark.sql(quarantine_select(contract, self.dialect))

        def compute_silver() -> "DataFrame":
            read_bronze(taken)
            self._offer_key(contract)
            return self.spark.sql(silver_select(contract, self.dialect))

        def is_as_in(version: int | None) -> bool:
            hours, now = [*before, *partitions], self.delta.existing(bronze)
            return version is not None and self.delta.same_files(bronze.uri, column, hours, version, now)

        def metadata() -> dict[str, str]:
            return {"contract": noted(contract), "bronze_version": str(read)}

        quarantined_from: int | None = None
        while not is_as_in(quarantined_from):  # both are made of the same bronze
            quarantined_version = self.delta.replace_partitions(
                quarantine, partitions, compute_quarantine, lambda: is_as_in(read), metadata
            )
            quarantined_from, withheld = read, dict(shrunken)
            self._rows_of(quarantine, quarantined_version, partitions).createOrReplaceTempView("quarantined")
            loads = self._loads(contract, partitions)
            bad = {p: why_withheld(contract, loads[p]) for p in partitions if p not in step.accepted}
            for p, why in bad.items():
                if why is not None:
                    withheld[p] = f"{withheld[p]}; {why}" if p in withheld else why
            taken = [p for p in partitions if p not in withheld]
            version = self.delta.replace_partitions(
                silver, partitions, compute_silver, lambda: is_as_in(read), metadata
            )
        assert read is not None
        self._rows_of(silver, version, partitions).createOrReplaceTempView("silver")
        self._rows_of(bronze, read, partitions).createOrReplaceTempView("bronze")
        # Each is counted on its own, from what is there; in one query, since a query's start costs more than a count.
        found = self._counted(
            rows_in=_rows_by(column, "bronze"),
            rows_out=_rows_by(column, "silver"),
            duplicates=duplicates_select(contract),
            quarantined=_rows_by(column, "quarantined"),
            left=withheld_select(contract),
            reasons=_rows_by("_reason", "(SELECT explode(_reasons) AS _reason FROM quarantined)"),
            total=self._total(silver, version),
        )
        kinds = ("rows_in", "rows_out", "duplicates", "quarantined")
        conflict = conflict_reason(contract)
        counts = {
            p: Counts(**{kind: found[kind].get(p, 0) for kind in kinds}, conflicts=loads[p].reasons.get(conflict, 0))
            for p in partitions
        }
        if contract.cadence == "snapshot":
            note_accepted(self.delta, self.lake, contract, self.dialect, taken, sorted(withheld))
            # What is withheld is not among these: it is asked about again when the contract changes.
            there = partial(accepted_snapshots, self.delta, self.lake, contract)
            self._note_contract(contract, silver, partitions, there)
        counts |= {p: replace(counts[p], duplicates=0, withheld=found["left"].get(p, 0)) for p in withheld}
        return replace(self._result(silver, version, found, counts), withheld=withheld)

    def _loads(self, contract: Contract, partitions: list[str]) -> dict[str, Load]:
        """What came in of each partition, and what is bad of it, from ``bronze`` and ``quarantined``."""
        column = partition_field(contract).name
        found = self._counted(
            rows=_rows_by(column, "bronze"),
            bad=bad_rows_select(contract, "quarantined"),
            reasons=f"SELECT concat({column}, ' ', _reason), count(*) FROM "
            f"(SELECT {column}, explode(_reasons) AS _reason FROM quarantined) GROUP BY 1",
        )
        reasons: dict[str, dict[str, int]] = {}
        for key, rows in found["reasons"].items():
            p, _, reason = key.partition(" ")
            reasons.setdefault(p, {})[reason] = rows
        return {p: Load(found["rows"].get(p, 0), found["bad"].get(p, 0), reasons.get(p, {})) for p in partitions}

    def _offer_losers(self, contract: Contract, bronze_version: int, partitions: list[str]) -> None:
        """Creates ``losers``, the copies among the rows of ``partitions``.

        Only keys are read at first, and of the hours looked back on only those where such a key occurs are read whole:
        duplicates are few, and the hours before are many.
        """
        column = partition_field(contract).name
        self._view("keys_here", keys_select(contract, self.dialect, "bronze"))
        self._view("keys_before", keys_before_select(contract, self.dialect))
        self._view("suspects", suspects_select(contract, self.dialect))
        hours = [row[0] for row in self.spark.sql(suspect_partitions_select(contract, self.dialect)).collect()]
        reach = self.delta.at(bronze_table(self.lake, contract).uri, bronze_version)
        reach.of(column, hours).createOrReplaceTempView("reach")
        losers = self.spark.sql(losers_select(contract, self.dialect))
        losers.where(self.delta.is_one_of(column, partitions)).createOrReplaceTempView("losers")

    def _offer_key(self, contract: Contract) -> None:
        """Creates ``masking_key``, one row: a literal would stand in the query's plan, which Spark shows and logs."""
        if not uses_masking_key(contract):
            return
        key = self._key()
        row = pa.table({"key_id": [key.id], "inner_pad": [key.inner_pad], "outer_pad": [key.outer_pad]})
        self.spark.createDataFrame(row).createOrReplaceTempView("masking_key")

    def _shrunken(self, contract: Contract, partitions: list[str], step: Step) -> dict[str, str]:
        """The snapshots that lost too many keys, and why; see ``compile.snapshot_guard``."""
        silver = silver_table(self.lake, contract)
        version = self.delta.version(silver.uri) if contract.cadence == "snapshot" else None
        if version is None:
            return {}
        accepted = accepted_snapshots(self.delta, self.lake, contract)
        return shrunken(
            partitions,
            lambda snapshot: snapshot in {*step.accepted, *accepted},
            partial(self._why_shrunken, contract, silver, version, accepted),
            accept_newest=step.accept_shrink,
        )

    def _why_shrunken(
        self, contract: Contract, silver: TableSpec, version: int, accepted: list[str], snapshot: str
    ) -> str | None:
        earlier = max((each for each in accepted if each < snapshot), default=None)
        if earlier is None:
            return None
        bronze = bronze_table(self.lake, contract)
        self._rows_of(bronze, self.delta.existing(bronze), [snapshot]).createOrReplaceTempView("offered")
        self._rows_of(silver, version, [earlier]).createOrReplaceTempView("held")
        row = self.spark.sql(lost_keys_select(contract, self.dialect)).first()
        assert row is not None
        return why_shrunken(earlier, lost=row[0], held=row[1])

    def _note_contract(
        self, contract: Contract, spec: TableSpec, made: list[str], there: Callable[[], Collection[str]]
    ) -> None:
        """Notes by which contract a table was made, once that holds of all snapshots ``there`` are."""
        made_by = fingerprint(contract)
        if self.delta.property(spec, CONTRACT) != made_by and {*there()} <= {*made}:
            self.delta.set_property(spec, CONTRACT, made_by)

    def _remember(self, contract: Contract, spec: TableSpec, version: int, counts: dict[str, Counts]) -> int:
        """Notes the snapshots that hold nothing, so that they count as taken; the table's version after it."""
        if contract.cadence == "snapshot":
            for partition in (p for p, count in counts.items() if not count.rows_out):
                version = self.delta.remember(spec, partition)
        return version

    def _rows_of(self, spec: TableSpec, version: int, partitions: list[str]) -> "DataFrame":
        return self.delta.at(spec.uri, version).of(spec.partition_by or "", partitions)

    def _view(self, name: str, statement: str) -> None:
        self.spark.sql(statement).createOrReplaceTempView(name)

    def _counted(self, **statements: str) -> dict[str, dict[str, int]]:
        """What each statement, a SELECT of a text and a count, gives."""
        parts = [
            f"SELECT '{name}' AS _what, * FROM ({statement}) AS t(_key, _n)" for name, statement in statements.items()
        ]
        found: dict[str, dict[str, int]] = {name: {} for name in statements}
        for what, key, n in self.spark.sql(" UNION ALL ".join(parts)).collect():
            found[what][key] = n
        return found

    def _total(self, spec: TableSpec, version: int) -> str:
        return f"SELECT 'rows', count(*) FROM {self.delta.name(spec.uri)} VERSION AS OF {version:d}"

    def _result(
        self, spec: TableSpec, version: int, found: dict[str, dict[str, int]], counts: dict[str, Counts]
    ) -> StepResult:
        reasons = dict(sorted(found.get("reasons", {}).items()))
        return StepResult(spec.name, version, found["total"]["rows"], self.delta.bytes(spec.uri), counts, reasons)

    def _by_manifests(self, contract: Contract, partitions: Sequence[str]) -> list[LandedPartition]:
        from dagster_lake.engines.raw_files import landed_partitions

        return landed_partitions(self.lake, contract, partitions)


def _rows_by(column: str | None, relation: str) -> str:
    return f"SELECT {column}, count(*) FROM {relation} GROUP BY {column}"
