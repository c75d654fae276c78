"""A small world of events, landed hour by hour in silver, and what each stream must then hold, computed naively."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import duckdb

from dagster_lake.contract.model import contracts
from dagster_lake.lake_hour import HOUR, hour_key, hour_of, parse_hour
from dagster_lake.storage.delta.write import pin, replace_partitions
from dagster_lake.storage.duckdb.scan import scan_sql
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import silver_table
from tests.lake.silver_world import filled
from tests.temporal import model

Row = dict[str, Any]
DAY = "2026-01-05"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE = 60_000_000
DETAILS = (
    "name",
    "city",
    "street_address",
    "phone_number",
    "birth_number",
    "user_name",
    "administrative_unit",
    "description",
    "sex",
    "age_band",
)


def at(clock: str) -> datetime:
    """An instant of the world's day, such as ``12:59:30`` or ``12:59:30.000001``; ``24:10`` is of the day after."""
    hours, _, rest = clock.partition(":")
    minutes, _, seconds = rest.partition(":")
    whole, _, fraction = seconds.partition(".")
    span = timedelta(
        hours=int(hours), minutes=int(minutes), seconds=int(whole or 0), microseconds=int(fraction.ljust(6, "0"))
    )
    return datetime.fromisoformat(DAY).replace(tzinfo=UTC) + span


