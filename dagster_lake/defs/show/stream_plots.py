"""Plots of what a run wrote of a stream: how many results in each window, and their latency where they have one."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from dagster_lake.defs.show.sparkline import sparklines
from dagster_lake.defs.show.svg import as_image, timeline
from dagster_lake.storage.delta.write import Pinned

WINDOW = timedelta(minutes=5)
WINDOWS = 72
"""At most so many are shown, the last ones."""

TEXT_WINDOWS = 24
INGEST_HOURS = 48

_OUT_OF_TIME = ("early", "late", "out_of_order")

_PERCENTILES = ("p50", "p95", "p99")
_MEASURES = {
    "latency": ("latency", "latency, ms"),
    "mean_latency": ("mean_latency", "mean latency, ms"),
    "duration_ms": ("duration_ms / 60000", "duration, minutes"),
}
"""Columns whose percentiles are worth a look: what is taken of them, and what that is called."""

_WINDOW_END = "time_bucket(INTERVAL 5 MINUTE, _time - INTERVAL 1 MICROSECOND) + INTERVAL 5 MINUTE"
_OWN_PERCENTILES = ("http_method", "pageviews", *(f"{name}_latency" for name in _PERCENTILES))
"""The columns of a table that has percentiles itself."""

_BUSIEST = "(SELECT http_method FROM results GROUP BY ALL ORDER BY sum(pageviews) DESC, http_method LIMIT 1)"


class _Window(NamedTuple):
    end: datetime
    counted: int
    p50: float | None
    p95: float | None
    p99: float | None


def stream_plots(table: Pinned, hours: Collection[str]) -> dict[str, str]:
    """Markdown for the metadata of a run that wrote lake ``hours``: ``windows`` in text, and ``plot``, a picture.

    Both show, over windows of five minutes, (start, end], of the results' ``_time``: how many results each has, and
    percentiles of their latency or duration. A table that has percentiles itself shows those of the method with the
    most pageviews. Dagster shows the text in place, because it is short, and the picture on a click.
    """
    from dagster_lake.storage.duckdb.files import reading
    from dagster_lake.storage.duckdb.scan import scan_sql

    if "out_of_order" in table.schema.names:
        return _ingest_plots(table)
    with reading(table.uri) as con:
        con.execute(f"CREATE VIEW results AS {scan_sql(table, hours)}")
        if {*_OWN_PERCENTILES} <= {*table.schema.names}:
            counted = "pageviews in each window"
            busiest = next((method for (method,) in con.execute(_BUSIEST).fetchall()), None)
            title = f"latency of {busiest}, ms"
            windows = [_Window(*row) for row in con.execute(_own_percentiles(), [busiest]).fetchall()[-WINDOWS:]]
        else:
            counted = "results in each 5 minutes"
            value, title = next((_MEASURES[name] for name in table.schema.names if name in _MEASURES), (None, ""))
            windows = _without_gaps([_Window(*row) for row in con.execute(_percentiles_of(value)).fetchall()])
    return _plotted(windows, counted, title)


def _ingest_plots(table: Pinned) -> dict[str, str]:
    """How many events came early, late and out of order over the last two days, whatever hours the run wrote."""
    from dagster_lake.storage.duckdb.files import reading
    from dagster_lake.storage.duckdb.scan import scan_sql

    with reading(table.uri) as con:
        rows = con.execute(
            f"SELECT _time, sum(events), {', '.join(f'sum({name})' for name in _OUT_OF_TIME)} "
            f"FROM ({scan_sql(table, table.partitions()[-INGEST_HOURS:])}) GROUP BY _time ORDER BY _time"
        ).fetchall()
    if not rows:
        return {"windows": "no results"}
    times, events = [f"{row[0]:%d %H:%M}" for row in rows], [int(row[1]) for row in rows]
    named = (name.replace("out_of_order", "unordered") for name in _OUT_OF_TIME)  # what fits beside a line
    lines = {name: [float(row[place + 2]) for row in rows] for place, name in enumerate(named)}
    title, until = "events early, late and out of order, by hour", f"until {rows[-1][0]:%Y-%m-%d %H:%M} UTC"
    return {
        "windows": sparklines(f"{title}, {until}", {"events": events, **lines}),
        "plot": as_image(timeline(times, lines, title, events, "events by hour"), f"{title}, {until}"),
    }


def _own_percentiles() -> str:
    own = ", ".join(f"max({name}_latency) FILTER (http_method = $1)" for name in _PERCENTILES)
    return f"SELECT _time, sum(pageviews), {own} FROM results GROUP BY _time ORDER BY _time"


def _percentiles_of(value: str | None) -> str:
    own = ", ".join(f"quantile_cont({value}, 0.{name[1:]})" if value else "NULL" for name in _PERCENTILES)
    return f"SELECT {_WINDOW_END}, count(*), {own} FROM results GROUP BY 1 ORDER BY 1"


def _without_gaps(windows: list[_Window]) -> list[_Window]:
    """The last windows, those without results among them."""
    if not windows:
        return windows
    by_end = {window.end: window for window in windows}
    last = windows[-1].end
    first = max(windows[0].end, last - (WINDOWS - 1) * WINDOW)
    ends = [first + place * WINDOW for place in range((last - first) // WINDOW + 1)]
    return [by_end.get(end, _Window(end, 0, None, None, None)) for end in ends]


def _plotted(windows: list[_Window], counted: str, title: str) -> dict[str, str]:
    if not windows:
        return {"windows": "no results"}
    lines = {name: [getattr(window, name) for window in windows] for name in _PERCENTILES} if title else {}
    times, counts = [f"{window.end:%H:%M}" for window in windows], [int(window.counted) for window in windows]
    picture = timeline(times, lines, title, counts, counted)
    last = windows[-1].end
    shown = {name: values[-TEXT_WINDOWS:] for name, values in {**lines, counted.split()[0]: counts}.items()}
    return {
        "windows": sparklines(f"{title or counted}, until {last:%Y-%m-%d %H:%M} UTC", shown),
        "plot": as_image(picture, f"{counted} until {last:%Y-%m-%d %H:%M} UTC"),
    }
