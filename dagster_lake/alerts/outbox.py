"""The outbox, ``streams/alert_deliveries``: which alerts that are due were sent, by whom, and with what success.

Alerts are sent in deliveries of up to a hundred, as the notices say. A run claims a delivery, sends it, and says what
came of it. When it is killed in between, the claim ends with its lease, and a later run sends the same delivery under
the same id again: at least once, and a receiver that heeds the id takes it once.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import pyarrow as pa

from dagster_lake.alerts.notices import BATCH_ROWS, Run, notices_sql, notices_table
from dagster_lake.engines.duckdb_connection import connection
from dagster_lake.engines.scan import empty_sql, literal, scan_sql
from dagster_lake.lake_hour import HOUR, hour_key
from dagster_lake.settings import Settings
from dagster_lake.storage import delta
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.table_spec import TableSpec

TABLE = "alert_deliveries"
LEASE = timedelta(minutes=5)
"""How long a delivery is left to the run that claimed it."""
RETRIED_HOURS = 24
"""How far back deliveries are looked for; older ones are given up."""

_UTC = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        pa.field("delivery", pa.string(), nullable=False),  # also the request's Idempotency-Key
        pa.field("alerts", pa.int64(), nullable=False),
        pa.field("state", pa.string(), nullable=False),  # claimed, failed or sent
        pa.field("claimed_by", pa.string(), nullable=False),
        pa.field("claimed_until", _UTC, nullable=False),
        pa.field("failures", pa.int64(), nullable=False),
        pa.field("error", pa.string()),  # of the last attempt
        pa.field("sent_at", _UTC),
        pa.field("_lake_hour", pa.string(), nullable=False),  # of its first alert
    ]
)


@dataclass(frozen=True)
class Delivery:
    """One request: its id, which a second attempt repeats, and its alerts in order of time."""

    id: str
    alerts: list[dict[str, Any]]


def deliveries_table(lake: Lake) -> TableSpec:
    """The table of deliveries, by the lake hour of their first alert."""
    return TableSpec(lake.table("streams", TABLE), SCHEMA, "_lake_hour", description="Requests to the alert webhook.")


def claim(lake: Lake, settings: Settings, run: Run, *, most: int) -> list[Delivery]:
    """Takes up to ``most`` deliveries that are due and nobody's, the oldest first, for ``LEASE``.

    Those that the run has claimed before, and not settled, are among them.
    """
    with connection(settings) as con:
        _look(con, lake, settings, run)
        free = f"(state IS NULL OR state = 'waiting' OR claimed_until <= {_instant(run.now)})"
        chosen = con.execute(
            f"SELECT delivery, _lake_hour FROM due WHERE {free} ORDER BY first_at, delivery LIMIT $1", [most]
        ).fetchall()
        _update(
            con,
            lake,
            settings,
            run,
            where=f"{free} AND delivery IN ({_listed([delivery for delivery, _ in chosen])})",
            values={
                "state": "'claimed'",
                "claimed_by": literal(run.name),
                "claimed_until": _instant(run.now + LEASE),
                "failures": "coalesce(failures, 0)",
            },
        )
        found = con.execute(
            "SELECT due.delivery, list({'id': alert_id, 'stream': stream, 'occurred_at': occurred_at, "
            "'lake_hour': notices._lake_hour, 'details': details} ORDER BY occurred_at, alert_id) "
            "FROM due JOIN notices ON notices.delivery = due.delivery "
            "WHERE due.state = 'claimed' AND claimed_by = $1 GROUP BY due.delivery, first_at "
            "ORDER BY first_at, due.delivery",
            [run.name],
        ).fetchall()
    return [
        Delivery(id, [{**alert, "details": json.loads(alert["details"])} for alert in alerts]) for id, alerts in found
    ]


def settle(lake: Lake, settings: Settings, run: Run, sent: Collection[str], failed: Mapping[str, str]) -> int:
    """Says which of the run's deliveries were ``sent``, why others ``failed`` (a reason by id), and frees the rest.

    Returns how many alerts still wait to be sent.
    """
    delivered, missed = f"delivery IN ({_listed(sent)})", f"delivery IN ({_listed(failed)})"
    reasons = " ".join(f"WHEN {literal(id)} THEN {literal(reason)}" for id, reason in failed.items())
    with connection(settings) as con:
        _look(con, lake, settings, run)
        _update(
            con,
            lake,
            settings,
            run,
            where=f"state = 'claimed' AND claimed_by = {literal(run.name)}",
            values={
                "state": f"CASE WHEN {delivered} THEN 'sent' ELSE 'waiting' END",
                "failures": f"failures + CASE WHEN {missed} THEN 1 ELSE 0 END",
                "error": f"CASE {f'WHEN {missed} THEN CASE delivery {reasons} END' if failed else ''} "
                f"WHEN {delivered} THEN NULL ELSE error END",
                "sent_at": f"CASE WHEN {delivered} THEN {_instant(run.now)} END",
            },
        )
        return con.execute("SELECT coalesce(sum(alerts), 0)::BIGINT FROM due").fetchall()[0][0]


def _look(con: duckdb.DuckDBPyConnection, lake: Lake, settings: Settings, run: Run) -> None:
    """Shows the recent ``notices``, and as ``due`` those deliveries of them that were not sent, as the lake stands now.

    What was never claimed has no state yet.
    """
    oldest = hour_key(run.now - RETRIED_HOURS * HOUR)
    # A delivery that begins within the last day is read whole, and one that began before is left alone.
    before = hour_key(run.now - RETRIED_HOURS * HOUR - timedelta(minutes=settings.alert_max_age_minutes) - HOUR)
    notices, deliveries = notices_table(lake), deliveries_table(lake)
    con.execute(f"CREATE OR REPLACE TEMP VIEW notices AS {notices_sql(notices, _hours_since(notices, before))}")
    con.execute(f"CREATE OR REPLACE TEMP VIEW deliveries AS {_sql(deliveries, _hours_since(deliveries, oldest))}")
    con.execute(
        f"""
        CREATE OR REPLACE TEMP VIEW due AS
        WITH wanted AS (
            SELECT delivery, count(*) AS alerts, min(occurred_at) AS first_at, min(_lake_hour) AS _lake_hour
            FROM notices WHERE state = 'due' GROUP BY delivery
        )
        SELECT wanted.*, state, claimed_by, claimed_until, failures, error, sent_at
        FROM wanted LEFT JOIN deliveries USING (delivery)
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
    columns = ", ".join(f"{values[name]} AS {name}" if name in values else name for name in SCHEMA.names)

    def rows() -> pa.RecordBatchReader:
        _look(con, lake, settings, run)  # another run may have taken some of them meanwhile
        con.execute(f"CREATE OR REPLACE TEMP TABLE changed AS SELECT {columns} FROM due WHERE {where}")
        kept = f"FROM ({_sql(spec, hours)}) ANTI JOIN changed USING (delivery)"
        return con.sql(f"{kept} UNION ALL FROM changed").to_arrow_reader(BATCH_ROWS)

    delta.replace_partitions(spec, hours, rows, {})
    _look(con, lake, settings, run)


def _hours_since(spec: TableSpec, first: str) -> list[str]:
    pinned = delta.pin(spec.uri)
    return [hour for hour in (pinned.partitions() if pinned else []) if hour >= first]


def _sql(spec: TableSpec, hours: Collection[str]) -> str:
    pinned = delta.pin(spec.uri)
    return empty_sql(SCHEMA) if pinned is None else scan_sql(pinned, hours)


def _listed(values: Collection[str]) -> str:
    return ", ".join(literal(value) for value in values) or "NULL"


def _instant(moment: datetime) -> str:
    return f"TIMESTAMPTZ {literal(moment.isoformat())}"
