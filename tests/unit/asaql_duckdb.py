"""Runs the Stream Analytics queries of infra/bicep/stream_analytics on DuckDB, as its documentation says they mean.

Stream Analytics' engine cannot be had offline. This is no engine: it knows the operators that these queries use, each
in a line or two, and shares nothing with the dbt macros that it is held against. Every relation has the hidden columns
``stamp`` (its System.Timestamp()) and ``place`` (the order of arrival, which decides between equal times). Where a
query says TIMESTAMP BY ... OVER, ``stamp`` of its input is the arrival, and the rules of ingest are applied here.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Mapping

import duckdb
import pyarrow as pa

from tests.temporal import anomalies, model
from tests.unit.asaql import Query, read_output, read_steps

UNITS = {"hour": 3_600_000_000, "minute": 60_000_000, "second": 1_000_000, "millisecond": 1_000}
TYPES = {"float": "DOUBLE", "datetime": "TIMESTAMPTZ", r"nvarchar\(max\)": "VARCHAR", "bigint": "BIGINT"}
WINDOW = re.compile(r"TumblingWindow\((\w+), (\d+)\)")
ANOMALIES = re.compile(
    r"AnomalyDetection_(SpikeAndDip|ChangePoint)\((.+), ([\d.]+), (\d+)(?:, '(\w+)')?\) "
    r"OVER\((?:PARTITION BY (.+) )?LIMIT DURATION\((\w+), (\d+)\)(?: WHEN (.+))?\)"
)
SESSION = re.compile(r"SessionWindow\((\w+), (\d+), (\d+)\) OVER\(PARTITION BY (\w+)\)")


def results(con: duckdb.DuckDBPyConnection, steps_text: str, output_text: str) -> pa.Table:
    """What one output gets; the inputs are tables of ``con`` with their columns, ``stamp`` and ``place``."""
    steps = read_steps(steps_text)
    for name, query in steps.items():
        con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {_sql(con, query, steps)}")
    output = read_output(output_text)
    con.execute(f"CREATE OR REPLACE TEMP TABLE made AS {_sql(con, output, steps)}")
    return con.sql(f"SELECT {', '.join(output.columns)} FROM made").to_arrow_table()


def _sql(con: duckdb.DuckDBPyConnection, query: Query, steps: Mapping[str, Query]) -> str:
    names = [query.alias, *(join.alias for join in query.joins)]
    streams = [query.alias, *(join.alias for join in query.joins if join.source in steps)]
    stamp, place, source = (
        f"greatest({', '.join(f'{name}.stamp' for name in streams)})",
        f"{query.alias}.place",
        _source(con, query),
    )
    group_by: list[str] = []
    if query.group_by:
        stamp, place, source = "ended", "0", _windowed(con, query, source)
        group_by = [term for term in query.group_by if "Window" not in term] + ["ended"]

    def spelled(text: str) -> str:
        return _spelled(text, stamp, names)

    judged = {name: text for name, text in query.columns.items() if text.startswith("AnomalyDetection_")}
    if judged:
        assert not query.group_by, "anomalies are of events: put them into a step before the windows"
        source = _judged(con, query, source, judged, spelled)
    told = {name: f"{query.alias}.{name}" if name in judged else spelled(t) for name, t in query.columns.items()}
    columns = [f"{text} AS {name}" for name, text in told.items()]
    plain = [spelled(condition) for condition in query.where if " OVER" not in condition]
    analytic = [spelled(condition) for condition in query.where if " OVER" in condition]
    assert not (plain and analytic), "analytic functions see what WHERE leaves out: put them into a step of their own"
    joins = [
        f"JOIN {join.source} AS {join.alias} ON {' AND '.join(spelled(condition) for condition in join.on)}"
        for join in query.joins
    ]
    clauses = [
        f"SELECT {', '.join(columns)}, {stamp} AS stamp, {place} AS place FROM {source} AS {query.alias}",
        *joins,
        *([f"WHERE {' AND '.join(plain)}"] if plain else []),
        *([f"GROUP BY {', '.join(group_by)}"] if group_by else []),
        *([f"HAVING {' AND '.join(map(spelled, query.having))}"] if query.having else []),
        *([f"QUALIFY {' AND '.join(analytic)}"] if analytic else []),
    ]
    return " ".join(clauses)


LATE, OUT_OF_ORDER = 60_000_000, 50_000_000
"""The job's tolerances, in microseconds."""


