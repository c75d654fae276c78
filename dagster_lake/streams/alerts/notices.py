"""The log of notices, ``streams/alert_notices``: one row an alert or failure, written once and never changed.

Which alerts are new is decided by the log itself: a run adds those that it lacks, and of two runs at once the later one
looks again. Where they are sent is noted in ``streams/alert_deliveries``: see ``outbox``.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from dagster_lake.lake_hour import HOUR, hour_key, parse_hour
from dagster_lake.settings.channel_names import DEFAULT_CHANNEL
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.delta.write import Pinned
from dagster_lake.storage.duckdb.connection import connection
from dagster_lake.storage.duckdb.scan import literal, quoted, scan_sql, with_columns_sql
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.alerts.channels import is_sent, route
from dagster_lake.streams.alerts.kinds import CHANNELS, AlertKind
from dagster_lake.streams.alerts.shown import MOST_CHARACTERS

TABLE = "alert_notices"
PER_DELIVERY = 100
"""Alerts in one request to a webhook."""
ALONE = 20
"""So many failures at once each go in a delivery of their own; more of them go together."""
REMEMBERED_HOURS = 96
"""How long a failure that goes on is not told again."""
BATCH_ROWS = 10_000
_LONGEST_KEY = 500
"""A longer key is told by its hash."""

MOST_FILES = 32
"""Files in the hours that a run looks into; when there are more, they are joined."""

COLUMNS = {
    "alert_id": "The stream and the values of its key; the same id is never noted twice.",
    "stream": "The stream table that the alert is a row of, or the kind of failure.",
    "occurred_at": "When the event happened, by its own time, or its window ended, UTC.",
    "details": "The columns that the stream declares to be shown, as JSON; texts cut after 500 characters.",
    "state": "due: to be sent; old: not sent, for it was too old; noted: not sent, for no channel was set.",
    "channels": "The channels that it is sent to, with commas between; null is the default channel.",
    "delivery": "The request that carries it, of which streams.alert_deliveries has one a channel; null when it is not "
    "sent.",
    "noted_at": "When the alert was first seen, UTC.",
    "noted_by": "The run that noted it.",
    "_lake_hour": "The lake hour of the stream's row.",
}


def _field(name: str) -> pa.Field:
    kind = pa.timestamp("us", tz="UTC") if name.endswith("_at") else pa.string()
    return pa.field(name, kind, nullable=name in ("channels", "delivery"))


SCHEMA = pa.schema([_field(name) for name in COLUMNS])


@dataclass(frozen=True)
class Run:
    """Who notes and sends, and when. ``name`` must differ between runs that may work at once."""

    name: str
    now: datetime


@dataclass(frozen=True)
class Rows:
    """Rows of a stream: of its table, those of some lake ``hours``, or rows that are not in the table yet.

    ``known_until`` says that all events are known that arrived by then; None that no more are to come.
    """

    source: Pinned | pa.Table
    hours: Collection[str] = ()
    known_until: datetime | None = None

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to look at."""
        return self.source.num_rows == 0 if isinstance(self.source, pa.Table) else not self.hours

    def show(self, con: duckdb.DuckDBPyConnection) -> None:
        """Makes the view ``rows`` of them."""
        if isinstance(self.source, pa.Table):
            con.register("rows", self.source)
        else:
            con.execute(f"CREATE OR REPLACE TEMP VIEW rows AS {scan_sql(self.source, self.hours)}")


@dataclass(frozen=True)
class Noted:
    """What was new: how many alerts of each state, and the oldest of those that are not old themselves. ``held`` is how
    many rows may still change, and are told when it is known that they will not."""

    states: Mapping[str, int]
    first: list[dict[str, Any]]
    held: int = 0


def notices_table(lake: Lake) -> TableSpec:
    """The table of notices, by the lake hour of the alert."""
    return TableSpec(lake.table("streams", TABLE), SCHEMA, "_lake_hour", description="Every alert, once.")


