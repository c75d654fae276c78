"""Accepts a stream by figures: what the hub's log holds against what the tables hold, by another way than theirs.

Run: python -m bench.verify_streams [--from HOUR] [--to HOUR]

Reads only the source log (the event hub that the settings name) and the final tables of the lake. What the tables must
hold is computed anew from the log, event by event in plain Python (bench/stream_truth.py), without the contracts' SQL
and without the models'. For silver, three of the streams and the notices of alerts it counts what is missing (lost),
what is there too often (duplicates), and what is in the wrong place: at another time, in another hour, under another
number (out of sequence). It prints how many events were sent how fast, and how long alerts took from the arrival of
their event until they were noted. Exits with 1 unless all three counts are 0 everywhere.

The hours must be landed whole and their tables made, by `lake stream` or by Dagster's runs.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import unquote

import duckdb
import numpy as np

from bench.measure import markdown
from bench.stream_truth import (
    LOOK_BACK_HOURS,
    SECOND,
    Line,
    first_copies,
    hour_of,
    logged,
    micros,
    pairs,
    places,
    slow_pages,
    timed,
    valid,
    windows,
)
from dagster_lake.contract.model import EventHubSource, contracts
from dagster_lake.lake_hour import HOUR, HourRange, parse_hour
from dagster_lake.landing.hubs import hub_of
from dagster_lake.sources.event_hub.protocol import EventHubError
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.duckdb.files import let_read
from dagster_lake.storage.duckdb.scan import scan_sql
from dagster_lake.storage.paths import Lake

HUBS = ("pageviews", "stars")
_Said = TypeVar("_Said")


@dataclass
class Verdict:
    """What is wrong with a table: rows that are missing, too many, or in the wrong place; the first few are named."""

    rows: int = 0
    lost: int = 0
    duplicates: int = 0
    out_of_sequence: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def is_exact(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.duplicates or self.out_of_sequence)

    def note(self, text: str) -> None:
        """Names an example."""
        if len(self.examples) < 3:
            self.examples.append(text)


@dataclass
class Findings:
    """Events of the log and the seconds between first and last, a verdict on each table, and of each alert when its
    event arrived and when it was noted (microseconds since 1970)."""

    events: int
    seconds: float
    verdicts: dict[str, Verdict]
    noted: list[tuple[int, int]]

    @property
    def is_exact(self) -> bool:
        """Whether every table is as it must be."""
        return all(verdict.is_exact for verdict in self.verdicts.values())


def main() -> int:
    """Verifies, prints and judges."""
    from dagster_lake.lake_resource import LakeResource

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--from", dest="first", help="the first lake hour, as 2026-01-05T12; the first in silver by default"
    )
    parser.add_argument("--to", dest="last", help="the last lake hour; the last in silver by default")
    wanted = parser.parse_args()
    resource = LakeResource()
    silver = pin(resource.lake.table("silver", "pageviews"))
    landed = silver.partitions() if silver else []
    if not landed and not (wanted.first and wanted.last):
        sys.exit("silver.pageviews holds nothing yet; land some events first, for instance by `lake stream`")
    hours = HourRange.of(wanted.first or landed[0], wanted.last or landed[-1])
    findings = verify(resource.lake, resource.sources, hours)
    print(told(findings))
    return 0 if findings.is_exact else 1


def verify(lake: Lake, sources: Sources, hours: HourRange) -> Findings:
    """Compares the log with the tables over some lake hours; of the hours before, what these look back to is read."""
    since = hours.first - (LOOK_BACK_HOURS + 1) * HOUR
    log = {name: _log(lake, sources, name, since, hours.end) for name in HUBS}
    events = {name: first_copies(valid(name, log[name])) for name in HUBS}
    views, stars = (timed(events[name]) for name in HUBS)
    tables = Tables(lake, hours)
    alerts = tables.within(slow_pages(views))
    noted = tables.notices()
    verdicts = {f"silver.{name}": placed(tables.silver(name), tables.within(places(events[name]))) for name in HUBS}
    verdicts["streams.high_latency_alerts"] = placed(tables.alerts(), alerts)
    verdicts["streams.pageviews_stars_correlation"] = placed(tables.pairs(), tables.within(pairs(views, stars)))
    verdicts["streams.pageviews_by_http_method_5m"] = counted(
        tables.windows(), {key: pages for key, pages in windows(views).items() if key[0] in tables.numbers}
    )
    verdicts["streams.alert_notices"] = placed(((id, True) for id, _ in noted), dict.fromkeys(alerts, True))
    arrived = {event.id: event.arrived for _, event in views}
    here = [at for name in HUBS for at, *_ in log[name] if at > micros(hours.first)]
    return Findings(
        len(here),
        (max(here) - min(here)) / SECOND if here else 0.0,
        verdicts,
        [(arrived[id], at) for id, at in noted if id in arrived],
    )


def _log(lake: Lake, sources: Sources, name: str, start: datetime, end: datetime) -> list[Line]:
    """The log; that of a hub that is not there yet, and of which there is no table either, is empty."""
    contract = contracts()[name]
    assert isinstance(contract.source, EventHubSource)
    try:
        return list(logged(hub_of(contract, lake, sources), contract.source.hub, start, end))
    except EventHubError:
        if pin(lake.table("silver", name)) is not None:
            raise
        return []


class Tables:
    """The rows of the final tables in some lake hours, each as what tells it from others and what is said of it."""

    def __init__(self, lake: Lake, hours: HourRange) -> None:
        self.lake, self.keys = lake, hours.keys
        self.numbers = range(_number(hours.first), _number(hours.last) + 1)

    def within(self, wanted: Mapping[Any, tuple[int, _Said]]) -> dict[Any, tuple[int, _Said]]:
        """Those of the wanted rows that belong to these hours."""
        return {key: said for key, said in wanted.items() if said[0] in self.numbers}

    def silver(self, name: str) -> Iterable[tuple[Any, Any]]:
        """silver's events, as ``places`` says them."""
        columns = "event_id, epoch_us(_enqueued_time), _partition, _sequence_number"
        for hour, id, *position in self._rows(f"silver.{name}", columns):
            yield (id, hour_of(position[0])), (hour, tuple(position))

    def alerts(self) -> Iterable[tuple[Any, Any]]:
        """The slow pages, as ``slow_pages`` says them."""
        for hour, id, latency, at in self._rows("streams.high_latency_alerts", "event_id, latency, epoch_us(_time)"):
            yield id, (hour, (latency, at))

    def pairs(self) -> Iterable[tuple[Any, Any]]:
        """Pageviews and ratings, as ``pairs`` says them."""
        columns = "pageview_event_id, star_event_id, stars, epoch_us(_time)"
        for hour, view, star, stars, at in self._rows("streams.pageviews_stars_correlation", columns):
            yield (view, star), (hour, (stars, at))

    def windows(self) -> Iterable[tuple[Any, int]]:
        """The windows, as ``windows`` counts them."""
        columns = "http_method, epoch_us(_time), pageviews"
        for hour, method, end, pages in self._rows("streams.pageviews_by_http_method_5m", columns):
            yield (hour, method, end), pages

    def notices(self) -> list[tuple[str, int]]:
        """The event of each notice of a slow page, and when it was noted."""
        rows = self._rows("streams.alert_notices", "stream, alert_id, epoch_us(noted_at)")
        return [(unquote(id.split("/", 1)[1]), at) for _, stream, id, at in rows if stream == "high_latency_alerts"]

    def _rows(self, table: str, columns: str) -> list[tuple[Any, ...]]:
        pinned = pin(self.lake.table(*table.split(".")))
        if pinned is None:
            return []
        with duckdb.connect() as con:
            con.execute("SET TimeZone = 'UTC'")
            let_read(con, self.lake.root)
            rows = con.execute(f"SELECT _lake_hour, {columns} FROM ({scan_sql(pinned, self.keys)})").fetchall()
        return [(_number(parse_hour(key)), *row) for key, *row in rows]