def _source(con: duckdb.DuckDBPyConnection, query: Query) -> str:
    """What FROM names, with substreams given their times and arrays their elements."""
    source = query.source
    if query.over:
        arrived = con.execute(
            f"SELECT {', '.join(query.over)}, place, epoch_us(stamp), epoch_us({query.timestamp_by}) FROM {source}"
        ).fetchall()
        streams = defaultdict(list)
        for *key, place, arrival, time in arrived:
            streams[tuple(key)].append(model.Arrived(arrival, "", place, time))
        times = {
            place: time
            for events in streams.values()
            for (_, place), time in model.stamped(events, LATE, OUT_OF_ORDER, "adjust").items()
        }
        rows = ", ".join(map(str, times.items())) or "(NULL, NULL)"
        con.execute(f"CREATE OR REPLACE TEMP TABLE stamps AS FROM (VALUES {rows}) AS stamps (place, micros)")
        source = f"(SELECT * REPLACE (make_timestamptz(micros) AS stamp) FROM {source} JOIN stamps USING (place))"
    for applied in query.applied:
        positions = f"CASE WHEN len({applied.array}) > 0 THEN range(len({applied.array})) "
        positions += "ELSE [NULL] END" if applied.kind == "OUTER" else "ELSE [] END"
        element = f"{applied.array}[ArrayIndex + 1] AS ArrayValue"
        placed = f"(SELECT *, unnest({positions}) AS ArrayIndex FROM {source})"
        record = f"{{'ArrayIndex': ArrayIndex, 'ArrayValue': ArrayValue}} AS {applied.alias}"
        source = f"(SELECT * EXCLUDE (ArrayIndex, ArrayValue), {record} FROM (SELECT *, {element} FROM {placed}))"
    return source


def _judged(
    con: duckdb.DuckDBPyConnection, query: Query, source: str, columns: Mapping[str, str], spelled: Callable[[str], str]
) -> str:
    """The source with a record {Score, IsAnomaly} for each column of anomalies, as the plain reference judges."""
    order = f"row_number() OVER (ORDER BY {query.alias}.stamp, {query.alias}.place)"
    con.execute(f"CREATE OR REPLACE TEMP TABLE events AS SELECT *, {order} AS n FROM {source} AS {query.alias}")
    source = "events"
    for name, text in columns.items():
        found = ANOMALIES.fullmatch(text)
        assert found, text
        function, value, confidence, history, mode, key, unit, size, when = found.groups()
        judged_by = f"row({spelled(key) if key else 0})"
        counted = f"CASE WHEN {spelled(when) if when else 'true'} THEN {spelled(value)} END"
        rows = con.execute(
            f"SELECT n, epoch_us({query.alias}.stamp), {judged_by}, {counted} FROM events AS {query.alias} ORDER BY n"
        ).fetchall()
        series = [model.Event(time, repr(key), value) for _, time, key, value in rows]
        limits = UNITS[unit] * int(size), int(history), float(confidence)
        judged = (
            anomalies.spikes_and_dips(series, *limits, mode)
            if function == "SpikeAndDip"
            else anomalies.change_points(series, *limits)
        )
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE judged_{name} (n BIGINT, {name} STRUCT(Score DOUBLE, IsAnomaly BIGINT))"
        )
        con.executemany(
            f"INSERT INTO judged_{name} VALUES (?, row(?, ?))",
            [(n, *verdict) for (n, *_), verdict in zip(rows, judged, strict=True)],
        )
        source += f" JOIN judged_{name} USING (n)"
    return f"(SELECT * FROM {source})"


