"""Every Delta write of the lake, and the pinned reads that writers compute from.

A write first pins the version it builds on. If another writer touches the same partition in between, delta-rs
refuses the commit and the whole of read, compute and write runs again: a blind retry would publish stale rows.
"""

import math
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from upath import UPath

from dagster_lake.commit import commit
from dagster_lake.errors import LakeError
from dagster_lake.storage.adls.errors import reaching
from dagster_lake.storage.adls.options import delta_options
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.back_off import BackOff
from dagster_lake.storage.checksums import forget_checksums, note_checksums
from dagster_lake.storage.damage import TableDamaged, log_faults, refuse_torn, remedy, table_name
from dagster_lake.storage.delta.spec import STATISTICS, TableSpec

ATTEMPTS = 8
BACK_OFF = BackOff(timedelta(milliseconds=50), timedelta(seconds=5))
"""After a conflict: whoever won may be about to write again."""
EVOLVED = "lake.evolved"
CONTRACT = "lake.contract"
"""The table property that says by which contract all snapshots in a table were made."""
LOG_RETENTION = "delta.logRetentionDuration"
SMALL_FILES = 32
"""So many files of a partition are worth being joined."""
_UNREADABLE_FEATURES = {"deletionVectors", "columnMapping"}


class DeltaWriteError(LakeError):
    """A write that was refused."""


class LostToOthers(DeltaWriteError):
    """A write that lost too many times in a row; the next one may win."""


@dataclass(frozen=True)
class Pinned:
    """One version of one table; everything read through it sees that version only."""

    uri: UPath
    table: DeltaTable

    def __post_init__(self) -> None:
        # Read now: a writer takes ``table`` along to the versions that it writes.
        _ = (self.version, self.schema, self.evolved, self.partition_column, self.actions)

    @cached_property
    def version(self) -> int:
        """The Delta version that was pinned."""
        return self.table.version()

    @cached_property
    def schema(self) -> pa.Schema:
        """The table's columns, as Arrow."""
        return pa.schema(self.table.schema().to_arrow())

    @cached_property
    def evolved(self) -> bool:
        """Whether a column was added after the first write, so that older files lack it."""
        return self.table.metadata().configuration.get(EVOLVED) == "true"

    @property
    def contract(self) -> str | None:
        """The fingerprint of the contract by which all partitions were made; None when they were not, or of old."""
        return self.table.metadata().configuration.get(CONTRACT)

    @cached_property
    def partition_column(self) -> str | None:
        """The column the table is partitioned by, if any."""
        columns = self.table.metadata().partition_columns
        return columns[0] if columns else None

    @cached_property
    def actions(self) -> pa.Table:
        """The files of this version with partition values, row counts and statistics; see delta-rs' add actions."""
        return pa.table(self.table.get_add_actions(flatten=True))

    def files(
        self, partitions: Collection[str] | None = None, overlapping: tuple[str, object, object] | None = None
    ) -> list[str]:
        """Absolute paths of the files, only those of the named ``partitions``, and only those whose statistics
        allow a value of column ``overlapping[0]`` between the other two. A file without statistics is kept."""
        actions = self._select(partitions)
        if overlapping is not None:
            column, low, high = overlapping
            if f"min.{column}" in actions.column_names:
                low_enough = pc.fill_null(pc.less_equal(actions[f"min.{column}"], pa.scalar(high)), True)
                high_enough = pc.fill_null(pc.greater_equal(actions[f"max.{column}"], pa.scalar(low)), True)
                actions = actions.filter(pc.and_(low_enough, high_enough))
        return [str(self.uri / path) for path in actions["path"].to_pylist()]

    def are_there(self, files: Collection[str]) -> bool:
        """Whether none of these files, as ``files`` names them, was vacuumed meanwhile."""
        root = f"{self.uri}/"
        return all(_exists(self.uri / file.removeprefix(root)) for file in files)

    def rows(self, partitions: Collection[str] | None = None) -> int:
        """Rows in the table, or in the named partitions, from the log alone."""
        return pc.sum(self._select(partitions)["num_records"]).as_py() or 0

    def bytes(self, partitions: Collection[str] | None = None) -> int:
        """Bytes of the table's files, or of those in the named partitions."""
        return pc.sum(self._select(partitions)["size_bytes"]).as_py() or 0

    def partitions(self) -> list[str]:
        """The partition values that hold files, in order; empty when the table is not partitioned."""
        if self.partition_column is None:
            return []
        return sorted(pc.unique(self.actions[f"partition.{self.partition_column}"]).to_pylist())

    def written(self, partition: str) -> bool:
        """Whether the partition holds rows, or was once replaced with ``remember``, perhaps by no rows at all."""
        return partition in self.partitions() or self.table.transaction_version(_remembered(partition)) is not None

    def bounds(self, column: str, partitions: Collection[str] | None = None) -> tuple[object, object] | None:
        """The least and greatest value of ``column`` by the log's statistics; None when there are none."""
        actions = self._select(partitions)
        if f"min.{column}" not in actions.column_names or actions.num_rows == 0:
            return None
        low = pc.min(actions[f"min.{column}"]).as_py()
        high = pc.max(actions[f"max.{column}"]).as_py()
        return None if low is None or high is None else (low, high)

    def _select(self, partitions: Collection[str] | None) -> pa.Table:
        if partitions is None:
            return self.actions
        values = pa.array(list(partitions), pa.string())
        return self.actions.filter(pc.is_in(self.actions[f"partition.{self.partition_column}"], value_set=values))


