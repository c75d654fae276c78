"""Holds the two spellings of a stream, dbt's and Stream Analytics', against its declaration.

Each function gives the differences as sentences; none means that the spelling is in step.
"""

import re
from collections.abc import Mapping
from typing import Any

import jinja2

from dagster_lake.contract.model import contracts
from dagster_lake.settings.lake import DBT_PROJECT
from dagster_lake.streams.declarations import Bounds, StreamDeclaration
from tests.unit.asaql import Query, QueryError, read_output, read_steps, spell, tokens

DEDUPLICATED = "LAG(event_id) OVER (PARTITION BY event_id LIMIT DURATION(hour, 1)) IS NULL"
SPOKEN = {"minute", "second", "millisecond", "hour", "bigint", "float", "datetime", "nvarchar", "max"}
SIGNS = {"above": ">", "below": "<", "at_least": ">="}

COMPUTED: Mapping[str, Mapping[str, str]] = {
    # What each query computes, by column, where it does more than pass a column on. {braces} come from the declaration.
    "vip_pageviews": {},
    "pageviews_by_http_method_5m": {
        "window_start": "DATEADD({window.unit}, -{window.size}, System.Timestamp())",
        "pageviews": "COUNT(*)",
        "mean_latency": "CAST(SUM(latency) AS float) / COUNT(*)",
        "p50_latency": "PERCENTILE_CONT(0.5) OVER (ORDER BY latency)",
        "p95_latency": "PERCENTILE_CONT(0.95) OVER (ORDER BY latency)",
        "p99_latency": "PERCENTILE_CONT(0.99) OVER (ORDER BY latency)",
    },
    "high_latency_alerts": {},
    "high_latency_alerts_enriched": {
        prop.name: f"users.{prop.name}" for prop in contracts()["users"].properties if prop.name not in ("id", "jobs")
    },
    "low_star_pageviews": {
        "pageview_event_id": "views.event_id",
        "star_event_id": "ratings.event_id",
        "stars": "ratings.stars",
        "pageview_event_time": "views.event_time",
        "star_event_time": "ratings.event_time",
    },
    "first_pageview_per_hour": {},
    "sessions": {
        "session_id": "CONCAT(CAST(user_id AS nvarchar(max)), '-', CAST(DATEDIFF(millisecond, "
        "CAST('1970-01-01T00:00:00Z' AS datetime), first_view_at) AS nvarchar(max)))",
        "duration_ms": "DATEDIFF(millisecond, first_view_at, last_view_at)",
        "entry_uri": "first_view.uri",
        "exit_uri": "last_view.uri",
        "_time": "ended_at",
    },
    "latency_anomalies": {
        "window_start": "DATEADD({window.unit}, -{window.size}, ended_at)",
        "baseline_windows": "CAST(others AS bigint)",
        "baseline_mean": "total / (others * 10)",
        "baseline_stddev": "SQRT(spread) / (others * 10)",
        "_time": "ended_at",
    },
    "unique_pageviews": {"shown_at": "System.Timestamp()"},
    "unique_stars": {},
    "visits": {
        "first_view_at": "MIN(shown_at)",
        "last_view_at": "MAX(shown_at)",
        "pageviews": "COUNT(*)",
        "pages": "COUNT(DISTINCT uri)",
        "first_view": "TopOne() OVER (ORDER BY shown_at ASC)",
        "last_view": "TopOne() OVER (ORDER BY shown_at DESC)",
        "ended_at": "System.Timestamp()",
    },
    "minutes": {
        "pageviews": "COUNT(*)",
        "mean_latency": "CAST(SUM(latency) AS float) / COUNT(*)",
        "tenths": "FLOOR(CAST(SUM(latency) AS float) * 10 / COUNT(*) + 0.5)",
        "ended_at": "System.Timestamp()",
    },
    "measured_minutes": {"square": "tenths * tenths", "one": "CAST(1 AS float)"},
    "baselines": {
        "others": "SUM(one) OVER ({baseline}) - 1",
        "total": "SUM(tenths) OVER ({baseline}) - tenths",
        "squares": "SUM(square) OVER ({baseline}) - square",
    },
    "comparisons": {"excess": "others * tenths - total", "spread": "others * squares - total * total"},
}
COMPUTED = {**COMPUTED, "pageviews_stars_correlation": COMPUTED["low_star_pageviews"]}