def _windowed(con: duckdb.DuckDBPyConnection, query: Query, source: str) -> str:
    """The source with ``ended``, the end of the window that each of its rows is in."""
    [window] = [term for term in query.group_by if "Window" in term]
    if found := WINDOW.fullmatch(window):
        return f"(SELECT *, {_tumbling_end(found[1], found[2])} AS ended FROM {source})"
    found = SESSION.fullmatch(window)
    assert found, window
    unit, timeout, longest, key = found[1], int(found[2]), int(found[3]), found[4]
    times = defaultdict(list)
    for one, micros in con.execute(f"SELECT {key}, epoch_us(stamp) FROM {query.source}").fetchall():
        times[one].append(micros)
    ends = {
        (one, time, end)
        for one, own in times.items()
        for time, _, end in model.sessions(own, timeout * UNITS[unit], longest * UNITS[unit])
    }
    rows = ", ".join(map(str, ends)) or "(NULL, NULL, NULL)"
    con.execute(f"CREATE OR REPLACE TEMP TABLE ends AS FROM (VALUES {rows}) AS ends (key, time, ended)")
    joined = f"{query.source} JOIN ends ON ends.key = {key} AND ends.time = epoch_us(stamp)"
    return f"(SELECT {query.source}.*, make_timestamptz(ended) AS ended FROM {joined})"


def _tumbling_end(unit: str, size: str) -> str:
    micros = UNITS[unit] * int(size)
    return f"make_timestamptz((epoch_us(stamp) + {micros} - 1) // {micros} * {micros})"


def _spelled(text: str, stamp: str, names: list[str]) -> str:
    """An expression in DuckDB's words."""
    order = "ORDER BY stamp, place"

    def lag(m: re.Match[str]) -> str:
        over = f"OVER (PARTITION BY {m[2]} {order})"
        return f"CASE WHEN lag(stamp) {over} > stamp - INTERVAL {m[4]} {m[3]} THEN lag({m[1]}) {over} END"

    def datediff(m: re.Match[str]) -> str:
        first, second = (f"{one}.stamp" if one in names else one for one in (m[2], m[3]))
        return f"date_diff('{m[1]}', {first}, {second})"

    def collect_top(m: re.Match[str]) -> str:
        listed = f"list({names[0]} ORDER BY {m[2]} {m[3]}, place {m[3]})[:{m[1]}]"
        return f"list_transform({listed}, lambda x, i: {{'rank': i, 'value': x}})"

    def top_one(m: re.Match[str]) -> str:
        return f"first({names[0]} ORDER BY {m[1]} {m[2]}, place {m[2]})"

    rules: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
        (r"LAG\((\w+)\) OVER\(PARTITION BY (\w+) LIMIT DURATION\((\w+), (\d+)\)\)", lag),
        (
            r"ISFIRST\((\w+), (\d+)\) OVER\(PARTITION BY (\w+)\)",
            lambda m: f"row_number() OVER (PARTITION BY {m[3]}, {_tumbling_end(m[1], m[2])} {order})",
        ),
        (
            r"OVER\(PARTITION BY (\w+) LIMIT DURATION\((\w+), (\d+)\)\)",
            r"OVER (PARTITION BY \1 ORDER BY stamp RANGE BETWEEN INTERVAL \3 \2 PRECEDING AND CURRENT ROW)",
        ),
        (r"GetArrayElement\(([\w.]+), (\d+)\)", r"\1[\2 + 1]"),
        (r"GetRecordPropertyValue\(([\w.]+), '(\w+)'\)", r"\1.\2"),
        (r"TopOne\(\) OVER\(ORDER BY (\w+) (\w+)\)", top_one),
        (r"CollectTop\((\d+)\) OVER\(ORDER BY (\w+) (\w+)\)", collect_top),
        (r"PERCENTILE_CONT\((.*?)\) OVER\(", r"percentile_cont(\1) WITHIN GROUP ("),
        (r"DATEADD\((\w+), - (\d+), ((?:[^()]|\(\))*)\)", r"(\3 - INTERVAL \2 \1)"),
        (r"DATEDIFF\((\w+), (CAST\('.*?' AS datetime\)|\w+), (\w+)\)", datediff),
        (r"System\.Timestamp\(\)", stamp),
        *((rf"\bAS {name}", f"AS {duck}") for name, duck in TYPES.items()),
    ]
    for pattern, replacement in rules:
        text = re.sub(pattern, replacement, text)
    return text
