"""The embedded engine: DuckDB computes, delta-rs writes; no JVM, no server."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import duckdb
import pyarrow as pa
from upath import UPath

from dagster_lake.compile.acceptance import Load, bad_rows_select, why_withheld, withheld_select
from dagster_lake.compile.bronze import bronze_select, rescued_select
from dagster_lake.compile.duckdb_dialect import DuckDBDialect
from dagster_lake.compile.fingerprint import fingerprint
from dagster_lake.compile.later_hours import look_ahead
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
from dagster_lake.compile.snapshot_guard import shrunken
from dagster_lake.contract.columns import partition_field
from dagster_lake.contract.model import Contract
from dagster_lake.engines.duckdb.accepted import note_accepted
from dagster_lake.engines.duckdb.checks import broken_rows
from dagster_lake.engines.duckdb.later_hours import stale_hours
from dagster_lake.engines.duckdb.lines import offer_lines
from dagster_lake.engines.duckdb.newest import write_newest
from dagster_lake.engines.duckdb.snapshot_guard import why_refused
from dagster_lake.engines.pieces import pieces
from dagster_lake.engines.step import Check, Counts, Step, StepResult, in_all, noted
from dagster_lake.engines.told_damage import tells_damage
from dagster_lake.landing.land import manifests
from dagster_lake.privacy.masking_key import masking_key
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.accepted import accepted_snapshots
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.duckdb.connection import connection
from dagster_lake.storage.duckdb.scan import scan_sql
from dagster_lake.storage.manifest import Manifest
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import bronze_table, quarantine_table, silver_table, tables_of_layer

BATCH_ROWS = 100_000


class DuckDBEngine:
    """Runs steps in this process, within ``settings.memory_limit``; what is larger spills to disk."""

    name = "duckdb"

    def __init__(self, lake: Lake, contracts: dict[str, Contract], settings: Settings) -> None:
        self.lake = lake
        self.contracts = contracts
        self.settings = settings
        self.dialect = DuckDBDialect()

    @tells_damage
    def run(self, step: Step) -> StepResult:
        """Runs ``step``; see Step for what each layer does."""
        contract = self.contracts[step.data_set]
        partitions = sorted(step.partitions)
        # Silver may have taken no snapshot any more: then there are no latest rows.
        silver_is_there = delta.pin(silver_table(self.lake, contract).uri) is not None
        if not partitions and not (step.layer == "newest" and silver_is_there):
            return self._nothing(contract, step.layer)
        if step.layer == "newest":
            return self._newest(contract, partitions)
        if step.layer == "bronze":
            return self._by_pieces(contract, partitions, self._landed_rows, self._bronze)
        further = self._stale_later_hours(contract, partitions)
        silver = partial(self._silver, step=step)
        made = self._by_pieces(contract, sorted([*partitions, *further]), self._bronze_rows, silver, latest_first=True)
        return replace(made, rewritten=tuple(further))

    def _nothing(self, contract: Contract, layer: str) -> StepResult:
        """The layer's tables, made without rows where there are none: nothing of a snapshot was ever delivered."""
        pinned = [delta.ensure(spec) for spec in tables_of_layer(self.lake, contract, layer)]
        return _result(pinned[-1], {})

    @tells_damage
    def check(self, check: Check) -> dict[str, dict[str, int]]:
        """How many rows break each of the named checks, by partition; one without any is left out."""
        return broken_rows(self.settings, self.lake, self.contracts, check)

    def _by_pieces(
        self,
        contract: Contract,
        partitions: list[str],
        rows: Callable[[Contract, str], int],
        compute: Callable[[Contract, list[str]], StepResult],
        *,
        latest_first: bool = False,
    ) -> StepResult:
        """Hours in pieces of so many ``rows``; snapshots at once, for what becomes of one depends on those before.

        With ``latest_first``, an hour is written when the later ones that follow from it are: whoever is killed in
        between and runs again finds in the table what that hour held, and thus what it changes.
        """
        if contract.cadence == "snapshot":
            return compute(contract, partitions)
        found = pieces(partitions, partial(rows, contract))
        return in_all([compute(contract, piece) for piece in (reversed(found) if latest_first else found)])

    def _stale_later_hours(self, contract: Contract, partitions: list[str]) -> list[str]:
        spec, bronze = silver_table(self.lake, contract), _existing(bronze_table(self.lake, contract))
        later = sorted({*look_ahead(contract, partitions)} & {*bronze.partitions()})
        if not later:
            return []
        kept_out = quarantine_table(self.lake, contract)
        with connection(self.settings) as con:
            silver, quarantine = (spec.schema, delta.pin(spec.uri)), (kept_out.schema, delta.pin(kept_out.uri))
            return stale_hours(con, contract, bronze, silver, quarantine, partitions, later, self.dialect)

    def _landed_rows(self, contract: Contract, partition: str) -> int:
        return manifests(self.lake, contract, [partition])[0].rows

    def _bronze_rows(self, contract: Contract, partition: str) -> int:
        return _existing(bronze_table(self.lake, contract)).rows([partition])

    def _bronze(self, contract: Contract, partitions: list[str]) -> StepResult:
        landed: list[Manifest] = []
        with connection(self.settings) as con:
            # The inputs are looked up after the target's version is pinned: another run that lands more and writes
            # first makes this write conflict, and the next attempt sees what it landed.
            def compute() -> pa.RecordBatchReader:
                landed[:] = manifests(self.lake, contract, partitions)
                offer_lines(con, self.lake, contract, landed)
                return con.sql(bronze_select(contract, self.dialect)).to_arrow_reader(BATCH_ROWS)

            written = delta.replace_partitions(
                bronze_table(self.lake, contract),
                partitions,
                compute,
                {"contract": noted(contract)},
                remember=partitions if contract.cadence == "snapshot" else (),
            )
            rescued = self._rescued(con, contract, written, partitions)
            self._note_contract(contract, bronze_table(self.lake, contract), partitions, written.partitions())
        counts = {
            m.partition: Counts(m.rows, written.rows([m.partition]), rescued=rescued.get(m.partition, 0))
            for m in landed
        }
        return _result(written, counts)

    def _silver(self, contract: Contract, partitions: list[str], *, step: Step) -> StepResult:
        bronze_uri = _existing(bronze_table(self.lake, contract)).uri
        reads = {"contract": noted(contract)}
        read = [*look_back(contract, partitions), *partitions]
        seen: set[str] | None = None
        rows_in: dict[str, int] = {}
        duplicates: dict[str, int] = {}
        with connection(self.settings) as con:
            shrunken = self._shrunken(con, contract, bronze_uri, partitions, step)

            # Like bronze: what is read is pinned after what is written.
            def read_bronze(wanted: list[str]) -> None:
                nonlocal seen, rows_in, duplicates
                bronze = _existing(bronze_table(self.lake, contract))
                reads["bronze_version"] = str(bronze.version)
                files = {*bronze.files(read)}
                if files != seen:
                    duplicates = self._find_losers(con, contract, bronze, partitions)
                    rows_in = {p: bronze.rows([p]) for p in partitions}
                    seen = files
                con.execute(f"CREATE OR REPLACE VIEW bronze AS {scan_sql(bronze, wanted)}")

            # Another run's write of an hour that was looked back on conflicts with none of ours.
            def up_to_date() -> bool:
                return {*_existing(bronze_table(self.lake, contract)).files(read)} == seen

            def compute_quarantine() -> pa.RecordBatchReader:
                read_bronze(partitions)
                return con.sql(quarantine_select(contract, self.dialect)).to_arrow_reader(BATCH_ROWS)

            def compute_silver() -> pa.RecordBatchReader:
                read_bronze(taken)
                select = silver_select(contract, self.dialect)
                return con.sql(select, params=self._key(contract)).to_arrow_reader(BATCH_ROWS)

            quarantined_from: set[str] | None = None
            while quarantined_from is None or quarantined_from != seen:  # both are made of the same bronze
                quarantine = delta.replace_partitions(
                    quarantine_table(self.lake, contract), partitions, compute_quarantine, reads, up_to_date=up_to_date
                )
                quarantined_from, withheld = seen, dict(shrunken)
                loads = self._loads(con, contract, quarantine, rows_in)
                bad = {p: why_withheld(contract, loads[p]) for p in partitions if p not in step.accepted}
                for p, why in bad.items():
                    if why is not None:
                        withheld[p] = f"{withheld[p]}; {why}" if p in withheld else why
                taken = [p for p in partitions if p not in withheld]
                silver = delta.replace_partitions(
                    silver_table(self.lake, contract),
                    partitions,
                    compute_silver,
                    reads,
                    up_to_date=up_to_date,
                )
            left = self._withheld_rows(con, contract, quarantine, sorted(withheld))
            if contract.cadence == "snapshot":
                note_accepted(con, self.lake, contract, self.dialect, taken, sorted(withheld))
                # What is withheld is not among these: it is asked about again when the contract changes.
                there = accepted_snapshots(self.lake, contract)
                self._note_contract(contract, silver_table(self.lake, contract), partitions, there)
        reasons = sum((Counter(load.reasons) for load in loads.values()), Counter[str]())
        counts = {
            p: Counts(
                rows_in=rows_in[p],
                rows_out=silver.rows([p]),
                duplicates=0 if p in withheld else duplicates.get(p, 0),
                quarantined=quarantine.rows([p]),
                withheld=left.get(p, 0),
                conflicts=loads[p].reasons.get(conflict_reason(contract), 0),
            )
            for p in partitions
        }
        return replace(_result(silver, counts, dict(sorted(reasons.items()))), withheld=withheld)

    def _loads(
        self, con: duckdb.DuckDBPyConnection, contract: Contract, quarantine: delta.Pinned, rows_in: dict[str, int]
    ) -> dict[str, Load]:
        """What is bad of each partition, from its quarantine."""
        partition = partition_field(contract).name
        kept_out = f"({scan_sql(quarantine, list(rows_in))})"
        bad = dict(con.execute(bad_rows_select(contract, kept_out)).fetchall())
        reasons: dict[str, dict[str, int]] = {}
        each = f"SELECT {partition}, unnest(_reasons) AS _reason FROM {kept_out}"
        for p, reason, rows in con.execute(f"SELECT *, count(*) FROM ({each}) GROUP BY ALL").fetchall():
            reasons.setdefault(p, {})[reason] = rows
        return {p: Load(rows, bad.get(p, 0), reasons.get(p, {})) for p, rows in rows_in.items()}

    def _withheld_rows(
        self, con: duckdb.DuckDBPyConnection, contract: Contract, quarantine: delta.Pinned, withheld: list[str]
    ) -> dict[str, int]:
        """The rows of withheld partitions that bronze has and quarantine has not."""
        bronze = delta.pin(bronze_table(self.lake, contract).uri)
        if not withheld or bronze is None:
            return {}
        con.execute(f"CREATE OR REPLACE VIEW bronze AS {scan_sql(bronze, withheld)}")
        con.execute(f"CREATE OR REPLACE VIEW quarantined AS {scan_sql(quarantine, withheld)}")
        return dict(con.execute(withheld_select(contract)).fetchall())

    def _shrunken(
        self,
        con: duckdb.DuckDBPyConnection,
        contract: Contract,
        bronze_uri: UPath,
        partitions: list[str],
        step: Step,
    ) -> dict[str, str]:
        """The snapshots that lost too many keys, and why; see ``compile.snapshot_guard``."""
        if contract.cadence != "snapshot":
            return {}
        bronze, silver = delta.pin(bronze_uri), delta.pin(silver_table(self.lake, contract).uri)
        assert bronze is not None
        accepted = accepted_snapshots(self.lake, contract)
        return shrunken(
            partitions,
            lambda snapshot: snapshot in {*step.accepted, *accepted},
            lambda snapshot: why_refused(con, contract, bronze, silver, accepted, snapshot, self.dialect),
            accept_newest=step.accept_shrink,
        )

    def _note_contract(self, contract: Contract, spec: TableSpec, made: list[str], there: list[str]) -> None:
        """Notes by which contract a table was made, once that holds of all snapshots ``there`` are."""
        if contract.cadence == "snapshot" and {*there} <= {*made}:
            delta.note_contract(spec, fingerprint(contract))

    def _find_losers(
        self, con: duckdb.DuckDBPyConnection, contract: Contract, bronze: delta.Pinned, partitions: list[str]
    ) -> dict[str, int]:
        """Creates ``losers``, the copies among the rows of ``partitions``, and counts the plain ones by partition.

        Only keys are read at first, and of the hours looked back on only those where such a key occurs are read whole:
        duplicates are few, and the hours before are many.
        """
        partition = partition_field(contract).name
        before = look_back(contract, partitions)
        con.execute(f"CREATE OR REPLACE VIEW bronze AS {scan_sql(bronze, partitions)}")
        con.execute(f"CREATE OR REPLACE VIEW look_back AS {scan_sql(bronze, before)}")
        con.execute(f"CREATE OR REPLACE TEMP TABLE keys_here AS {keys_select(contract, self.dialect, 'bronze')}")
        con.execute(f"CREATE OR REPLACE TEMP TABLE keys_before AS {keys_before_select(contract, self.dialect)}")
        con.execute(f"CREATE OR REPLACE TEMP TABLE suspects AS {suspects_select(contract, self.dialect)}")
        hours = con.execute(suspect_partitions_select(contract, self.dialect)).fetchall()
        con.execute(f"CREATE OR REPLACE VIEW reach AS {scan_sql(bronze, [hour for (hour,) in hours])}")
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE losers AS SELECT * FROM ({losers_select(contract, self.dialect)}) "
            f"WHERE {partition} IN (SELECT unnest($partitions))",
            {"partitions": partitions},
        )
        return dict(con.execute(duplicates_select(contract)).fetchall())

    def _newest(self, contract: Contract, partitions: list[str]) -> StepResult:
        with connection(self.settings) as con:
            return _result(write_newest(con, self.lake, contract, partitions, self.dialect), {})

    def _rescued(
        self, con: duckdb.DuckDBPyConnection, contract: Contract, bronze: delta.Pinned, partitions: list[str]
    ) -> dict[str, int]:
        """Rows with unknown fields by partition; a malformed line is not counted here but quarantined later."""
        con.execute(f"CREATE OR REPLACE VIEW written AS {scan_sql(bronze, partitions)}")
        return dict(con.execute(rescued_select(contract, self.dialect, "written")).fetchall())

    def _key(self, contract: Contract) -> dict[str, str | bytes]:
        if not uses_masking_key(contract):
            return {}
        key = masking_key(self.settings, self.lake)
        return {"key_id": key.id, "inner_pad": key.inner_pad, "outer_pad": key.outer_pad}


def _existing(spec: TableSpec) -> delta.Pinned:
    pinned = delta.pin(spec.uri)
    if pinned is None:
        raise delta.DeltaWriteError(f"{spec.name} does not exist yet; materialise it first")
    return pinned


def _result(pinned: delta.Pinned, counts: dict[str, Counts], reasons: dict[str, int] | None = None) -> StepResult:
    table = f"{pinned.uri.parent.name}.{pinned.uri.name}"
    return StepResult(table, pinned.version, pinned.rows(), pinned.bytes(), counts, reasons or {})
