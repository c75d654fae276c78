"""The latest rows of a data set that comes as snapshots: made from all of them, or from the table and one more.

Each write notes what it was made from: the newest snapshot, and a hash of the files of those before it. While these are
as they were, a newer snapshot is applied to the table as it is; whenever an earlier one was made again, or taken late,
the table is made from all of them.
"""

from dataclasses import dataclass
from hashlib import sha256

import duckdb
import pyarrow as pa

from dagster_lake.compile.duckdb_dialect import DuckDBDialect
from dagster_lake.compile.newest_snapshots import advanced_by_snapshot_select, newest_of_snapshots_select
from dagster_lake.contract.columns import accepted_schema, newest_schema
from dagster_lake.contract.model import Contract
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.delta.reads import HOUSEKEEPING
from dagster_lake.storage.duckdb.scan import empty_sql, scan_sql
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import accepted_table, newest_table, silver_table

BATCH_ROWS = 100_000
_MADE_FROM = "lake.made_from"


def write_newest_of_snapshots(
    con: duckdb.DuckDBPyConnection, lake: Lake, contract: Contract, dialect: DuckDBDialect
) -> delta.Pinned:
    """Brings the table up to date with all snapshots that silver has taken; nothing is written when it is."""
    spec = newest_table(lake, contract)
    metadata: dict[str, str] = {}

    def compute() -> pa.RecordBatchReader | None:
        inputs = _Inputs.pinned(lake, contract)
        metadata[_MADE_FROM] = inputs.up_to(inputs.newest)
        metadata["silver_version"] = str(inputs.silver.version)
        target = delta.pin(spec.uri)
        assert target is not None  # ``overwrite`` has created it
        newest = _newest_of(target, inputs)
        if newest is not None and _holds(con, contract, dialect, inputs, target, newest):
            newer = [snapshot for snapshot in inputs.accepted if snapshot > newest]
            if not newer:
                return None
            if len(newer) == 1:
                return _read(con, _advanced(con, contract, dialect, inputs, target, newer[0]))
        inputs.show(con, inputs.accepted)
        return _read(con, newest_of_snapshots_select(contract, dialect, inputs.accepted))

    return delta.overwrite(spec, compute, metadata)


@dataclass(frozen=True)
class _Inputs:
    """One version of what the table follows from."""

    contract: Contract
    silver: delta.Pinned
    kept_out: delta.Pinned | None
    accepted: list[str]

    @classmethod
    def pinned(cls, lake: Lake, contract: Contract) -> "_Inputs":
        """The newest version."""
        silver = delta.pin(silver_table(lake, contract).uri)
        assert silver is not None
        kept_out = delta.pin(accepted_table(lake, contract).uri)
        accepted = {*silver.partitions(), *(kept_out.partitions() if kept_out else [])}
        return cls(contract, silver, kept_out, sorted(accepted))

    @property
    def newest(self) -> str:
        """The newest snapshot; empty when there is none."""
        return self.accepted[-1] if self.accepted else ""

    def up_to(self, newest: str) -> str:
        """What a table that ends with the snapshot ``newest`` is made from: its name, and a hash of the snapshots
        before it and their files."""
        before = [snapshot for snapshot in self.accepted if snapshot < newest]
        files = [*self.silver.files(before), *(self.kept_out.files(before) if self.kept_out else [])]
        root = str(self.silver.uri.parent.parent)
        told = "\n".join([*before, *sorted(file.removeprefix(root) for file in files)])
        return f"{newest} {sha256(told.encode()).hexdigest()}"

    def show(self, con: duckdb.DuckDBPyConnection, snapshots: list[str]) -> None:
        """Creates the views ``snapshots`` and ``kept_out``."""
        empty = empty_sql(accepted_schema(self.contract))
        kept_out = scan_sql(self.kept_out, snapshots) if self.kept_out else empty
        con.execute(f"CREATE OR REPLACE VIEW snapshots AS {scan_sql(self.silver, snapshots)}")
        con.execute(f"CREATE OR REPLACE VIEW kept_out AS {kept_out}")


def _newest_of(target: delta.Pinned, inputs: _Inputs) -> str | None:
    """The newest snapshot that the table was made from, when what came before that one is as it was then."""
    for entry in target.table.history(10):
        if made_from := entry.get(_MADE_FROM):
            newest = str(made_from).partition(" ")[0]
            there = newest in inputs.accepted or not newest
            return newest if there and made_from == inputs.up_to(newest) else None
        if entry.get("operation") not in HOUSEKEEPING:
            return None
    return None


def _holds(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    dialect: DuckDBDialect,
    inputs: _Inputs,
    target: delta.Pinned,
    newest: str,
) -> bool:
    """Whether the table is what the snapshot ``newest``, as it is now, makes of it: it may have been made again."""
    if not newest:
        return True
    columns = ", ".join(dialect.identifier(name) for name in newest_schema(contract).names)
    select = _advanced(con, contract, dialect, inputs, target, newest)
    return not con.execute(f"{select} EXCEPT SELECT {columns} FROM target LIMIT 1").fetchall()


def _read(con: duckdb.DuckDBPyConnection, select: str) -> pa.RecordBatchReader:
    return con.sql(select).to_arrow_reader(BATCH_ROWS)


def _advanced(
    con: duckdb.DuckDBPyConnection,
    contract: Contract,
    dialect: DuckDBDialect,
    inputs: _Inputs,
    target: delta.Pinned,
    snapshot: str,
) -> str:
    con.execute(f"CREATE OR REPLACE VIEW target AS {scan_sql(target)}")
    inputs.show(con, [snapshot])
    return f"SELECT * FROM ({advanced_by_snapshot_select(contract, dialect, snapshot)})"
