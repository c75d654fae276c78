"""One look at a database table's keys, compared with what the lake holds of it.

The keys are read once, in Arrow batches, into a table of DuckDB that spills to disk: memory is bounded by
``LAKE_MEMORY_LIMIT`` whatever the table's size. The latest rows are pinned before the source is read, so that a row
which lands meanwhile is not taken for one that is gone.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import duckdb
import pyarrow as pa

from dagster_lake.compile.duckdb_dialect import DuckDBDialect
from dagster_lake.compile.silver import keys_select
from dagster_lake.contract.columns import UTC_MICROSECONDS
from dagster_lake.contract.model import Contract, DatabaseSource
from dagster_lake.lake_hour import HourRange, parse_hour
from dagster_lake.landing.rows import columns_of, read_table
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.database.database import Database
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.duckdb.connection import connection
from dagster_lake.storage.duckdb.scan import empty_sql, listed_paths, quoted, scan_sql
from dagster_lake.storage.manifest import landed_files, read_manifest
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import deletions_table, newest_table, quarantine_table, silver_table

EXAMPLES = 10
_HOUR = "strftime(date_trunc('hour', {} - INTERVAL 1 MICROSECOND), '%Y-%m-%dT%H')"


@dataclass(frozen=True)
class SteppedBack:
    """Rows that the source holds with an earlier time of writing than silver does, and the keys of some of them."""

    rows: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Gone:
    """Keys whose rows the source no longer has, of ``known`` that it was thought to have; and deleted ones it has."""

    rows: int
    known: int
    back: int


@contextmanager
def source_look(
    settings: Settings, lake: Lake, contract: Contract, database: Database, hours: HourRange | None, *, whole: bool
) -> Iterator["SourceLook"]:
    """Reads the keys of the table: all of them when ``whole``, else those written in ``hours``."""
    assert isinstance(contract.source, DatabaseSource)
    source = contract.source
    names = list(dict.fromkeys([*(p.name for p in contract.keys), source.updated_at, *source.fallback]))
    columns = pa.schema([columns_of(contract).field(name) for name in names])
    latest = delta.pin(newest_table(lake, contract).uri)
    with connection(settings) as con:
        if whole:
            rows = read_table(contract, database, columns)
        elif hours is not None:
            rows = read_table(contract, database, columns, hours.first, hours.end)
        else:
            rows = pa.RecordBatchReader.from_batches(columns, [])
        con.register("source_rows", rows)
        con.execute(f"CREATE TEMP TABLE source_keys AS {_keys(contract, 'source_rows')}")
        con.unregister("source_rows")
        yield SourceLook(con, lake, contract, latest, hours, whole)


@dataclass
class SourceLook:
    """The keys that were read, as ``source_keys`` of ``con``, and what can be asked of them."""

    con: duckdb.DuckDBPyConnection
    lake: Lake
    contract: Contract
    latest: delta.Pinned | None
    hours: HourRange | None
    whole: bool

    def rows(self) -> int:
        """How many rows were read."""
        return self._number("SELECT count(*) FROM source_keys")

    def missed(self) -> dict[str, int]:
        """Rows of the hours that raw has no copy of, under their key and time, by hour."""
        if self.hours is None:
            return {}
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE raw_keys AS {_keys(self.contract, self._landed())}")
        return dict(
            self.con.execute(
                f"SELECT {_HOUR.format('s.' + self._time)}, count(*) FROM source_keys s ANTI JOIN raw_keys r "
                f"ON {self._same('s', 'r')} WHERE s.{self._time} > ? AND s.{self._time} <= ? GROUP BY 1 ORDER BY 1",
                [self.hours.first, self.hours.end],
            ).fetchall()
        )

    def unmade(self) -> list[str]:
        """The hours of which raw has a row that is neither in silver nor in quarantine: their run did not end.

        Asked after ``missed``, which reads raw.
        """
        if self.hours is None:
            return []
        silver, quarantine = (self._scan(of(self.lake, self.contract)) for of in (silver_table, quarantine_table))
        made = f"SELECT {self._columns} FROM {silver} UNION ALL {_keys(self.contract, quarantine)}"
        found = self.con.execute(
            f"SELECT DISTINCT {_HOUR.format('r.' + self._time)} FROM raw_keys r ANTI JOIN ({made}) m "
            f"ON {self._same('r', 'm')} WHERE r.{self._time} IS NOT NULL ORDER BY 1"
        )
        return [hour for (hour,) in found.fetchall()]

    def unmerged(self) -> list[str]:
        """The hours with a change that the latest rows have not taken, as they are now."""
        if self.hours is None:
            return []
        return unmerged_hours(self.con, self.lake, self.contract, self.hours.keys)

    def older_than(self, hour: str) -> int:
        """Rows that were written before ``hour`` began."""
        return self._number(f"SELECT count(*) FROM source_keys WHERE {self._time} <= ?", parse_hour(hour))

    def stepped_back(self) -> SteppedBack:
        """Rows whose time of writing is before that of silver's latest row: silver keeps what it had."""
        earlier = (
            f"FROM source_keys s JOIN {self._latest()} t USING ({self._keys}) WHERE s.{self._time} < t.{self._time}"
        )
        rows = self._number(f"SELECT count(*) {earlier}")
        found = self.con.execute(f"SELECT {self._keys} {earlier} ORDER BY {self._keys} LIMIT {EXAMPLES}").fetchall()
        return SteppedBack(rows, tuple(", ".join(str(value) for value in key) for key in found))

    def find_gone(self, written_until: datetime) -> Gone:
        """Finds the keys that are gone, of rows that were written until then."""
        self._show_deletions()
        known = (
            f"SELECT t.* FROM (SELECT {self._columns} FROM {self._latest()}) t "
            f"LEFT JOIN deletions d USING ({self._keys}) "
            f"WHERE t.{self._time} <= ? AND (d._deleted_at IS NULL OR d._deleted_at < t.{self._time})"
        )
        self.con.execute(f"CREATE OR REPLACE TEMP TABLE known AS {known}", [written_until])
        self.con.execute(
            f"CREATE OR REPLACE TEMP TABLE gone AS SELECT {self._keys} FROM known ANTI JOIN source_keys "
            f"USING ({self._keys})"
        )
        return Gone(
            self._number("SELECT count(*) FROM gone"),
            self._number("SELECT count(*) FROM known"),
            self._number(f"SELECT count(*) FROM deletions SEMI JOIN source_keys USING ({self._keys})"),
        )

    def note_gone(self, found_at: datetime) -> None:
        """Writes the keys that ``find_gone`` found into the table of deletions, and takes out those that are back."""

        def rows() -> pa.RecordBatchReader:
            self._show_deletions()
            return self.con.sql(
                f"SELECT {self._keys}, _deleted_at FROM deletions ANTI JOIN source_keys USING ({self._keys}) "
                f"ANTI JOIN gone USING ({self._keys}) UNION ALL SELECT {self._keys}, $found_at FROM gone",
                params={"found_at": pa.scalar(found_at, UTC_MICROSECONDS).as_py()},
            ).to_arrow_reader(100_000)

        delta.overwrite(deletions_table(self.lake, self.contract), rows, {"found_at": found_at.isoformat()})

    def to_refresh(self) -> list[str]:
        """The hours of the latest rows that do not say of themselves what the table of deletions says."""
        latest = delta.pin(newest_table(self.lake, self.contract).uri)
        if latest is None:
            return []
        self._show_deletions()
        said = "t._deleted_at" if "_deleted_at" in latest.schema.names else "NULL"
        found = self.con.execute(
            f"SELECT DISTINCT t._lake_hour FROM ({scan_sql(latest)}) t LEFT JOIN deletions d USING ({self._keys}) "
            f"WHERE {said} IS DISTINCT FROM CASE WHEN d._deleted_at >= t.{self._time} THEN d._deleted_at END ORDER BY 1"
        )
        return [hour for (hour,) in found.fetchall()]

    @property
    def _keys(self) -> str:
        return ", ".join(quoted(p.name) for p in self.contract.keys)

    @property
    def _time(self) -> str:
        assert isinstance(self.contract.source, DatabaseSource)
        return quoted(self.contract.source.updated_at)

    @property
    def _columns(self) -> str:
        return f"{self._keys}, {self._time}"

    def _same(self, one: str, other: str) -> str:
        # A key may be null: such a row lands, and goes to quarantine.
        columns = [*(quoted(p.name) for p in self.contract.keys), self._time]
        return " AND ".join(f"{one}.{c} IS NOT DISTINCT FROM {other}.{c}" for c in columns)

    def _number(self, sql: str, *values: object) -> int:
        found = self.con.execute(sql, list(values)).fetchone()
        assert found is not None
        return int(found[0])

    def _latest(self) -> str:
        """The latest rows as they were before the source was read."""
        spec = newest_table(self.lake, self.contract)
        return f"({empty_sql(spec.schema) if self.latest is None else scan_sql(self.latest)})"

    def _scan(self, spec: TableSpec) -> str:
        """A table as it is now, of the hours looked at."""
        return _scanned(spec, self.hours.keys if self.hours else None)

    def _landed(self) -> str:
        """The rows that raw holds of the hours."""
        assert self.hours is not None
        files = []
        for hour in self.hours.keys:
            folder = self.lake.raw_partition(self.contract.name, hour, sensitive=self.contract.sensitive)
            manifest = read_manifest(folder)
            files += [str(place) for _, _, place in landed_files(folder, manifest)] if manifest else []
        if not files:
            return f"({empty_sql(columns_of(self.contract))})"
        return f"(SELECT * FROM read_parquet({listed_paths(files)}, union_by_name = true, hive_partitioning = false))"

    def _show_deletions(self) -> None:
        spec = deletions_table(self.lake, self.contract)
        pinned = delta.pin(spec.uri)
        sql = empty_sql(spec.schema) if pinned is None else scan_sql(pinned)
        self.con.execute(f"CREATE OR REPLACE VIEW deletions AS {sql}")


