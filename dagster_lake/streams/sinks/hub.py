"""Event hubs: each row as an event, at least once, under an id that stays the same when it is sent again.

A hub takes nothing back. So a row that is another by now is sent with a greater revision, and one that is gone as
deleted: whoever keeps of each row the greatest revision has what the stream's table has.

What was sent is in a file an hour. A row is noted there as announced before it is sent, and as sent after that: where a
process was killed in between, nobody knows, and it is sent again; when it is another by then, under another id.
"""

import tempfile
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
from upath import UPath

from dagster_lake import clock
from dagster_lake.commit import commit
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.choice import open_event_hub
from dagster_lake.sources.event_hub.protocol import EventHub, EventHubError
from dagster_lake.storage.delta.write import Pinned, pin
from dagster_lake.storage.duckdb.scan import listed_paths, literal, quoted
from dagster_lake.storage.guarded import Overtaken, Seen, look, put_guarded
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.declarations import PARTITION
from dagster_lake.streams.sinks.place import Place
from dagster_lake.streams.sinks.rows import reading, rows_sql, sent_columns
from dagster_lake.streams.sinks.sink import Position, Sink, SinkError, SinkRefused
from dagster_lake.streams.sinks.values import as_json

ENVELOPE = ("_id", "_row", "_revision", "_deleted", "_stream")
"""What an event says of itself, before the columns of its row."""
BATCH_EVENTS = 2_000
_SENT = "CREATE OR REPLACE TEMP TABLE sent (_row VARCHAR, key VARCHAR, digest VARCHAR, revision BIGINT, sure BOOLEAN)"
"""What is known to have been sent: of a row that is deleted the digest is null; not ``sure`` is one that may not have
been."""