def placed(found: Iterable[tuple[Any, Any]], wanted: Mapping[Any, Any]) -> Verdict:
    """The verdict on rows that must each be there once, with what is said of them."""
    verdict, seen = Verdict(), Counter[Any]()
    for key, said in found:
        verdict.rows += 1
        seen[key] += 1
        if key not in wanted or seen[key] > 1:
            verdict.duplicates += 1
            verdict.note(f"too many: {key}, {said}")
        elif said != wanted[key]:
            verdict.out_of_sequence += 1
            verdict.note(f"in the wrong place: {key} is {said} instead of {wanted[key]}")
    for key in wanted.keys() - seen.keys():
        verdict.lost += 1
        verdict.note(f"lost: {key}, {wanted[key]}")
    return verdict


def counted(found: Iterable[tuple[Any, int]], wanted: Mapping[Any, int]) -> Verdict:
    """The verdict on counts: events that no window counts are lost, and those that some count too often duplicates."""
    verdict, counts = Verdict(), Counter[Any]()
    for key, count in found:
        verdict.rows += 1
        counts[key] += count
    for key in counts.keys() | wanted.keys():
        more = counts[key] - wanted.get(key, 0)
        verdict.duplicates += max(more, 0)
        verdict.lost += max(-more, 0)
        if more:
            verdict.note(f"{key} counts {counts[key]} instead of {wanted.get(key, 0)}")
    return verdict


def told(findings: Findings) -> str:
    """The findings as Markdown."""
    rate = findings.events / findings.seconds if findings.seconds else 0.0
    lines = [f"{findings.events:,} events sent in {findings.seconds:,.1f} s, {rate:,.0f} events/s."]
    if findings.noted:
        lines.append(f"Alerts noted after their event arrived: {delays(findings.noted)}.")
    rows = [(name, v.rows, v.lost, v.duplicates, v.out_of_sequence) for name, v in findings.verdicts.items()]
    lines += ["", markdown(["table", "rows", "lost", "duplicates", "out of sequence"], rows)]
    for name, verdict in findings.verdicts.items():
        lines += [f"\n{name}: {example}" for example in verdict.examples]
    return "\n".join(lines)


def delays(noted: Iterable[tuple[int, int]]) -> str:
    """How long alerts took, in words."""
    seconds = [(at - arrived) / SECOND for arrived, at in noted]
    p50, p99 = np.percentile(seconds, [50, 99])
    return f"p50 {p50:.2f} s, p99 {p99:.2f} s, at most {max(seconds):.2f} s ({len(seconds):,} alerts)"


def _number(hour: datetime) -> int:
    return hour_of(micros(hour + HOUR))


if __name__ == "__main__":
    sys.exit(main())
