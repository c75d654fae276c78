"""The little of Azure's query language that infra/bicep/queries uses, over lines of a log, so that it can be tried."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

Row = dict[str, Any]


def rows(query: str, lines: list[str], app: str = "dagster-code") -> list[Row]:
    """What the query answers when an app of that name has just printed these lines.

    Raises ValueError for a part that is not known here.
    """
    found: list[Row] = [{"Log": line, "ContainerAppName": app, "TimeGenerated": datetime.now(UTC)} for line in lines]
    table, *parts = [line for line in query.splitlines() if line and not line.startswith("//")]
    if table != "ContainerAppConsoleLogs":
        raise ValueError(f"{table} is not the table of what apps print")
    for part in parts:
        match = re.fullmatch(r"\| (where|extend|distinct|summarize|project|order by|render) (.*)", part)
        if match is None:
            raise ValueError(f"{part} is not known here")
        found = _PARTS[match[1]](match[2], found)
    return found


# ---- parts of a query ------------------------------------------------------------------------------------------------


def _where(condition: str, found: list[Row]) -> list[Row]:
    tests = [_test(one) for one in re.split(r" and (?![^(]*\))", condition)]
    return [row for row in found if all(test(row) for test in tests)]


def _extend(named: str, found: list[Row]) -> list[Row]:
    columns = [_named(one) for one in _listed(named)]
    # Columns of one extend do not see each other.
    return [{**row, **{name: value(row) for name, value in columns}} for row in found]


def _project(named: str, found: list[Row]) -> list[Row]:
    return [{name: row[name] for name in _listed(named)} for row in found]


def _distinct(named: str, found: list[Row]) -> list[Row]:
    kept: list[Row] = []
    for row in _project(named, found):
        if row not in kept:
            kept.append(row)
    return kept


def _summarize(text: str, found: list[Row]) -> list[Row]:
    wanted, _, by = text.partition(" by ")
    groups = [_group(one) for one in _listed(by)] if by else []
    keys: list[tuple[Any, ...]] = []
    members: list[list[Row]] = []
    for row in found:
        key = tuple(value(row) for _, value in groups)
        if key not in keys:
            keys.append(key)
            members.append([])
        members[keys.index(key)].append(row)
    if not groups and not keys:  # without groups there is always one row
        keys, members = [()], [[]]
    answered = []
    for key, own in zip(keys, members, strict=True):
        row = {name: value for (name, _), value in zip(groups, key, strict=True)}
        for one in _listed(wanted):
            name, _, aggregate = one.partition(" = ")
            row[name] = _aggregated(aggregate, own)
        answered.append(row)
    return answered


def _order(text: str, found: list[Row]) -> list[Row]:
    name, _, direction = text.partition(" ")
    return sorted(found, key=lambda row: row[name], reverse=direction == "desc")


_PARTS: dict[str, Callable[[str, list[Row]], list[Row]]] = {
    "where": _where,
    "extend": _extend,
    "project": _project,
    "distinct": _distinct,
    "summarize": _summarize,
    "order by": _order,
    "render": lambda _, found: found,
}

# ---- conditions ------------------------------------------------------------------------------------------------------


def _test(condition: str) -> Callable[[Row], bool]:
    if match := re.fullmatch(r"isnotnull\((\w+)\)", condition):
        column = match[1]
        return lambda row: row[column] is not None
    if match := re.fullmatch(r"(\w+) > ago\((\d+)d\)", condition):
        column, since = match[1], datetime.now(UTC) - timedelta(days=int(match[2]))
        return lambda row: row[column] > since
    if match := re.fullmatch(r"(\w+) (has|==) '([^']*)'", condition):
        column, how, text = match.groups()
        return (lambda row: _has(row[column], text)) if how == "has" else (lambda row: row[column] == text)
    if match := re.fullmatch(r"(\w+) in \(([^)]*)\)", condition):
        column, wanted = match[1], re.findall(r"'([^']*)'", match[2])
        return lambda row: row[column] in wanted
    raise ValueError(f"where {condition} is not known here")


def _has(text: str, word: str) -> bool:
    """Whole words only, in any case."""
    return re.search(rf"(?<![0-9A-Za-z]){re.escape(word)}(?![0-9A-Za-z])", text, re.IGNORECASE) is not None


# ---- values ----------------------------------------------------------------------------------------------------------


def _named(text: str) -> tuple[str, Callable[[Row], Any]]:
    name, _, expression = text.partition(" = ")
    if expression == "parse_json(Log)":
        return name, lambda row: _parsed(row["Log"])
    match = re.fullmatch(r"(tostring|tolong|toreal|todatetime)\((\w+)\.(\w+)\)(?: / (\d+))?", expression)
    if match is None:
        raise ValueError(f"extend {text} is not known here")
    kind, column, field, divisor = match.groups()

    def value(row: Row) -> Any:
        found = _CASTS[kind](row[column].get(field) if isinstance(row[column], dict) else None)
        return found / int(divisor) if divisor and found is not None else found

    return name, value


def _parsed(text: str) -> Any:
    """Text that is no JSON stays text, in which no field is found."""
    try:
        return json.loads(text)
    except ValueError:
        return text


_CASTS: dict[str, Callable[[Any], Any]] = {
    "tostring": lambda value: "" if value is None else str(value).lower() if value in (True, False) else str(value),
    "tolong": lambda value: None if value is None else int(value),
    "toreal": lambda value: None if value is None else float(value),
    "todatetime": lambda value: None if value is None else datetime.fromisoformat(value),
}


def _group(text: str) -> tuple[str, Callable[[Row], Any]]:
    match = re.fullmatch(r"bin\((\w+), 1([hd])\)", text)
    if match is None:
        return text, lambda row: row[text]
    column, zeros = match[1], {"minute": 0, "second": 0, "microsecond": 0}
    zeros |= {"hour": 0} if match[2] == "d" else {}
    return column, lambda row: row[column].replace(**zeros)


def _aggregated(aggregate: str, own: list[Row]) -> Any:
    if aggregate == "count()":
        return len(own)
    match = re.fullmatch(r"(sum|max|percentile)\((\w+)(?:, (\d+))?\)", aggregate)
    if match is None:
        raise ValueError(f"summarize {aggregate} is not known here")
    values = sorted(row[match[2]] for row in own if row[match[2]] is not None)
    if match[1] == "sum":
        return sum(values)
    percent = int(match[3] or 100)
    return values[-(-len(values) * percent // 100) - 1] if values else None  # the nearest rank


def _listed(text: str) -> Iterator[str]:
    """The parts between commas that are in no parentheses."""
    return (one.strip() for one in re.split(r",(?![^(]*\))", text))