def notices_sql(spec: TableSpec, hours: Collection[str]) -> str:
    """A SELECT of the notices of some lake hours, as the table stands now."""
    return with_columns_sql(SCHEMA, delta.pin(spec.uri), hours)


def note(lake: Lake, settings: Settings, streams: Mapping[AlertKind, Rows], run: Run, *, shown: int) -> Noted:
    """Notes those alerts among the rows of ``streams`` that are not noted yet.

    An alert younger than ``alert_max_age_minutes`` is due when there is a channel; an older one is noted as old, so
    that a backfill pages nobody. A failure is never too old: it was not seen before. Of the new ones, at most ``shown``
    are returned. Nothing is committed when none is new. Raises DeltaWriteError after losing to other runs too many
    times in a row.
    """
    streams = {kind: rows for kind, rows in streams.items() if not rows.is_empty}
    if not streams:
        return Noted({}, [])
    spec = notices_table(lake)
    with connection(settings) as con:
        held = _take_candidates(con, settings, streams)
        window = _window(con)
        if not _find_new(con, spec, window, settings, run):
            return Noted({}, [], held)

        def rows() -> pa.RecordBatchReader:
            _find_new(con, spec, window, settings, run)
            return con.sql("FROM new").to_arrow_reader(BATCH_ROWS)

        written = delta.append(spec, rows, {}, turn="notices")
        _join_files(con, spec, written, window)
        states = con.execute("SELECT state, count(*) FROM new GROUP BY state ORDER BY state").fetchall()
        first = con.execute(
            "SELECT stream, occurred_at, details FROM new WHERE state <> 'old' ORDER BY occurred_at, alert_id LIMIT $1",
            [shown],
        ).fetchall()
    told = [{"stream": s, "occurred_at": at, "details": json.loads(details)} for s, at, details in first]
    return Noted(dict(states), told, held)


def _join_files(con: duckdb.DuckDBPyConnection, spec: TableSpec, written: Pinned, window: list[str]) -> None:
    """Writes the hours anew when many runs have each left them a file."""
    if len(written.files(window)) > MOST_FILES:
        delta.replace_partitions(
            spec, window, lambda: con.sql(notices_sql(spec, window)).to_arrow_reader(BATCH_ROWS), {}
        )


def _take_candidates(con: duckdb.DuckDBPyConnection, settings: Settings, streams: Mapping[AlertKind, Rows]) -> int:
    """Fills the table ``candidates`` with the rows of the streams, as alerts; gives how many may still change."""
    held = 0
    con.execute(
        "CREATE TEMP TABLE candidates "
        "(alert_id VARCHAR, stream VARCHAR, occurred_at TIMESTAMPTZ, details VARCHAR, _lake_hour VARCHAR, "
        "channels VARCHAR, is_failure BOOLEAN)"
    )
    con.execute("CREATE TEMP TABLE sent (channels VARCHAR, is_sent BOOLEAN)")
    for kind, rows in streams.items():
        rows.show(con)
        until = None
        if rows.known_until is not None and kind.told_after is not None:
            until = rows.known_until - kind.told_after
        con.execute(
            f"INSERT INTO candidates {_alerts_sql(con, settings, kind)} WHERE _time <= coalesce($1, _time)", [until]
        )
        held += con.execute("SELECT count(*) FROM rows WHERE _time > $1", [until]).fetchall()[0][0]
    for (channels,) in con.execute("SELECT DISTINCT channels FROM candidates").fetchall():
        con.execute("INSERT INTO sent VALUES ($1, $2)", [channels, is_sent(settings, channels.split(","))])
    return held


