"""The streams written by hand: DuckDB SQL over silver's Parquet files, into Delta tables by deltalake.

The baseline of bench.streams: what a good engineer would write for exactly these nine streams, once, for tables that do
not exist yet. The rules of ingest are there (early, late, out of order), the watermark as a running maximum over all
arrivals, so that the rows are the same. Left out: replacing single hours and looking back from them, reference data of
more than one snapshot, crash safety, checks. Thresholds and durations are those of dbt_project.yml.
"""

from pathlib import Path
from typing import Any

import yaml

from bench.by_hand import ByHand, by_hand
from dagster_lake.lake_hour import HourRange
from dagster_lake.settings.lake import DBT_PROJECT, Settings

EVENTS = {
    "views": ("pageviews", "event_id, user_id, http_method, uri, client_ip, latency, event_time"),
    "ratings": ("stars", "event_id, user_id, stars, event_time"),
}
"""What the queries read, by the name they use: the data set and the columns needed of it."""

ARRIVAL = "_enqueued_time, _partition, _sequence_number"
VIEW = "event_id, user_id, http_method, uri, latency, event_time, _time"
USER = (
    "name, city, street_address, phone_number, birth_number, user_name, administrative_unit, description, sex, age_band"
)


def variables() -> dict[str, Any]:
    """The numbers of the streams, from dbt's project file."""
    project = yaml.safe_load((DBT_PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))
    found: dict[str, Any] = project["vars"]["dagster_lake"]
    return found


def queries(number: dict[str, Any]) -> dict[str, str]:
    """The SQL of each stream, over ``views``, ``ratings``, ``users`` and ``vip_users``."""
    return {
        "vip_pageviews": f"SELECT {VIEW} FROM views WHERE user_id IN (SELECT id FROM vip_users)",
        "pageviews_by_http_method_5m": windows(number["pageviews_window_minutes"]),
        "high_latency_alerts": f"SELECT {VIEW} FROM views WHERE latency > {number['high_latency_ms']}",
        "high_latency_alerts_enriched": f"""
            SELECT event_id, user_id, http_method, uri, latency, event_time, {USER}, _time
            FROM views JOIN users ON users.id = user_id WHERE latency > {number["high_latency_ms"]}
        """,
        "low_star_pageviews": pairs(number["low_star_minutes"], f"stars < {number['low_star_below']}"),
        "pageviews_stars_correlation": pairs(number["star_correlation_minutes"]),
        "first_pageview_per_hour": firsts(number["first_pageview_minutes"]),
        "sessions": sessions(number["session_timeout_minutes"], number["session_max_minutes"]),
        "latency_anomalies": anomalies(number),
    }


def window_end(time: str, minutes: int) -> str:
    """The end of the window (start, end] that holds a time."""
    return f"time_bucket(INTERVAL {minutes} MINUTES, {time} - INTERVAL 1 MICROSECOND) + INTERVAL {minutes} MINUTES"


def windows(minutes: int) -> str:
    """Views and how long they took, by HTTP method."""
    return f"""
        SELECT http_method, _time - INTERVAL {minutes} MINUTES AS window_start, pageviews,
          total::DOUBLE / pageviews AS mean_latency, ranks[1] AS p50_latency, ranks[2] AS p95_latency,
          ranks[3] AS p99_latency, _time
        FROM (
          SELECT http_method, {window_end("_time", minutes)} AS _time, count(*) AS pageviews, sum(latency) AS total,
            quantile_cont(latency::DOUBLE, [0.5, 0.95, 0.99]) AS ranks
          FROM views GROUP BY ALL
        )
    """


def pairs(minutes: int, condition: str = "true") -> str:
    """Views with the ratings that the user gave 0 to ``minutes`` minutes later: joined by user and stretch of time,
    since the most active users have thousands of views a day."""
    stretch = f"epoch_us(_time) // {(minutes + 1) * 60_000_000}"
    return f"""
        SELECT v.event_id AS pageview_event_id, r.event_id AS star_event_id, v.user_id, http_method, uri, latency,
          stars, v.event_time AS pageview_event_time, r.event_time AS star_event_time,
          greatest(v._time, r._time) AS _time
        FROM (SELECT *, {stretch} AS stretch FROM views) v
        JOIN (SELECT *, unnest([{stretch}, {stretch} - 1]) AS stretch FROM ratings WHERE {condition}) r
          ON r.user_id = v.user_id AND r.stretch = v.stretch
          AND date_diff('minute', v._time, r._time) BETWEEN 0 AND {minutes}
    """


def firsts(minutes: int) -> str:
    """The first view of each user in each window."""
    return f"""
        SELECT user_id, event_id, client_ip, uri, event_time, _time
        FROM views JOIN (
          SELECT user_id, min(_time) AS _time FROM views GROUP BY user_id, {window_end("_time", minutes)}
        ) USING (user_id, _time)
        QUALIFY row_number() OVER (PARTITION BY user_id, _time ORDER BY {ARRIVAL}) = 1
    """