def pin(uri: UPath, version: int | None = None) -> Pinned | None:
    """The newest (or the given) version of the table at ``uri``; None when there is no table.

    Raises DeltaWriteError for a table that uses deletion vectors or column mapping: its files alone do not tell
    its rows. Raises TableDamaged for one whose log is damaged.
    """
    if version is not None:
        return _load(uri, version)
    found = _still_newest(_held.get(str(uri))) or _load(uri)
    if found is not None:
        _hold(found)
    return found


def _pin_to_write(uri: UPath) -> Pinned | None:
    """As ``pin``, with a table that no other writer of this process is given: it moves on with what is written."""
    return _still_newest(_held.pop(str(uri), None)) or _load(uri)


def _load(uri: UPath, version: int | None = None) -> Pinned | None:
    refuse_torn(uri)
    table = _open(uri, version)
    if table is None:
        return None
    unreadable = _UNREADABLE_FEATURES & set(table.protocol().reader_features or ())
    if unreadable:
        raise DeltaWriteError(
            f"{uri} uses {', '.join(sorted(unreadable))}, which the embedded engine cannot read; "
            "rewrite it without (ALTER TABLE ... DROP FEATURE) or read it with Spark"
        )
    return Pinned(uri, table)


def _open(uri: UPath, version: int | None = None) -> DeltaTable | None:
    with reaching(uri):
        try:
            return DeltaTable(str(uri), version=version, storage_options=delta_options(uri))
        except TableNotFoundError:
            return None
        except DeltaError as error:
            if version is None:
                raise _damaged(uri, error) from error
            raise  # perhaps that version has expired


def _damaged(uri: UPath, error: DeltaError) -> Exception:
    """What is wrong with a table that delta-rs could not open; its own message names neither table nor file."""
    if found := log_faults(uri):
        return TableDamaged(table_name(uri), found)
    told = str(error).partition("\n")[0]
    return DeltaWriteError(f"{table_name(uri)} at {uri} cannot be read: {told}; {remedy(table_name(uri))}")


# ---- what this process knows already ----
# Loading a table reads its log, which takes longer the more partitions there are. A step pins its tables several times
# over, and mostly nobody has committed since: two looks at the log's folder tell.

_Commit = tuple[object, ...]
_held: dict[str, tuple[_Commit, Pinned]] = {}