STEPS = {
    # From which step or input each stream and step reads.
    "sessions": "visits",
    "latency_anomalies": "comparisons",
    "comparisons": "baselines",
    "baselines": "measured_minutes",
    "measured_minutes": "minutes",
    "unique_pageviews": "valid_pageviews",
    "unique_stars": "valid_stars",
    "valid_pageviews": "pageviews",
    "valid_stars": "stars",
}


# ---- Stream Analytics -----------------------------------------------------------------------------------------------


def query_problems(stream: StreamDeclaration, steps_text: str, output_text: str) -> list[str]:
    """What the query of one output, with the steps it is made of, says other than the declaration."""
    try:
        steps, output = read_steps(steps_text), read_output(output_text)
    except QueryError as error:
        return [str(error)]
    problems = []
    if output.into != stream.name:
        problems.append(f"writes {output.into}")
    if list(output.columns) != stream.delivered:
        problems.append(f"columns {list(output.columns)}, declared {stream.delivered}")
    chain = {stream.name: output}
    for name, query in list(_chain(stream, output, steps)):
        if query is not None and (name in COMPUTED or name in STEPS):
            chain[name] = query
        elif name not in stream.inputs:
            problems.append(f"reads {name}, which is neither a step that is known here nor a declared input")
    for name, query in chain.items():
        problems += [f"{name}: {told}" for told in _differences(stream, name, query)]
        problems += [f"{name}: {told} is not there" for told in _unknown_names(query, steps)]
    read = {query.source for query in chain.values()} & stream.inputs.keys()
    if read != stream.inputs.keys():
        problems.append(f"reads {sorted(read)}, declared {sorted(stream.inputs)}")
    return problems


def _chain(stream: StreamDeclaration, query: Query, steps: Mapping[str, Query]) -> Any:
    """(name, query) of every step below a query, and (name, None) of what is no step."""
    references = set(stream.reference)
    for name in [query.source, *(join.source for join in query.joins if join.source not in references)]:
        yield name, steps.get(name)
        if name in steps:
            yield from _chain(stream, steps[name], steps)


def _differences(stream: StreamDeclaration, name: str, query: Query) -> list[str]:
    wanted = _wanted(stream, name)
    found = {
        "FROM": query.source,
        "TIMESTAMP BY": query.timestamp_by,
        "OVER": query.over,
        "APPLY": query.applied,
        "JOIN": sorted(f"{join.source} ON {on}" for join in query.joins for on in join.on),
        "WHERE": sorted(query.where),
        "GROUP BY": sorted(query.group_by),
        "HAVING": sorted(query.having),
        "computes": {column: text for column, text in query.columns.items() if not _passed_on(query, column)},
    }
    return [
        f"{clause} {found[clause]}, declared {wanted[clause]}" for clause in found if found[clause] != wanted[clause]
    ]


def _unknown_names(query: Query, steps: Mapping[str, Query]) -> list[str]:
    """The columns that a query takes from where there are none of that name."""
    sources = {query.alias: query.source} | {join.alias: join.source for join in query.joins}
    there = {alias: _columns_of(source, steps) for alias, source in sources.items()}
    own = there[query.alias]

    def is_known(qualifier: str, name: str) -> bool:
        if not qualifier:
            return name in own or name in sources or name in SPOKEN
        return name in there[qualifier] if qualifier in there else qualifier in own  # the field of a record

    texts = [*query.columns.values(), *query.where, *query.group_by, *query.having]
    texts += [on for join in query.joins for on in join.on]
    unquoted = re.sub(r"'.*?'", "", " , ".join(texts))
    names = re.findall(r"(?:\b([a-z_]\w*)\.)?\b([a-z_]\w*)\b(?!\()", unquoted)
    return [".".join(filter(None, one)) for one in names if not is_known(*one)]


def _columns_of(source: str, steps: Mapping[str, Query]) -> set[str]:
    if source in steps:
        return set(steps[source].columns)
    return {prop.name for prop in contracts()[source].properties} if source in contracts() else set()


def _passed_on(query: Query, column: str) -> bool:
    return query.columns[column] in (column, f"{query.alias}.{column}")


def _wanted(stream: StreamDeclaration, name: str) -> dict[str, Any]:
    """The clauses that a query of this stream must have."""
    if name.startswith("valid_"):
        return _valid(stream, name.removeprefix("valid_"))
    is_output = name == stream.name
    computed = {c: _filled(stream, text) for c, text in COMPUTED[name].items()}
    if is_output:
        computed = {"_time": "System.Timestamp()"} | computed
    aliases = {"latency": "views.latency", "stars": "ratings.stars"} if stream.join or stream.reference else {}
    return {
        "FROM": STEPS.get(name, "unique_pageviews"),
        "TIMESTAMP BY": None,
        "OVER": [],
        "APPLY": [],
        "JOIN": sorted(_joins(stream)) if is_output else [],
        "WHERE": sorted(_where(stream, name, aliases)),
        "GROUP BY": sorted(_group_by(stream, name)),
        "HAVING": [f"COUNT(*) {_bounds(stream.where['pageviews'])}"] if name == "minutes" else [],
        "computes": computed,
    }


