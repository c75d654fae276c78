"""The little of Azure's query language that infra/bicep/queries uses, over lines of a log, so that it can be tried."""

import re
from collections.abc import Callable
from typing import Any

Row = dict[str, Any]


def rows(query: str, lines: list[str], app: str = "dagster-code") -> list[Row]:
    """The rows that the query has before it counts them: its where and extend, up to its summarize or project.

    Raises ValueError for a part that is not known here.
    """
    found: list[Row] = [{"Log": line, "ContainerAppName": app} for line in lines]
    table, *parts = [line for line in query.splitlines() if line and not line.startswith("//")]
    if table != "ContainerAppConsoleLogs":
        raise ValueError(f"{table} is not the table of what apps print")
    for part in parts:
        if part.startswith("| where "):
            test = _test(part.removeprefix("| where "))
            found = [row for row in found if test(row)]
        elif part.startswith("| extend "):
            found = [{**row, **_extended(part, row)} for row in found]
        elif part.startswith(("| summarize ", "| project ")):
            break
        else:
            raise ValueError(f"{part} is not known here")
    return found


_CONDITION = re.compile(
    r"(?P<column>\w+) (?P<how>has|contains|==|in) (?:'(?P<text>[^']*)'|\((?P<list>'[^)]*')\))(?: (?P<more>and|or) |$)"
)


def _test(condition: str) -> Callable[[Row], bool]:
    parts, at = [], 0
    while at < len(condition):
        match = _CONDITION.match(condition, at)
        if match is None:
            raise ValueError(f"where {condition} is not known here")
        parts.append(match)
        at = match.end()
    joined = {match["more"] for match in parts[:-1]}
    if len(joined) > 1:
        raise ValueError(f"where {condition} mixes and with or")
    return lambda row: (any if joined == {"or"} else all)(_holds(match, row) for match in parts)


def _holds(match: re.Match[str], row: Row) -> bool:
    value = str(row[match["column"]])
    if match["how"] == "has":  # whole words
        return re.search(rf"(?<![0-9A-Za-z]){re.escape(match['text'])}(?![0-9A-Za-z])", value) is not None
    if match["how"] == "contains":
        return match["text"] in value
    wanted = re.findall(r"'([^']*)'", match["list"]) if match["list"] else [match["text"]]
    return value in wanted


def _extended(part: str, row: Row) -> Row:
    found = {}
    taken = re.findall(r"(\w+) = extract\(@(?:'([^']*)'|\"([^\"]*)\"), (\d), Log\)", part)
    if len(taken) != part.count(" = "):
        raise ValueError(f"{part} is not known here")
    for name, quoted, doubly, group in taken:
        match = re.search(quoted or doubly, row["Log"])
        found[name] = match[int(group)] if match else ""
    return found