def sessions(timeout: int, maximum: int) -> str:
    """Visits: a gap longer than ``timeout`` ends one, as does a multiple of ``maximum`` at which it has lasted that
    long."""
    return f"""
        WITH followed AS (
          SELECT user_id, uri, _time, {ARRIVAL}, lag(_time) OVER (PARTITION BY user_id ORDER BY _time) AS before
          FROM views
        ),
        chained AS (
          SELECT *, max(CASE WHEN before IS NULL OR _time - before > INTERVAL {timeout} MINUTES THEN _time END)
            OVER (PARTITION BY user_id ORDER BY _time) AS chain
          FROM followed
        ),
        opened AS (
          SELECT *, CASE WHEN _time <= {window_end("chain", maximum)} + INTERVAL {maximum} MINUTES THEN chain
            ELSE {window_end("_time", maximum)} - INTERVAL {maximum} MINUTES END AS started_at
          FROM chained
        )
        SELECT user_id || '-' || epoch_us(min(_time)) // 1000 AS session_id, user_id, started_at,
          min(_time) AS first_view_at, max(_time) AS last_view_at,
          epoch_us(max(_time)) // 1000 - epoch_us(min(_time)) // 1000 AS duration_ms, count(*) AS pageviews,
          count(DISTINCT uri) AS pages, arg_min(uri, (_time, {ARRIVAL})) AS entry_uri,
          arg_max(uri, (_time, {ARRIVAL})) AS exit_uri,
          least(
            max(_time) + INTERVAL {timeout} MINUTES, {window_end("started_at", maximum)} + INTERVAL {maximum} MINUTES
          ) AS _time
        FROM opened GROUP BY user_id, started_at
    """


def anomalies(number: dict[str, Any]) -> str:
    """Windows whose mean is far above those before; means in whole tenths of a millisecond, so that sums are exact."""
    size, baseline = number["anomaly_window_minutes"], number["anomaly_baseline_minutes"]
    return f"""
        WITH means AS (
          SELECT http_method, {window_end("_time", size)} AS _time, count(*) AS n, sum(latency)::BIGINT AS total,
            (total * 20 + n) // (n * 2) AS mean
          FROM views GROUP BY ALL HAVING n >= {number["anomaly_least_pageviews"]}
        ),
        compared AS (
          SELECT *, count(*) OVER before AS others, sum(mean) OVER before::BIGINT AS sum,
            sum(mean * mean) OVER before::BIGINT AS squares
          FROM means
          WINDOW before AS (
            PARTITION BY http_method ORDER BY _time
            RANGE BETWEEN INTERVAL {baseline} MINUTES PRECEDING AND INTERVAL {size} MINUTES PRECEDING
          )
        )
        SELECT http_method, _time - INTERVAL {size} MINUTES AS window_start, n AS pageviews,
          total::DOUBLE / n AS mean_latency, others AS baseline_windows, sum::DOUBLE / (others * 10) AS baseline_mean,
          sqrt((others * squares - sum * sum)::DOUBLE) / (others * 10) AS baseline_stddev, _time
        FROM compared
        WHERE others >= {number["anomaly_least_windows"]} AND others * mean > sum
          AND (others * mean - sum) * (others * mean - sum)
            > {number["anomaly_sigmas"] ** 2} * (others * squares - sum * sum)
    """


def write_streams(lake: Path, out: Path, settings: Settings, hours: HourRange, only: str | None = None) -> None:
    """Writes the streams of the events of ``hours``, all there are, from ``lake`` into the new lake ``out``.

    For all streams the events with their times become temporary tables first; ``only`` one reads just what it needs.
    """
    number = variables()
    wanted = {name: sql for name, sql in queries(number).items() if only in (None, name)}
    with by_hand(lake, out, settings) as hand:
        hand.con.execute(f"SET temp_directory = '{out / 'spilled'}'")
        for name, (data_set, columns) in EVENTS.items():
            events = timed(hand.table("silver", data_set), columns, number)
            hand.con.execute(f"CREATE TEMP {'VIEW' if only else 'TABLE'} {name} AS {events}")
        for name in ("users", "vip_users"):
            hand.con.execute(f"CREATE TEMP VIEW {name} AS FROM {hand.table('silver', f'{name}_snapshots')}")
        for name, sql in wanted.items():
            write(hand, name, sql, hours)


def timed(events: str, columns: str, number: dict[str, Any]) -> str:
    """Events with ``_time`` by the rules of ingest: those too early are left out, those late or below the watermark
    moved up."""
    late, out_of_order = number["late_arrival_ms"], number["out_of_order_ms"]
    return f"""
        SELECT {columns}, {ARRIVAL}, greatest(
            adjusted,
            max(adjusted) OVER (ORDER BY {ARRIVAL} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)
              - INTERVAL {out_of_order} MILLISECONDS
          ) AS _time
        FROM (
          SELECT *, greatest(event_time, _enqueued_time - INTERVAL {late} MILLISECONDS) AS adjusted
          FROM {events} WHERE event_time <= _enqueued_time + INTERVAL 5 MINUTES
        )
    """


def write(hand: ByHand, name: str, sql: str, hours: HourRange) -> None:
    """Writes one stream; what is later than the last hour has not happened yet."""
    lake_hour = "strftime(date_trunc('hour', _time - INTERVAL 1 MICROSECOND), '%Y-%m-%dT%H') AS _lake_hour"
    told = f"SELECT *, {lake_hour} FROM ({sql}) WHERE _time <= TIMESTAMPTZ '{hours.end.isoformat()}'"
    hand.write("streams", name, told, "_lake_hour")