def micros(instant: datetime) -> int:
    """Microseconds since 1970, exactly."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def instant(number: int) -> datetime:
    """The instant that many microseconds after 1970."""
    return EPOCH + timedelta(microseconds=number)


@dataclass
class StreamWorld:
    """Events as silver has them, and snapshots of users and VIPs by their keys."""

    pageviews: list[Row] = field(default_factory=list)
    stars: list[Row] = field(default_factory=list)
    users: dict[str, list[Row]] = field(default_factory=dict)
    vip_users: dict[str, list[Row]] = field(default_factory=dict)

    def view(
        self,
        arrived: datetime | str,
        user: int = 1,
        *,
        shown: datetime | str | None = None,
        uri: str = "/",
        method: str = "GET",
        latency: int = 100,
    ) -> str:
        """A page shown, by default when the event arrived; gives the event's id."""
        fields = {"user_id": user, "uri": uri, "http_method": method, "latency": latency, "client_ip": f"ip{user}"}
        return self._add(self.pageviews, "view", arrived, shown, fields)

    def rate(self, arrived: datetime | str, user: int, stars: int, *, given: datetime | str | None = None) -> str:
        """A rating, by default given when the event arrived; gives the event's id."""
        return self._add(self.stars, "star", arrived, given, {"user_id": user, "stars": stars})

    def _add(
        self,
        rows: list[Row],
        kind: str,
        arrived: datetime | str,
        happened: datetime | str | None,
        fields: Row,
    ) -> str:
        arrival = at(arrived) if isinstance(arrived, str) else arrived
        time = arrival if happened is None else at(happened) if isinstance(happened, str) else happened
        id = f"{kind}{len(rows):04}"
        stamp = {"_enqueued_time": arrival, "_partition": str(fields["user_id"] % 2), "_sequence_number": len(rows)}
        key = hour_key(hour_of(arrival))
        rows.append({"event_id": id, "event_time": time, **fields, **stamp, "_lake_hour": key})
        return id

    @property
    def hours(self) -> list[str]:
        """The lake hours from the first event's to the last one's."""
        keys = [row["_lake_hour"] for row in [*self.pageviews, *self.stars]]
        first, last = parse_hour(min(keys)), parse_hour(max(keys))
        return [hour_key(first + n * HOUR) for n in range((last - first) // HOUR + 1)]

    def write_snapshots(self, lake: Lake) -> None:
        """Silver's snapshots of users and VIPs."""
        for name, snapshots in (("users", self.users), ("vip_users", self.vip_users)):
            spec = silver_table(lake, contracts()[name])
            for key, rows in snapshots.items():
                data = filled([{**row, "_snapshot": key} for row in rows], spec.schema)
                replace_partitions(spec, [key], data.to_reader, {})

    def write_hours(self, lake: Lake, hours: Iterable[str]) -> None:
        """Silver's events that arrived in these hours."""
        for name, key in product(("pageviews", "stars"), hours):
            spec = silver_table(lake, contracts()[name])
            data = filled([row for row in getattr(self, name) if row["_lake_hour"] == key], spec.schema)
            replace_partitions(spec, [key], data.to_reader, {})

    # ---- what the streams must hold ---------------------------------------------------------------------------------

    def streams(self) -> dict[str, list[Row]]:
        """Every stream's rows, sorted, by name. Results later than the newest hour of events are not told of yet."""
        views, stars = timed(self.pageviews), timed(self.stars)
        alerts = [projected(view) for view in views if view["latency"] > 2000]
        pairs = list(_pairs(views, stars))
        found = {
            "vip_pageviews": [projected(view) for view in views if self._known(self.vip_users, view)],
            "pageviews_by_http_method_5m": list(_windows(views)),
            "high_latency_alerts": alerts,
            "high_latency_alerts_enriched": list(self._enriched(alerts)),
            "low_star_pageviews": [row for minutes, row in pairs if minutes <= 10 and row["stars"] < 3],
            "pageviews_stars_correlation": [row for minutes, row in pairs if minutes <= 15],
            "first_pageview_per_hour": list(_firsts(views)),
            "sessions": list(_sessions(views)),
            "latency_anomalies": list(_anomalies(views)),
            "events_in_time": [*_in_time("pageviews", self.pageviews), *_in_time("stars", self.stars)],
        }
        until = micros(parse_hour(self.hours[-1]) + HOUR)
        told = {name: ordered(_delivered(row) for row in rows if row["_time"] <= until) for name, rows in found.items()}
        for name in ("pageviews_by_http_method_5m", "sessions", "latency_anomalies"):
            told[name] = ordered(row | {"_is_final": self._is_final(row)} for row in told[name])
        return told

    def _is_final(self, row: Row) -> bool:
        """Whether pageviews are known that arrived up to 60 s after the row's time: its hour, and the one after it."""
        landed = {view["_lake_hour"] for view in self.pageviews}
        hour = parse_hour(row["_lake_hour"])
        if row["_lake_hour"] not in landed:
            return False
        whole = hour_key(hour + HOUR) in landed
        return whole or row["_time"] + timedelta(minutes=1) <= hour + HOUR

    def _known(self, snapshots: dict[str, list[Row]], event: Row) -> list[Row]:
        """The rows of the event's user in the snapshot of its time."""
        if not snapshots:
            return []
        earlier = [key for key in sorted(snapshots) if _snapshot_time(key) <= event["_time"]]
        rows = snapshots[earlier[-1] if earlier else min(snapshots)]
        return [row for row in rows if row["id"] == event["user_id"]]

    def _enriched(self, alerts: Sequence[Row]) -> Iterable[Row]:
        required = {"name": "x", "birth_number": "x", "user_name": "x"}
        for alert in alerts:
            for user in self._known(self.users, alert):
                yield alert | {detail: user.get(detail, required.get(detail)) for detail in DETAILS}


def timed(rows: Sequence[Row]) -> list[Row]:
    """The events that the rules of ingest keep, in order of their ``_time`` (microseconds) and arrival."""
    arrived = [
        model.Arrived(micros(r["_enqueued_time"]), r["_partition"], r["_sequence_number"], micros(r["event_time"]))
        for r in rows
    ]
    times = model.stamped(arrived, 60_000_000, 50_000_000, "adjust")
    kept = [
        row | {"_time": times[event.partition, event.number]}
        for row, event in zip(rows, arrived, strict=True)
        if (event.partition, event.number) in times
    ]
    return sorted(kept, key=lambda r: (r["_time"], r["_enqueued_time"], r["_partition"], r["_sequence_number"]))


def projected(view: Row) -> Row:
    """A pageview as the streams that filter pageviews have it."""
    names = ("event_id", "user_id", "http_method", "uri", "latency", "event_time", "_time")
    return {name: view[name] for name in names}


def _in_time(data_set: str, rows: Sequence[Row]) -> Iterable[Row]:
    kept = {(row["_partition"], row["_sequence_number"]): row["_time"] for row in timed(rows)}
    for hour in sorted({row["_lake_hour"] for row in rows}):
        found = {"events": 0, "early": 0, "late": 0, "out_of_order": 0}
        for row in (row for row in rows if row["_lake_hour"] == hour):
            event, arrival = micros(row["event_time"]), micros(row["_enqueued_time"])
            found["events"] += 1
            found["early"] += event > arrival + 5 * MINUTE
            found["late"] += event < arrival - MINUTE
            moved = kept.get((row["_partition"], row["_sequence_number"]), event) > event
            found["out_of_order"] += moved and event >= arrival - MINUTE
        end = micros(parse_hour(hour) + HOUR)
        yield {"data_set": data_set, **found, "dropped": found["early"], "_time": end}


def _windows(views: Sequence[Row]) -> Iterable[Row]:
    for (end, method), rows in _grouped(views, 5 * MINUTE).items():
        latencies = [row["latency"] for row in rows]
        yield {
            "http_method": method,
            "window_start": instant(end - 5 * MINUTE),
            "pageviews": len(rows),
            "mean_latency": sum(latencies) / len(rows),
            "p50_latency": model.percentile_cont("0.5", latencies),
            "p95_latency": model.percentile_cont("0.95", latencies),
            "p99_latency": model.percentile_cont("0.99", latencies),
            "_time": end,
        }


def _grouped(views: Sequence[Row], size: int) -> dict[tuple[int, str], list[Row]]:
    """The views of each window (end, method)."""
    found = defaultdict(list)
    for view in views:
        [end] = model.hopping_ends(view["_time"], size, size)
        found[end, view["http_method"]].append(view)
    return found


def _pairs(views: Sequence[Row], stars: Sequence[Row]) -> Iterable[tuple[int, Row]]:
    """(minutes between, row) of every view and later rating of one user, as far as DATEDIFF is 0 or more."""
    for view, star in product(views, stars):
        minutes = model.boundaries("minute", view["_time"], star["_time"])
        if view["user_id"] == star["user_id"] and minutes >= 0:
            yield (
                minutes,
                {
                    "pageview_event_id": view["event_id"],
                    "star_event_id": star["event_id"],
                    "user_id": view["user_id"],
                    "http_method": view["http_method"],
                    "uri": view["uri"],
                    "latency": view["latency"],
                    "stars": star["stars"],
                    "pageview_event_time": view["event_time"],
                    "star_event_time": star["event_time"],
                    "_time": max(view["_time"], star["_time"]),
                },
            )


def _firsts(views: Sequence[Row]) -> Iterable[Row]:
    seen = set()
    for view in views:
        interval = (view["user_id"], hour_of(instant(view["_time"])))
        if interval not in seen:
            seen.add(interval)
            yield {name: view[name] for name in ("user_id", "event_id", "client_ip", "uri", "event_time", "_time")}


def _sessions(views: Sequence[Row]) -> Iterable[Row]:
    by_user = defaultdict(list)
    for view in views:
        by_user[view["user_id"]].append(view)
    for user, own in by_user.items():
        ends = model.sessions([view["_time"] for view in own], 30 * MINUTE, 60 * MINUTE)
        visits = defaultdict(list)
        for view, (_, start, end) in zip(own, sorted(ends), strict=True):
            visits[start, end].append(view)
        for (start, end), seen in visits.items():
            first, last = seen[0]["_time"], seen[-1]["_time"]
            yield {
                "session_id": f"{user}-{first // 1000}",
                "user_id": user,
                "started_at": instant(start),
                "first_view_at": instant(first),
                "last_view_at": instant(last),
                "duration_ms": last // 1000 - first // 1000,
                "pageviews": len(seen),
                "pages": len({view["uri"] for view in seen}),
                "entry_uri": seen[0]["uri"],
                "exit_uri": seen[-1]["uri"],
                "_time": end,
            }


def _anomalies(views: Sequence[Row]) -> Iterable[Row]:
    """Means in tenths of a millisecond, rounded half up; the standard deviation by its definition."""
    minutes = {place: rows for place, rows in _grouped(views, MINUTE).items() if len(rows) >= 20}
    means = {
        place: math.floor(sum(r["latency"] for r in rows) * 10 / len(rows) + 0.5) for place, rows in minutes.items()
    }
    for (end, method), rows in minutes.items():
        before = [m for (e, of), m in means.items() if of == method and end - 60 * MINUTE <= e < end]
        if len(before) < 30:
            continue
        mean = sum(before) / len(before)
        deviation = math.sqrt(sum((m - mean) ** 2 for m in before) / len(before))
        if means[end, method] - mean > 5 * deviation:
            yield {
                "http_method": method,
                "window_start": instant(end - MINUTE),
                "pageviews": len(rows),
                "mean_latency": _mean(rows),
                "baseline_windows": len(before),
                "baseline_mean": mean / 10,
                "baseline_stddev": deviation / 10,
                "_time": end,
            }


def _mean(views: Sequence[Row]) -> float:
    return sum(view["latency"] for view in views) / len(views)


def _delivered(row: Row) -> Row:
    time = instant(row["_time"])
    return row | {"_time": time, "_lake_hour": hour_key(hour_of(time))}


def _snapshot_time(key: str) -> int:
    return micros(datetime.strptime(key, "%Y-%m-%dT%H%M%SZ").replace(tzinfo=UTC))


# ---- what they do hold ----------------------------------------------------------------------------------------------


def rows_of(lake: Lake, stream: str) -> list[Row]:
    """A stream's rows, sorted; none where the table is not there."""
    pinned = pin(lake.table("streams", stream))
    if pinned is None:
        return []
    with duckdb.connect() as con:
        con.execute("SET TimeZone = 'UTC'")
        return ordered(con.sql(scan_sql(pinned)).to_arrow_table().to_pylist())


def ordered(rows: Iterable[Row]) -> list[Row]:
    """Rows in an order that floating-point numbers have no part in."""
    whole: Callable[[Any], bool] = lambda value: not isinstance(value, float)  # noqa: E731
    return sorted(rows, key=lambda row: sorted((name, str(value)) for name, value in row.items() if whole(value)))