def unmerged_hours(
    con: duckdb.DuckDBPyConnection, lake: Lake, contract: Contract, hours: Collection[str] | None = None
) -> list[str]:
    """The hours (of those given, or of all) with a change that the latest rows have not taken."""
    assert isinstance(contract.source, DatabaseSource)
    keys, time = ", ".join(quoted(p.name) for p in contract.keys), quoted(contract.source.updated_at)
    changes, latest = _scanned(silver_table(lake, contract), hours), _scanned(newest_table(lake, contract), None)
    found = con.execute(
        f"SELECT DISTINCT c._lake_hour FROM {changes} c LEFT JOIN {latest} t USING ({keys}) "
        f"WHERE t.{time} IS NULL OR t.{time} < c.{time} ORDER BY 1"
    )
    return [hour for (hour,) in found.fetchall()]


def _scanned(spec: TableSpec, hours: Collection[str] | None) -> str:
    pinned = delta.pin(spec.uri)
    return f"({empty_sql(spec.schema) if pinned is None else scan_sql(pinned, hours)})"


def _keys(contract: Contract, relation: str) -> str:
    """The keys and times of a relation of source's columns, made as silver makes them."""
    assert isinstance(contract.source, DatabaseSource)
    source = contract.source
    names = ", ".join(quoted(name) for name in [*(p.name for p in contract.keys), source.updated_at])
    more = "".join(f", {quoted(name)}" for name in source.fallback)
    rows = f"(SELECT {names}{more}, NULL AS _lake_hour FROM {relation})"
    return f"SELECT {names} FROM ({keys_select(contract, DuckDBDialect(), rows)})"