def _valid(stream: StreamDeclaration, data_set: str) -> dict[str, Any]:
    """The step that leaves out what the contract of the data set would put into quarantine."""
    rules, computed = [], {}
    time = stream.inputs.get(data_set, "")
    for prop in contracts()[data_set].properties:
        text = prop.name
        if prop.name == time or prop.logical_type == "integer":
            text = f"TRY_CAST({prop.name} AS {'datetime' if prop.name == time else 'bigint'})"
            computed[prop.name] = text
        if prop.allowed:
            rules.append(f"{text} IN ({', '.join(repr(value) for value in prop.allowed)})")
        elif prop.minimum is not None and prop.maximum is not None:
            rules.append(f"{text} BETWEEN {prop.minimum} AND {prop.maximum}")
        elif (prop.required or prop.key) and prop.name != time:
            rules.append(f"{text} IS NOT NULL")
    return {
        "FROM": data_set,
        "TIMESTAMP BY": time,
        "OVER": list(stream.substreams),
        "APPLY": [],
        "JOIN": [],
        "WHERE": sorted(_normal(rule) for rule in rules),
        "GROUP BY": [],
        "HAVING": [],
        "computes": {c: _normal(text) for c, text in computed.items()},
    }


def _where(stream: StreamDeclaration, name: str, aliases: Mapping[str, str]) -> list[str]:
    if name.startswith("unique_"):
        return [_normal(DEDUPLICATED)]
    if name != stream.name:
        return []
    found = []
    if stream.first:
        first = stream.first
        found.append(f"ISFIRST({first.unit}, {first.size}) OVER (PARTITION BY {', '.join(first.by)}) = 1")
    if stream.baseline:
        found += [
            f"others {_bounds(stream.where['baseline_windows'])}",
            "excess > 0",
            f"excess * excess > {stream.baseline.sigmas**2} * spread",
        ]
    else:
        found += [f"{aliases.get(column, column)} {_bounds(bounds)}" for column, bounds in stream.where.items()]
    return [_normal(condition) for condition in found]


def _joins(stream: StreamDeclaration) -> list[str]:
    found = [f"{name} ON {name}.id = views.{column}" for name, column in stream.reference.items()]
    if join := stream.join:
        bounds = f"DATEDIFF({join.unit}, views, ratings) BETWEEN {join.at_least} AND {join.at_most}"
        found += [f"unique_{join.to} ON {_normal(bounds)}"]
        found += [f"unique_{join.to} ON ratings.{column} = views.{column}" for column in join.by]
    return found


def _group_by(stream: StreamDeclaration, name: str) -> list[str]:
    window = stream.window
    if window is None or name not in ("pageviews_by_http_method_5m", "visits", "minutes"):
        return []
    by = ", ".join(window.by)
    if window.kind == "session":
        spelled = f"SessionWindow({window.unit}, {window.timeout}, {window.maximum}) OVER (PARTITION BY {by})"
    else:
        spelled = f"TumblingWindow({window.unit}, {window.size})"
    return [*window.by, _normal(spelled)]


def _filled(stream: StreamDeclaration, text: str) -> str:
    baseline = ""
    if stream.baseline:
        by = ", ".join(stream.baseline.by)
        baseline = f"PARTITION BY {by} LIMIT DURATION({stream.baseline.unit}, {stream.baseline.size})"
    return _normal(text.format(window=stream.window, baseline=baseline))


def _bounds(bounds: Bounds) -> str:
    [(kind, number)] = bounds.model_dump(exclude_none=True).items()
    return f"{SIGNS[kind]} {number}"


def _normal(text: str) -> str:
    return spell([token for _, token, _ in tokens(text)])


# ---- dbt ------------------------------------------------------------------------------------------------------------


class _Call(str):
    """What a macro was asked, in place of its SQL."""


