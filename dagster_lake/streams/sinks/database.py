"""Tables of a database: the rows of an hour, and that the table has them, are written in one transaction.

So a table holds an hour once, as of one version of the stream, whenever a process dies; and since the transaction
holds the lock before the rows are read, never an older version than it held before.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from adbc_driver_manager import Error as AdbcError

from dagster_lake.commit import commit
from dagster_lake.settings.lake import Settings
from dagster_lake.settings.secret_text import scrub, without_secrets
from dagster_lake.storage.delta.write import Pinned, pin
from dagster_lake.storage.duckdb.scan import quoted
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.declarations import PARTITION
from dagster_lake.streams.sinks.database_system import HOURS, TABLES, System, system_of
from dagster_lake.streams.sinks.rows import BATCH_ROWS, reading, rows_sql, sent_columns
from dagster_lake.streams.sinks.sink import Position, Sink, SinkError, SinkRefused


@dataclass(frozen=True)
class _Known:
    """What the database notes of a table: by which lake it is filled, what it has, and the types of its columns."""

    lake: str
    position: Position | None
    columns: dict[str, str]


class DatabaseSink:
    """One table."""

    def __init__(self, lake: Lake, settings: Settings, sink: Sink) -> None:
        self._settings, self._sink = settings, sink
        self._table, self._lake = sink.table(lake), str(lake.root)
        self._system: System = system_of(settings, lake)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Nothing is held: each transaction is alone."""
        with self._telling():
            if not self._system.is_ready():
                with commit("sinks.tables"):
                    self._system.make_own_tables()
            yield

    def position(self) -> Position | None:
        """What the table has."""
        with self._system.transaction() as cursor:
            known = self._known(cursor)
        return None if known is None else known.position

    def held(self) -> Collection[str]:
        """The hours that it has rows of."""
        with self._system.transaction() as cursor:
            found = self._system.rows(cursor, f"SELECT hour FROM {HOURS} WHERE sink_table = ?", self._sink.name)
        return [str(hour) for (hour,) in found]

    def put(self, hours: Collection[str], then: Position | None) -> int:
        """Replaces the rows of these hours, and notes the position ``then``, in one transaction; gives the rows of
        those that changed."""
        rows = 0
        with commit(f"sink.{self._sink.id}"), self._system.transaction() as cursor:
            known = self._known(cursor)
            pinned = pin(self._table)
            if pinned is not None:
                columns = {f.name: self._system.column_type(f.type) for f in sent_columns(pinned)}
                known = self._fitting(cursor, known, columns)
                with reading(self._settings) as con:
                    for hour in hours:
                        rows += self._put(cursor, con, pinned, hour)
            if then is not None and known is not None and _is_news(then, known.position, pinned):
                self._note(cursor, known, then)
        return rows

    # ---- one hour ----

    def _put(self, cursor: Any, con: Any, pinned: Pinned, hour: str) -> int:
        con.execute(
            "CREATE OR REPLACE TEMP TABLE sent AS " + rows_sql(pinned, hour, self._sink.key, self._system.spelling)
        )
        [(rows, digest)] = con.execute(
            "SELECT count(*), coalesce(sha256(string_agg(digest, '' ORDER BY digest)), '') "
            "FROM (SELECT sha256(CAST(to_json(sent) AS VARCHAR)) AS digest FROM sent)"
        ).fetchall()
        held = self._system.rows(
            cursor, f"SELECT digest FROM {HOURS} WHERE sink_table = ? AND hour = ?", self._sink.name, hour
        )
        if held == [(digest,)] or (not held and not rows):
            return 0
        table = quoted(self._sink.name)
        self._system.run(cursor, f"DELETE FROM {table} WHERE {quoted(PARTITION)} = ?", hour)
        if rows:
            self._system.insert(cursor, self._sink.name, con.sql("FROM sent").to_arrow_reader(BATCH_ROWS))
        self._system.run(cursor, f"DELETE FROM {HOURS} WHERE sink_table = ? AND hour = ?", self._sink.name, hour)
        self._system.run(
            cursor,
            f"INSERT INTO {HOURS} (sink_table, hour, digest, held_rows, version) VALUES (?, ?, ?, ?, ?)",
            *(self._sink.name, hour, digest, rows, pinned.version),
        )
        return int(rows)

    # ---- the table ----

    def _known(self, cursor: Any) -> _Known | None:
        """What is noted of the table; nothing where somebody has dropped it, who then gets it anew."""
        found = self._system.rows(
            cursor,
            f"SELECT lake, delta_table, version, columns FROM {TABLES} WHERE sink_table = ?",
            self._sink.name,
        )
        is_there = self._system.has_table(cursor, self._sink.name)
        if found and not is_there:
            self._forget(cursor)
            return None
        if not found:
            if is_there:
                raise SinkRefused(
                    f"{self._sink.who}: the database has a table {self._sink.name} that no lake made; name another "
                    "in the stream's sinks, or drop it"
                )
            return None
        [(lake, delta_table, version, columns)] = found
        if lake != self._lake and not self._system.is_own:
            raise SinkRefused(
                f"{self._sink.who}: the table {self._sink.name} is filled by the lake {lake}; give this one a database "
                f"of its own (LAKE_SINK_DATABASE_URL), or, if the lake has moved here, drop the table"
            )
        position = None if version is None else Position(str(delta_table), int(version))
        return _Known(str(lake), position, dict(line.split(" ", 1) for line in str(columns).splitlines()))

    def _fitting(self, cursor: Any, known: _Known | None, columns: dict[str, str]) -> _Known:
        """The table with these columns, created or widened."""
        table = quoted(self._sink.name)
        if known is None:
            given = ", ".join(f"{quoted(name)} {kind}" for name, kind in columns.items())
            self._system.run(cursor, f"CREATE TABLE {table} ({given})")
            index = quoted(f"{self._sink.name[:50]}_by_hour")
            self._system.run(cursor, f"CREATE INDEX {index} ON {table} ({quoted(PARTITION)})")
            known = _Known(self._lake, None, columns)
            self._note(cursor, known, None)
            return known
        if changed := [name for name, kind in columns.items() if known.columns.get(name, kind) != kind]:
            name = changed[0]
            raise SinkRefused(
                f"{self._sink.who}: column {name} is {known.columns[name]} in the table and {columns[name]} in the "
                f"stream; drop the table {self._sink.name}, and it is filled anew"
            )
        if added := {name: kind for name, kind in columns.items() if name not in known.columns}:
            for name, kind in added.items():
                self._system.run(cursor, f"ALTER TABLE {table} ADD COLUMN {quoted(name)} {kind}")
            known = _Known(known.lake, known.position, {**known.columns, **added})
            self._note(cursor, known, known.position)
        return known

    def _note(self, cursor: Any, known: _Known, position: Position | None) -> None:
        columns = "\n".join(f"{name} {kind}" for name, kind in known.columns.items())
        self._system.run(cursor, f"DELETE FROM {TABLES} WHERE sink_table = ?", self._sink.name)
        self._system.run(
            cursor,
            f"INSERT INTO {TABLES} (sink_table, stream, lake, delta_table, version, columns) VALUES (?, ?, ?, ?, ?, ?)",
            *(self._sink.name, self._sink.stream, self._lake),
            *((None, None) if position is None else (position.table, position.version)),
            columns,
        )

    def _forget(self, cursor: Any) -> None:
        for table in (TABLES, HOURS):
            self._system.run(cursor, f"DELETE FROM {table} WHERE sink_table = ?", self._sink.name)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turns a driver's error into one that names the sink."""
        try:
            yield
        except AdbcError as error:
            scrub(error)
            said = without_secrets(str(error)).strip()
            raise SinkError(
                f"{self._sink.who}: {said}; check LAKE_SINK_DATABASE_URL, and that its user may create and write tables"
            ) from error


def _is_news(then: Position, held: Position | None, newest: Pinned | None) -> bool:
    """Whether a position is to take the place of the one that is held: another process may have come further.

    A version that is not there yet is of a lake that was brought back from a copy since.
    """
    if held is None or held.table != then.table or held.version < then.version:
        return True
    return newest is not None and newest.version < held.version