class HubSink:
    """One hub."""

    def __init__(self, lake: Lake, settings: Settings, sink: Sink) -> None:
        self._lake, self._settings, self._sink = lake, settings, sink
        self._table = sink.table(lake)
        self._place = Place(lake, sink)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Holds the sink against other processes, where the lake is on this machine."""
        with self._place.alone():
            yield

    def position(self) -> Position | None:
        """What was sent."""
        return self._place.position()

    def held(self) -> Collection[str]:
        """The hours of which something was sent."""
        return [name.removesuffix(".parquet") for name in self._place.names(self._place.folder / "sent")]

    def put(self, hours: Collection[str], then: Position | None) -> int:
        """Sends what is new, changed or gone in these hours, and notes the position ``then``; gives the events."""
        events = sum(self._put(hour) for hour in hours)
        if then is not None:
            self._place.move(then)
        return events

    def _put(self, hour: str) -> int:
        note = self._place.folder / "sent" / f"{hour}.parquet"
        before = look(note)  # before the rows: whoever announces newer ones meanwhile is not overwritten
        pinned = pin(self._table)
        if pinned is None:
            return 0
        with reading(self._settings) as con:
            self._take_rows(con, pinned, hour)
            _take_sent(con, before)
            if not _announce(con, clock.utc_now()):
                return 0
            announced = self._note(con, note, before)
            events = self._send(con, hour)
            con.execute("UPDATE sent SET sure = true")
            self._note(con, note, announced)
        return events

    def _take_rows(self, con: duckdb.DuckDBPyConnection, pinned: Pinned, hour: str) -> None:
        """Fills the table ``rows`` with the hour's rows: their ids, keys and bodies, in order."""
        taken = [name for name in sent_columns(pinned).names if name in ENVELOPE]
        if taken:
            raise SinkRefused(f"{self._sink.who}: events have a field {taken[0]} of their own; rename the column")
        key = ", ".join(f"{quoted(name)} := {quoted(name)}" for name in (*self._sink.key, PARTITION))
        place = literal(f"{self._sink.stream}/{hour}/")
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE rows AS
            SELECT left(sha256({place} || key), 32) AS _row, key, body, sha256(body) AS digest, place
            FROM (
                SELECT CAST(to_json(struct_pack({key})) AS VARCHAR) AS key, CAST(to_json(made) AS VARCHAR) AS body,
                    row_number() OVER () AS place
                FROM ({rows_sql(pinned, hour, self._sink.key, as_json)}) AS made
            )
            """
        )
        double = con.execute("SELECT any_value(key) FROM rows GROUP BY _row HAVING count(*) > 1 LIMIT 1").fetchall()
        if double:
            raise SinkRefused(
                f"{self._sink.who}: two rows of {hour} have the key {', '.join(self._sink.key)} in common, so that one "
                "would take the other's place; correct stream.key, or the model"
            )

    def _note(self, con: duckdb.DuckDBPyConnection, note: UPath, before: Seen) -> Seen:
        """Writes ``sent``, in the place of what was there ``before``; gives what is there now."""
        with tempfile.TemporaryDirectory(prefix="lake-sink-") as folder:
            file = Path(folder) / "sent"
            con.execute(f"COPY (FROM sent ORDER BY _row) TO {literal(str(file))} (FORMAT parquet, COMPRESSION zstd)")
            content = file.read_bytes()
        with commit(f"sink.{self._sink.id}.sent"):
            put_guarded(note, content, before.etag)
        now = look(note)
        if now.content != content:
            raise Overtaken(f"another process fills the {self._sink.who}")
        return now

    def _send(self, con: duckdb.DuckDBPyConnection, hour: str) -> int:
        """Sends what is not sure to have been sent."""
        envelope = (
            """'{"_id":"' || left(sha256(_row || '/' || revision || '/' || coalesce(sent.digest, '')), 32) """
            """|| '","_row":"' || _row || '","_revision":' || revision || ',"_deleted":' || (sent.digest IS NULL) """
            f"""|| {literal(f',"_stream":"{self._sink.stream}",')}"""
        )
        # A body begins with a brace, and has a column; of a row that is gone the key's columns are left.
        events = con.sql(
            f"SELECT _row AS partition_key, encode({envelope} || substr(coalesce(body, sent.key), 2)) AS body "
            "FROM sent LEFT JOIN rows USING (_row) WHERE NOT sure ORDER BY place, _row"
        )
        try:
            with commit(f"sink.{self._sink.id}.send"), _closing(open_event_hub(self._settings, self._lake)) as hub:
                return hub.send(self._sink.name, events.to_arrow_reader(BATCH_EVENTS))
        except EventHubError as error:
            raise SinkError(f"{self._sink.who}: {error}") from error


def _take_sent(con: duckdb.DuckDBPyConnection, before: Seen) -> None:
    con.execute(_SENT)
    if before.content is None:
        return
    with tempfile.TemporaryDirectory(prefix="lake-sink-") as folder:
        file = Path(folder) / "sent"
        file.write_bytes(before.content)
        con.execute(f"INSERT INTO sent BY NAME FROM read_parquet({listed_paths([str(file)])})")


def _announce(con: duckdb.DuckDBPyConnection, now: datetime) -> bool:
    """Makes ``sent`` say what is about to be sent; whether anything is.

    Revisions begin at the time, in milliseconds, so that they are greater than those of a lake that was removed.
    """
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE sent AS
        WITH compared AS (
            SELECT _row, coalesce(rows.key, sent.key) AS key, rows.digest, revision, sure,
                rows.digest IS DISTINCT FROM sent.digest OR revision IS NULL AS is_other
            FROM rows FULL JOIN sent USING (_row)
        )
        SELECT _row, key, digest, CASE WHEN is_other THEN greatest(coalesce(revision, 0) + 1, $now) ELSE revision END
            AS revision, coalesce(sure, false) AND NOT is_other AS sure
        FROM compared
        """,
        {"now": int(now.timestamp() * 1000)},
    )
    return bool(con.execute("SELECT count(*) FROM sent WHERE NOT sure").fetchall()[0][0])


@contextmanager
def _closing(hub: EventHub) -> Iterator[EventHub]:
    """The hub, whose connections, where it has such, end with the block."""
    close: Any = getattr(hub, "close", None)
    with nullcontext() if close is None else closing(hub):  # type: ignore[type-var]
        yield hub