def rendered(raw_code: str, variables: Mapping[str, Any]) -> str:
    """A model's code with its variables filled in and each macro of the lake left as `name(arguments)`."""
    environment = jinja2.Environment(extensions=["jinja2.ext.do"], undefined=jinja2.StrictUndefined)

    def asked(name: str) -> Any:
        def call(*arguments: Any, **named: Any) -> _Call:
            told = [str(a) for a in arguments] + [f"{key}={value}" for key, value in named.items()]
            return _Call(f"{name}({', '.join(told)})")

        return call

    kept = "stream is_final reference ref tumbling_end sessions first_events over_limit boundaries_crossed shifted "
    kept += "percentile_cont top_one in_output_hours output_hours lake_hour_of whole_quotient micros_of instant_of "
    kept += "join_time floor_quotient boundaries_until"
    context = {name: asked(name) for name in kept.split()}
    context |= {"execute": True, "var": variables.__getitem__, "lake_type": lambda name: name, "config": lambda **_: ""}
    macros = (DBT_PROJECT / "macros/streams/pageviews_with_stars.sql").read_text()
    module = environment.from_string(macros).make_module(context)
    own = {"pageviews_with_stars": vars(module)["pageviews_with_stars"]}
    return environment.from_string(raw_code).render(**context, **own)


def model_problems(stream: StreamDeclaration, sql: str) -> list[str]:
    """What a rendered model says other than the declaration."""
    found = _model_facts(sql)
    wanted = _model_wanted(stream)
    return [f"{fact}: {found[fact]}, declared {wanted[fact]}" for fact in wanted if found[fact] != wanted[fact]]


def _model_facts(sql: str) -> dict[str, Any]:
    def all_of(pattern: str) -> set[Any]:
        return set(re.findall(pattern, sql))

    final = sql[sql.rfind("\nselect") if "\nselect" in sql else 0 :].partition("\nfrom ")[0]
    return {
        "columns": re.findall(r" as (\w+)(?:,\n|$)", final),
        "streams": all_of(r"stream\((\w+)\)") | {"pageviews" for _ in all_of(r"ref\((high_latency_alerts)\)")},
        "references": all_of(r"reference\((\w+)\) as \w+\s+on \w+\.id = \w+\.(\w+)"),
        "tumbling": all_of(r"tumbling_end\(_time, (\d+)\)"),
        "window starts": all_of(r"shifted\(window_end, -(\d+)\)"),
        "session": all_of(r"sessions\(views, _time, \[(.*?)\], (\d+), (\d+)\)"),
        "join": all_of(r"boundaries_crossed\(minute, (\w+)\._time, (\w+)\._time\) between (\d+) and (\d+)"),
        "equal in join": all_of(r"on stars\.(\w+) = views\.\1\b"),
        "first": all_of(r"first_events\(stream\(pageviews\), _time, (\d+), \[(.*?)\]"),
        "baseline": all_of(r"over_limit\(.*?, window_end, (\d+), \[(.*?)\]\)"),
        "conditions": all_of(
            r"(?:where|and|having) (latency|stars|count\(\*\)|others|excess \* excess) "
            r"([<>=]+) (\d+(?: \* spread)?)"
        ),
    }


def _model_wanted(stream: StreamDeclaration) -> dict[str, Any]:
    window, join, first, baseline = stream.window, stream.join, stream.first, stream.baseline
    conditions = set()
    for column, bounds in stream.where.items():
        if stream.name == "high_latency_alerts_enriched":
            continue  # it reads high_latency_alerts
        spelled = {"pageviews": "count(*)", "baseline_windows": "others"}.get(column, column)
        sign, number = _bounds(bounds).split()
        conditions.add((spelled, sign, number))
    if baseline:
        conditions.add(("excess * excess", ">", f"{baseline.sigmas**2} * spread"))

    def ms(part: Any, length: int) -> str:
        return str(part.in_ms(length))

    def keys(names: list[str]) -> str:
        return ", ".join(repr(name) for name in names)

    tumbling = {ms(window, window.size)} if window and window.size else set()
    return {
        "columns": [*stream.columns, *(["_is_final"] if stream.tells_final else []), "_lake_hour"],
        "streams": set(stream.inputs),
        "references": set(stream.reference.items()),
        "tumbling": tumbling,
        "window starts": tumbling,
        "session": {(keys(window.by), ms(window, window.timeout), ms(window, window.maximum))}
        if window and window.timeout and window.maximum
        else set(),
        "join": {("views", "stars", str(join.at_least), str(join.at_most))} if join else set(),
        "equal in join": set(join.by) if join else set(),
        "first": {(ms(first, first.size), keys(first.by))} if first else set(),
        "baseline": {(ms(baseline, baseline.size), keys(baseline.by))} if baseline else set(),
        "conditions": conditions,
    }
