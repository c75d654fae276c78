"""The outbox, ``streams/alert_deliveries``: which alerts that are due were sent, by whom, and with what success.

Alerts are sent in deliveries of up to a hundred, as the notices say, one to each channel. A run claims a delivery,
sends it, and says what came of it. When it is killed in between, the claim ends by itself, and a later run sends the
same delivery under the same id again: at least once, and a receiver that heeds the id takes it once.

The claim is also the rest after a try that failed, so that a mere retry commits nothing of its own. It grows with the
age of the alerts, from two minutes to an hour: a webhook that is down for a day costs some thirty commits.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from dagster_lake.lake_hour import HOUR, hour_key
from dagster_lake.settings.channel_names import DEFAULT_CHANNEL
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.duckdb.connection import connection
from dagster_lake.storage.duckdb.scan import literal, with_columns_sql
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.alerts.notices import BATCH_ROWS, Run, notices_sql, notices_table

TABLE = "alert_deliveries"
LEASE = timedelta(minutes=2)
"""How long a young delivery is left to the run that claimed it: longer than a run sends."""
LONGEST_LEASE = timedelta(hours=1)
MOST_REFUSALS = 5
"""A delivery that was refused so often is set aside."""
RETRIED_HOURS = 24
"""A delivery that was not taken for so long is set aside."""
LOOKED_BACK_HOURS = 72
"""How far back deliveries are looked at: of those set aside, no older ones are told of or sent again."""

_UTC = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field("delivery", pa.string(), nullable=False),  # also the request's Idempotency-Key
        pa.field("alerts", pa.int64(), nullable=False),
        pa.field("state", pa.string(), nullable=False),  # claimed, waiting, sent, or failed: set aside
        pa.field("claimed_by", pa.string(), nullable=False),
        pa.field("claimed_until", _UTC, nullable=False),  # not tried before, but by who has claimed it
        pa.field("failures", pa.int64(), nullable=False),  # how often it was refused
        pa.field("error", pa.string()),  # why it was refused, or given up
        pa.field("sent_at", _UTC),
        pa.field("channel", pa.string()),  # null is the default one
        pa.field("_lake_hour", pa.string(), nullable=False),  # of its first alert
    ]
)


@dataclass(frozen=True)
class Delivery:
    """One request to a channel: its id, which a second attempt repeats, and its alerts in order of time."""

    id: str
    alerts: list[dict[str, Any]]
    channel: str = DEFAULT_CHANNEL


@dataclass(frozen=True)
class Unsent:
    """How many alerts wait to be sent, and how many were set aside in the last days."""

    waiting: int
    set_aside: int


def deliveries_table(lake: Lake) -> TableSpec:
    """The table of deliveries, by the lake hour of their first alert."""
    return TableSpec(lake.table("streams", TABLE), SCHEMA, "_lake_hour", description="Requests to alert channels.")


Versions = tuple[int | None, int | None]
"""The Delta versions of notices and deliveries."""


def versions(lake: Lake) -> Versions:
    """As the two tables stand; None for one that is not there. While they stay, nothing new is due."""
    notices, deliveries = delta.pin(notices_table(lake).uri), delta.pin(deliveries_table(lake).uri)
    return (notices.version if notices else None, deliveries.version if deliveries else None)


def claim(lake: Lake, settings: Settings, run: Run, *, most: int) -> list[Delivery]:
    """Takes up to ``most`` deliveries a channel that are due and nobody's, the oldest first, and sets aside what is too
    old.

    Those that the run has claimed before, and not settled, are among them.
    """
    with connection(settings) as con:
        _look(con, lake, settings, run)
        _update(
            con,
            lake,
            settings,
            run,
            where=f"state IS DISTINCT FROM 'failed' AND _lake_hour < {_oldest(run)}",
            values={
                "state": "'failed'",
                "claimed_by": "coalesce(claimed_by, '')",
                "claimed_until": _instant(run.now),
                "failures": "coalesce(failures, 0)",
                "error": f"coalesce(error, 'not taken within {RETRIED_HOURS} hours')",
            },
        )
        chosen = con.execute(
            f"SELECT delivery FROM due WHERE {_free(run)} "
            "QUALIFY row_number() OVER (PARTITION BY channel ORDER BY first_at, delivery) <= $1",
            [most],
        ).fetchall()
        where = f"{_free(run)} AND delivery IN ({_listed([delivery for (delivery,) in chosen])})"
        _update(con, lake, settings, run, where=where, values={**_claim(run), "failures": "coalesce(failures, 0)"})
        return _claimed(con, run)


def claim_again(lake: Lake, settings: Settings, run: Run, chosen: Collection[str] | None) -> list[Delivery]:
    """Takes deliveries that were set aside, those of ``chosen`` or all, as if they had never been refused."""
    with connection(settings) as con:
        _look(con, lake, settings, run)
        where = "state = 'failed'" + ("" if chosen is None else f" AND delivery IN ({_listed(chosen)})")
        _update(con, lake, settings, run, where=where, values={**_claim(run), "failures": "0", "error": "NULL"})
        return _claimed(con, run)


def settle(
    lake: Lake,
    settings: Settings,
    run: Run,
    *,
    sent: Collection[str] = (),
    refused: Mapping[str, str] | None = None,
    given_up: Mapping[str, str] | None = None,
    untried: Collection[str] = (),
) -> Unsent:
    """Says what came of the run's deliveries: ``sent``, ``refused`` (a reason by id), ``given_up`` at once, or
    ``untried``, which frees them. Others stay claimed. Commits nothing when nothing is said.
    """
    refused, given_up = refused or {}, given_up or {}
    reasons = " ".join(f"WHEN {literal(id)} THEN {literal(why)}" for id, why in {**refused, **given_up}.items())
    taken, again = f"delivery IN ({_listed(sent)})", f"delivery IN ({_listed(refused)})"
    gone, free = f"delivery IN ({_listed(given_up)})", f"delivery IN ({_listed(untried)})"
    with connection(settings) as con:
        _look(con, lake, settings, run)
        _update(
            con,
            lake,
            settings,
            run,
            where=f"state = 'claimed' AND claimed_by = {literal(run.name)} "
            f"AND ({' OR '.join((taken, again, gone, free))})",
            values={
                "state": f"CASE WHEN {taken} THEN 'sent' WHEN {gone} OR ({again} AND failures + 1 >= {MOST_REFUSALS}) "
                "THEN 'failed' ELSE 'waiting' END",
                "claimed_until": f"CASE WHEN {again} THEN {_rested(run)} ELSE {_instant(run.now)} END",
                "failures": f"failures + CASE WHEN {again} OR {gone} THEN 1 ELSE 0 END",
                "error": f"CASE {f'WHEN {again} OR {gone} THEN CASE delivery {reasons} END' if reasons else ''} "
                f"WHEN {taken} THEN NULL ELSE error END",
                "sent_at": f"CASE WHEN {taken} THEN {_instant(run.now)} END",
            },
        )
        waiting, set_aside = con.execute(
            "SELECT coalesce(sum(alerts) FILTER (state IS DISTINCT FROM 'failed'), 0)::BIGINT, "
            "coalesce(sum(alerts) FILTER (state = 'failed'), 0)::BIGINT FROM due"
        ).fetchall()[0]
    return Unsent(waiting, set_aside)


@dataclass(frozen=True)
class Listed:
    """A delivery that was not sent: ``state`` is due, claimed, waiting or failed, ``error`` why it was refused."""

    id: str
    channel: str
    alerts: int
    state: str
    first_at: datetime
    failures: int
    next_try: datetime | None
    error: str | None


def unsent(lake: Lake, settings: Settings, run: Run) -> list[Listed]:
    """The deliveries of the last days that were not sent, the oldest first."""
    with connection(settings) as con:
        _look(con, lake, settings, run)
        found = con.execute(
            "SELECT delivery, channel, alerts, coalesce(state, 'due'), first_at, coalesce(failures, 0), "
            "CASE WHEN state <> 'failed' THEN claimed_until END, error FROM due ORDER BY first_at, delivery"
        ).fetchall()
    return [Listed(*row) for row in found]


def _claimed(con: duckdb.DuckDBPyConnection, run: Run) -> list[Delivery]:
    """The deliveries that the run has claimed, with their alerts."""
    found = con.execute(
        "SELECT due.delivery, channel, list({'id': alert_id, 'stream': stream, 'occurred_at': occurred_at, "
        "'lake_hour': notices._lake_hour, 'details': details} ORDER BY occurred_at, alert_id) "
        "FROM due JOIN notices ON notices.delivery = due.batch "
        "WHERE due.state = 'claimed' AND claimed_by = $1 GROUP BY due.delivery, channel, first_at "
        "ORDER BY first_at, due.delivery",
        [run.name],
    ).fetchall()
    return [
        Delivery(id, [{**alert, "details": json.loads(alert["details"])} for alert in alerts], channel)
        for id, channel, alerts in found
    ]


def _look(con: duckdb.DuckDBPyConnection, lake: Lake, settings: Settings, run: Run) -> None:
    """Shows the recent ``notices``, and as ``due`` those deliveries of them that were not sent, as the lake stands now:
    with when their first alert ``noted_at``. What was never claimed has no state yet.
    """
    oldest = hour_key(run.now - LOOKED_BACK_HOURS * HOUR)
    # A delivery that begins within these hours is read whole, and one that began before is left alone.
    before = hour_key(run.now - LOOKED_BACK_HOURS * HOUR - timedelta(minutes=settings.alert_max_age_minutes) - HOUR)
    notices, deliveries = notices_table(lake), deliveries_table(lake)
    con.execute(f"CREATE OR REPLACE TEMP VIEW notices AS {notices_sql(notices, _hours_since(notices, before))}")
    con.execute(f"CREATE OR REPLACE TEMP VIEW deliveries AS {_sql(deliveries, _hours_since(deliveries, oldest))}")
    default = literal(DEFAULT_CHANNEL)
    con.execute(
        f"""
        CREATE OR REPLACE TEMP VIEW due AS
        WITH batches AS (
            SELECT delivery AS batch, unnest(string_split(coalesce(channels, {default}), ',')) AS channel,
                count(*) AS alerts, min(occurred_at) AS first_at, min(noted_at) AS noted_at,
                min(_lake_hour) AS _lake_hour
            FROM notices WHERE state = 'due' GROUP BY delivery, channels
        ),
        wanted AS (
            SELECT *, CASE channel WHEN {default} THEN batch ELSE left(sha256(batch || '/' || channel), 32) END
                AS delivery
            FROM batches
        )
        SELECT wanted.*, state, claimed_by, claimed_until, failures, error, sent_at
        FROM wanted LEFT JOIN (SELECT * EXCLUDE (channel, alerts, _lake_hour) FROM deliveries) USING (delivery)
        WHERE state IS DISTINCT FROM 'sent' AND wanted._lake_hour >= {literal(oldest)}
        """
    )


def _update(
    con: duckdb.DuckDBPyConnection, lake: Lake, settings: Settings, run: Run, *, where: str, values: Mapping[str, str]
) -> None:
    """Writes the deliveries that are ``due`` and meet ``where``, with new ``values``; commits nothing without any."""
    spec = deliveries_table(lake)
    hours = [hour for (hour,) in con.execute(f"SELECT DISTINCT _lake_hour FROM due WHERE {where}").fetchall()]
    if not hours:
        return
    values = {"channel": f"nullif(channel, {literal(DEFAULT_CHANNEL)})", **values}
    columns = ", ".join(f"{values[name]} AS {name}" if name in values else name for name in SCHEMA.names)

    def rows() -> pa.RecordBatchReader:
        _look(con, lake, settings, run)  # another run may have taken some of them meanwhile
        con.execute(f"CREATE OR REPLACE TEMP TABLE changed AS SELECT {columns} FROM due WHERE {where}")
        kept = f"FROM ({_sql(spec, hours)}) ANTI JOIN changed USING (delivery)"
        return con.sql(f"{kept} UNION ALL FROM changed").to_arrow_reader(BATCH_ROWS)

    delta.replace_partitions(spec, hours, rows, {})
    _look(con, lake, settings, run)


def _claim(run: Run) -> dict[str, str]:
    return {"state": "'claimed'", "claimed_by": literal(run.name), "claimed_until": _rested(run)}


def _free(run: Run) -> str:
    """That a delivery is to be sent, and nobody has claimed it."""
    nobodys = f"(state IS NULL OR state <> 'failed' AND claimed_until <= {_instant(run.now)})"
    return f"{nobodys} AND _lake_hour >= {_oldest(run)}"


def _oldest(run: Run) -> str:
    return literal(hour_key(run.now - RETRIED_HOURS * HOUR))


def _rested(run: Run) -> str:
    """Until when a delivery is claimed: half its age from now, within bounds."""
    half = f"(epoch_us({_instant(run.now)}) - epoch_us(noted_at)) // 2"
    shortest, longest = (int(lease.total_seconds() * 1e6) for lease in (LEASE, LONGEST_LEASE))
    return f"{_instant(run.now)} + to_microseconds(greatest({shortest}, least({longest}, {half})))"


def _hours_since(spec: TableSpec, first: str) -> list[str]:
    pinned = delta.pin(spec.uri)
    return [hour for hour in (pinned.partitions() if pinned else []) if hour >= first]


def _sql(spec: TableSpec, hours: Collection[str]) -> str:
    return with_columns_sql(SCHEMA, delta.pin(spec.uri), hours)


def _listed(values: Collection[str]) -> str:
    return ", ".join(literal(value) for value in values) or "NULL"


def _instant(moment: datetime) -> str:
    return f"TIMESTAMPTZ {literal(moment.isoformat())}"