def _hold(pinned: Pinned) -> None:
    """Keeps a table for the next ``pin``."""
    commit = _commit_file(pinned)
    if commit is not None:
        _held[str(pinned.uri)] = (commit, pinned)


def _still_newest(held: tuple[_Commit, Pinned] | None) -> Pinned | None:
    """The table, when the last commit it knows is still there, and no later one, and it can still be read."""
    if held is None:
        return None
    commit, pinned = held
    if pinned.table._storage_options != delta_options(pinned.uri):  # its token is about to expire
        return None
    return pinned if commit == _commit_file(pinned) and not _exists(_log_file(pinned, 1)) else None


def _commit_file(pinned: Pinned) -> _Commit | None:
    """What tells the file of this very commit from that of a table made anew in the same place."""
    file = _log_file(pinned)
    if is_adls(file):
        etag = _etag(file)
        return None if etag is None else (etag,)
    try:
        found = os.stat(str(file))
    except FileNotFoundError:
        return None  # expired, behind a checkpoint
    return found.st_ino, found.st_mtime_ns, found.st_size


def _exists(file: UPath) -> bool:
    return _etag(file) is not None if is_adls(file) else os.path.exists(str(file))


def _etag(file: UPath) -> str | None:
    from dagster_lake.storage.adls.blobs import etag_of

    return etag_of(file)


def _log_file(pinned: Pinned, later: int = 0) -> UPath:
    return pinned.uri / "_delta_log" / f"{pinned.version + later:020}.json"


def replace_partitions(
    spec: TableSpec,
    partitions: list[str],
    compute: Callable[[], pa.RecordBatchReader],
    metadata: Mapping[str, str],
    *,
    up_to_date: Callable[[], bool] = lambda: True,
    remember: Collection[str] = (),
) -> Pinned:
    """Replaces exactly the named partitions by the rows of ``compute()``; no rows empties them.

    A row of another partition fails the write before anything is committed. ``metadata`` goes into the commit.
    ``up_to_date`` tells after a commit whether what ``compute`` read is still the newest; if not, it is computed and
    written again. A conflict tells so only where the other writer writes the same partitions of the same table.
    Those in ``remember`` are noted in the log, so that an empty one can be told from one never written.
    """
    column = spec.partition_by
    if column is None:
        raise ValueError(f"{spec.name} is not partitioned")
    if not partitions:
        return ensure(spec)
    predicate = f"{_identifier(column)} IN ({', '.join(_literal(p) for p in sorted(partitions))})"

    def write(base: Pinned) -> None:
        rows = _conforming(compute(), base.schema)
        properties = _properties(metadata, remember)
        write_deltalake(base.table, rows, mode="overwrite", predicate=predicate, commit_properties=properties)

    return _attempt(spec, write, up_to_date)


def ensure(spec: TableSpec) -> Pinned:
    """The table as it stands, created without rows or widened to the schema of ``spec`` when need be."""
    with reaching(spec.uri):
        found = _ensure(spec)
    _hold(found)
    return found


def append(
    spec: TableSpec, compute: Callable[[], pa.RecordBatchReader], metadata: Mapping[str, str], *, turn: str
) -> Pinned:
    """Adds the rows of ``compute()`` to the table.

    Appends of the same ``turn`` come one after the other: of two at once, the later one computes again what it adds,
    and then sees what the other one added.
    """

    def write(base: Pinned) -> None:
        taken = _turn(base, turn)
        rows = _conforming(compute(), base.schema)
        properties = CommitProperties(custom_metadata=dict(metadata), app_transactions=[taken])
        write_deltalake(base.table, rows, mode="append", commit_properties=properties)

    return _attempt(spec, write)