def _alerts_sql(con: duckdb.DuckDBPyConnection, settings: Settings, kind: AlertKind) -> str:
    # Encoded, so that no value can be taken for two.
    key = " || '/' || ".join(f"url_encode(coalesce(CAST({quoted(c)} AS VARCHAR), ''))" for c in kind.key)
    short = f"CASE WHEN length({key}) > {_LONGEST_KEY} THEN sha256({key}) ELSE {key} END"
    types = dict(zip((rows := con.sql("FROM rows")).columns, rows.types, strict=True))
    details = ", ".join(f"{literal(c)}: {_cut(quoted(c), is_text=types[c] == 'VARCHAR')}" for c in kind.shows)
    happened = "_time" if kind.happened is None else f"coalesce({quoted(kind.happened)}, _time)"
    to = quoted(CHANNELS) if kind.is_failure else literal(",".join(route(settings, kind.inputs, kind.channels)))
    return (
        f"SELECT {literal(kind.stream + '/')} || {short}, {literal(kind.stream)}, {happened}, "
        f"CAST(to_json({{{details}}}) AS VARCHAR), _lake_hour, {to}, "
        f"{kind.is_failure} FROM rows"
    )


def _cut(column: str, *, is_text: bool) -> str:
    """A column as JSON; one that is long is the beginning of its text instead, so that no event fills the log."""
    text = column if is_text else f"CAST(to_json({column}) AS VARCHAR)"
    cut = f"left({text}, {MOST_CHARACTERS}) || '... (' || length({text}) || ' characters)'"
    return f"CASE WHEN length({text}) > {MOST_CHARACTERS} THEN to_json({cut}) ELSE to_json({column}) END"


def _window(con: duckdb.DuckDBPyConnection) -> list[str]:
    """The hours of the candidates, and those beside them: an alert that is computed anew may have moved by minutes.
    A failure is noted in the hour that somebody saw it in, and may last for days."""
    found = con.execute("SELECT DISTINCT _lake_hour, is_failure FROM candidates").fetchall()
    return sorted(
        {
            hour_key(parse_hour(hour) + step * HOUR)
            for hour, is_failure in found
            for step in range(-REMEMBERED_HOURS if is_failure else -1, 2)
        }
    )


def _find_new(con: duckdb.DuckDBPyConnection, spec: TableSpec, window: list[str], settings: Settings, run: Run) -> int:
    """Fills the table ``new`` with the candidates that are not noted as the lake stands now; gives their number."""
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE new AS
        WITH unknown AS (
            FROM candidates ANTI JOIN ({notices_sql(spec, window)}) AS known USING (alert_id)
            QUALIFY row_number() OVER (PARTITION BY alert_id ORDER BY occurred_at) = 1
        ),
        judged AS (
            SELECT *, CASE WHEN occurred_at <= $young AND NOT is_failure THEN 'old' WHEN is_sent THEN 'due'
                ELSE 'noted' END AS state
            FROM unknown JOIN sent USING (channels)
        ),
        placed AS (
            SELECT *, (row_number() OVER (together ORDER BY occurred_at, alert_id) - 1)
                // CASE WHEN is_failure AND count(*) OVER (together) <= $alone THEN 1 ELSE $per END AS place
            FROM judged WINDOW together AS (PARTITION BY state, channels, is_failure)
        )
        SELECT alert_id, stream, occurred_at, details, state, nullif(channels, {literal(DEFAULT_CHANNEL)}) AS channels,
            -- An alert is in one delivery only, so that any of them names it.
            CASE WHEN state = 'due' THEN
                left(sha256(min(alert_id) OVER (PARTITION BY state, channels, is_failure, place)), 32) END AS delivery,
            $now::TIMESTAMPTZ AS noted_at, $run AS noted_by, _lake_hour
        FROM placed
        """,
        {
            "young": run.now - timedelta(minutes=settings.alert_max_age_minutes),
            "per": PER_DELIVERY,
            "alone": ALONE,
            "now": run.now,
            "run": run.name,
        },
    )
    return con.execute("SELECT count(*) FROM new").fetchall()[0][0]