def overwrite(
    spec: TableSpec, compute: Callable[[], pa.RecordBatchReader | None], metadata: Mapping[str, str]
) -> Pinned:
    """Replaces the whole table by the rows of ``compute()``; None means there is nothing to do.

    ``metadata`` records the input versions that ``compute`` saw.
    """
    written: list[Pinned] = []

    def write(base: Pinned) -> None:
        written[:] = [base]
        # Of a table without rows nothing is removed, and delta-rs then takes two overwrites for two appends.
        taken = _turn(base, "overwrite")
        found = compute()
        if found is None:
            return
        rows = _conforming(found, base.schema)
        properties = CommitProperties(custom_metadata=dict(metadata), app_transactions=[taken])
        write_deltalake(base.table, rows, mode="overwrite", commit_properties=properties)

    # Nor does it see what another verb added to such a table meanwhile: then ours is not the commit after the base.
    return _attempt(spec, write, lambda: written[0].table.version() <= written[0].version + 1)


@dataclass(frozen=True)
class Merge:
    """One merge: every source row replaces the target row of the same keys, or is inserted.

    ``compute`` has left out the source rows that must not win. ``within`` is SQL over ``t`` (the target) that narrows
    the rows that can match, so that files outside are not read. ``gone`` names a boolean column of the source alone:
    where it holds, the target row is deleted instead.
    """

    source: pa.RecordBatchReader
    keys: tuple[str, ...]
    within: str | None = None
    gone: str | None = None


def merge(spec: TableSpec, compute: Callable[[Pinned], Merge | None], metadata: Mapping[str, str]) -> Pinned:
    """Merges what ``compute`` returns for the pinned target; None means there is nothing to do."""

    def write(base: Pinned) -> None:
        # Two that insert the same key conflict, whatever files they touch.
        taken = _turn(base, "merge")
        step = compute(base)
        if step is None:
            return
        extra = [pa.field(step.gone, pa.bool_())] if step.gone else []
        match = [f"t.{_identifier(k)} = s.{_identifier(k)}" for k in step.keys]
        merger = base.table.merge(
            _conforming(step.source, pa.schema([*base.schema, *extra])),
            " AND ".join([*match, *([step.within] if step.within else [])]),
            source_alias="s",
            target_alias="t",
            commit_properties=CommitProperties(custom_metadata=dict(metadata), app_transactions=[taken]),
        )
        if step.gone:
            merger = merger.when_matched_delete(f"s.{_identifier(step.gone)}")
        merger.when_matched_update_all(except_cols=[field.name for field in extra]).when_not_matched_insert_all(
            except_cols=[field.name for field in extra]
        ).execute()

    return _attempt(spec, write)


def note_contract(spec: TableSpec, fingerprint: str) -> None:
    """Notes that every partition of the table was made by the contract with this fingerprint."""

    def write(base: Pinned) -> None:
        if base.contract != fingerprint:
            base.table.alter.set_table_properties({CONTRACT: fingerprint}, raise_if_not_exists=False)

    _attempt(spec, write)


def empty_partitions(uri: UPath, partitions: Collection[str]) -> None:
    """Takes the partitions out of the table, by its log alone: their files, which may be damaged, are not read."""
    base = _pin_to_write(uri)
    if base is None or base.partition_column is None:
        raise ValueError(f"{uri} is no partitioned table")
    predicate = f"{_identifier(base.partition_column)} IN ({', '.join(_literal(p) for p in sorted(partitions))})"
    with reaching(uri), commit(f"repair.{table_name(uri)}"):
        base.table.delete(predicate)


def vacuum(uri: UPath, *, keep_hours: int = 7 * 24) -> list[str]:
    """Deletes files that no version of the last ``keep_hours`` needs, those of crashed writers included.

    Returns their paths, and leaves alone what is younger than that.

    Raises ValueError below seven days: a reader that pinned a version may still be at work.
    """
    if keep_hours < 7 * 24:
        raise ValueError(f"keep_hours={keep_hours} could break a running reader; keep at least {7 * 24} hours")
    table = _open(uri)
    if table is None:
        raise TableNotFoundError(f"{uri} is no Delta table")
    with reaching(uri), commit(f"vacuum.{uri.name}"):
        # In full: a writer that crashed left files that no version ever named.
        removed = table.vacuum(retention_hours=keep_hours, dry_run=False, full=True)
        if isinstance(uri, Path):
            forget_checksums(uri, removed)
        return removed


def tidy(uri: UPath, *, kept: timedelta, log_kept: timedelta) -> list[str]:
    """Deletes files of a table that were replaced longer than ``kept`` ago, and joins the many small ones that appends
    left; gives the deleted paths. No row changes, and what a writer has not committed yet is left alone.

    For a table that is written every few seconds: a reader of an older version than that must begin again. From then
    on the table's log goes back for ``log_kept``, unless its properties say otherwise: delta-rs removes what is older
    whenever it writes a checkpoint, which is every hundred commits. A table that is not there needs nothing.
    """
    table = _open(uri)
    if table is None:
        return []
    with reaching(uri), commit(f"tidy.{table_name(uri)}"):
        if table.metadata().configuration.get(LOG_RETENTION) is None:
            properties = {LOG_RETENTION: f"interval {log_kept.total_seconds():.0f} seconds"}
            table.alter.set_table_properties(properties, raise_if_not_exists=False)
        _join_small_files(uri, table)
        hours = math.ceil(kept / timedelta(hours=1))
        if not table.vacuum(hours, dry_run=True, enforce_retention_duration=False):  # a vacuum is two commits
            return []
        removed = table.vacuum(hours, dry_run=False, enforce_retention_duration=False)
        if isinstance(uri, Path):
            forget_checksums(uri, removed)
        return removed


def _join_small_files(uri: UPath, table: DeltaTable) -> None:
    actions = pa.table(table.get_add_actions(flatten=True))
    columns = table.metadata().partition_columns
    found = actions.group_by([f"partition.{name}" for name in columns]).aggregate([("path", "count")])
    for row in found.to_pylist():
        if row["path_count"] >= SMALL_FILES:
            before = table.version()
            table.optimize.compact([(name, "=", row[f"partition.{name}"]) for name in columns] or None)
            if isinstance(uri, Path):
                note_checksums(uri, range(before, table.version() + 1))


def _attempt(spec: TableSpec, write: Callable[[Pinned], None], up_to_date: Callable[[], bool] = lambda: True) -> Pinned:
    for failures in range(ATTEMPTS):
        if failures:
            BACK_OFF.wait(failures)
        try:
            with reaching(spec.uri):
                base = _ensure(spec)
                before = base.version
                with commit(spec.name):
                    write(base)
                    written = Pinned(base.uri, base.table)  # the write took the table along
                    if isinstance(spec.uri, Path) and written.version != before:
                        # From the commit before on: who wrote that may have died before its files were noted.
                        note_checksums(spec.uri, range(before, written.version + 1))
        except CommitFailedError:
            continue
        _hold(written)
        if up_to_date():
            return written
    raise LostToOthers(
        f"{spec.name}: lost to another writer {ATTEMPTS} times in a row; run again when the other runs have ended"
    )


def _ensure(spec: TableSpec) -> Pinned:
    """The table as it stands, created or widened to the schema of ``spec`` when need be."""
    existing = _pin_to_write(spec.uri) or _create(spec)  # perhaps by another writer, with other columns
    wanted, found = spec.schema, existing.schema
    changed = [c for c in found if c.name in wanted.names and wanted.field(c.name).type != c.type]
    if existing.actions.num_rows == 0 and (changed or existing.partition_column != spec.partition_by):
        return _create_anew(spec, existing)
    for column in changed:
        raise DeltaWriteError(
            f"{spec.name}.{column.name} is {column.type} in the lake and {wanted.field(column.name).type} in the "
            f"contract or model; a type cannot change in place: remove {spec.uri} and materialise it again"
        )
    added = [column for column in wanted if column.name not in found.names]
    if added:
        existing = _widen(spec, existing, added)
    # After the columns are there: Spark refuses a property that names others.
    if spec.statistics_are_wrong(existing.table.metadata().configuration.get(STATISTICS)):
        with commit(f"{spec.name}.statistics"):
            properties = {STATISTICS: spec.statistics_property}
            existing.table.alter.set_table_properties(properties, raise_if_not_exists=False)
        existing = _there_to_write(spec)
    return existing


def _widen(spec: TableSpec, existing: Pinned, added: list[pa.Field]) -> Pinned:
    # Said before it is true: readers then look for missing columns in vain, where otherwise they would fail.
    with commit(f"{spec.name}.evolved"):
        existing.table.alter.set_table_properties({EVOLVED: "true"}, raise_if_not_exists=False)
    with commit(f"{spec.name}.columns"):
        evolving = _open(spec.uri)
        assert evolving is not None
        evolving.alter.add_columns(_delta_fields(added))
    return _there_to_write(spec)


def _there_to_write(spec: TableSpec) -> Pinned:
    found = _pin_to_write(spec.uri)
    assert found is not None
    return found


def _create(spec: TableSpec) -> Pinned:
    if isinstance(spec.uri, Path):
        spec.uri.parent.mkdir(parents=True, exist_ok=True)
    try:
        _create_table(spec)
    except (CommitFailedError, DeltaError):
        if pin(spec.uri) is None:
            raise  # not a race with another creator
    return _there_to_write(spec)


def _create_anew(spec: TableSpec, empty: Pinned) -> Pinned:
    """The table without rows, as ``spec`` says now: what a run that failed left is no reason to keep a type."""
    version = _create_table(spec, anew=True).version()
    if version != empty.version + 1 and (lost := _load(spec.uri, version - 1)) is not None and lost.actions.num_rows:
        raise DeltaWriteError(
            f"{spec.name}: another run wrote rows of other types while the table was made anew; those rows are in "
            f"version {lost.version} alone: materialise what that run was for again"
        )
    return _there_to_write(spec)


def _create_table(spec: TableSpec, *, anew: bool = False) -> DeltaTable:
    with commit(f"{spec.name}.{'recreate' if anew else 'create'}"):
        return DeltaTable.create(
            str(spec.uri),
            spec.schema,
            mode="overwrite" if anew else "error",
            partition_by=spec.partition_by,
            description=spec.description or None,
            configuration={STATISTICS: spec.statistics_property},
            storage_options=delta_options(spec.uri),
        )


def _delta_fields(columns: list[pa.Field]) -> list:
    from deltalake.schema import Schema

    # Columns added later are nullable whatever the contract says: the rows before them have no value.
    return list(Schema.from_arrow(pa.schema([c.with_nullable(True) for c in columns])).fields)


def _conforming(reader: pa.RecordBatchReader, schema: pa.Schema) -> pa.RecordBatchReader:
    """The same rows with exactly the table's columns, order and types; a missing column is null."""

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in reader:
            columns = [
                batch.column(f.name).cast(f.type) if f.name in batch.schema.names else pa.nulls(batch.num_rows, f.type)
                for f in schema
            ]
            yield pa.RecordBatch.from_arrays(columns, schema=schema)

    unknown = set(reader.schema.names) - set(schema.names)
    if unknown:
        raise DeltaWriteError(f"columns {sorted(unknown)} are not in the table's schema")
    return pa.RecordBatchReader.from_batches(schema, batches())


def _turn(base: Pinned, name: str) -> Transaction:
    """What makes two commits of one turn conflict: each takes the number after the one that its base knows."""
    turn = f"lake.turn.{name}"
    return Transaction(turn, (base.table.transaction_version(turn) or 0) + 1)


def _properties(metadata: Mapping[str, str], remembered: Collection[str] = ()) -> CommitProperties:
    notes = [Transaction(_remembered(partition), 1) for partition in remembered]
    return CommitProperties(custom_metadata=dict(metadata), app_transactions=notes or None)


def _remembered(partition: str) -> str:
    return f"lake.partition.{partition}"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
