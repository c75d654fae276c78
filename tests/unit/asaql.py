"""Reads the Stream Analytics queries of infra/bicep/stream_analytics: the clauses they use, and nothing else.

Clauses are kept as text with one space between tokens, so that they can be compared. What the reader does not know is
refused.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

TOKEN = re.compile(
    r"(?P<space>\s+|--[^\n]*)|(?P<string>'(?:[^']|'')*')|(?P<number>\d+(?:\.\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign><=|>=|<>|[-+*/=<>(),.;])"
)
CLAUSES = ("SELECT", "INTO", "FROM", "WHERE", "GROUP", "HAVING")
JOINS = ("JOIN", "INNER", "LEFT", "CROSS", "OUTER")


class QueryError(Exception):
    """The text is not a query as this reader knows them."""


@dataclass(frozen=True)
class Joined:
    """One JOIN: what is joined, under which name, and the conditions that ON combines."""

    source: str
    alias: str
    on: list[str]


@dataclass(frozen=True)
class Applied:
    """CROSS or OUTER APPLY GetArrayElements(array) AS alias."""

    kind: str
    array: str
    alias: str


@dataclass(frozen=True)
class Query:
    """One SELECT."""

    columns: dict[str, str]
    into: str | None
    source: str
    alias: str
    timestamp_by: str | None
    over: list[str] = field(default_factory=list)
    joins: list[Joined] = field(default_factory=list)
    applied: list[Applied] = field(default_factory=list)
    where: list[str] = field(default_factory=list)
    group_by: list[str] = field(default_factory=list)
    having: list[str] = field(default_factory=list)


def tokens(text: str) -> Iterator[tuple[str, str, int]]:
    """(kind, text, position) of every token but space and comments."""
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise QueryError(f"{text[position : position + 20]!r} is no token")
        if match.lastgroup != "space":
            yield str(match.lastgroup), match[0], position
        position = match.end()


def read_steps(text: str) -> dict[str, Query]:
    """The steps of `WITH name AS (SELECT ...), ...`."""
    words = [token for _, token, _ in tokens(text)]
    if words[:1] != ["WITH"]:
        raise QueryError("the steps begin with WITH")
    found: dict[str, Query] = {}
    for step in split(words[1:], ","):
        if step[1:3] != ["AS", "("] or step[-1] != ")" or step[0] in found:
            raise QueryError(f"a step is `name AS (SELECT ...)`, and each has a name of its own: {spell(step[:4])}")
        found[step[0]] = _query(step[3:-1])
    return found


def read_output(text: str) -> Query:
    """The one `SELECT ... INTO ...;` of a file."""
    words = [token for _, token, _ in tokens(text)]
    if words[-1:] != [";"] or ";" in words[:-1]:
        raise QueryError("a file holds one query, which ends in a semicolon")
    return _query(words[:-1])


def spell(words: list[str]) -> str:
    """The tokens as text, spaced in one way."""
    return re.sub(r" ([,.)(])|(?<=[(.]) ", lambda m: m[1] or "", " ".join(words))


def split(words: list[str], *separators: str) -> list[list[str]]:
    """The tokens between separators that are in no parentheses; the AND of a BETWEEN separates nothing."""
    parts: list[list[str]] = [[]]
    depth, between = 0, False
    for word in words:
        depth += {"(": 1, ")": -1}.get(word, 0)
        if word == "BETWEEN" and depth == 0:
            between = True
        elif word in separators and depth == 0 and not (word == "AND" and between):
            parts.append([])
            continue
        elif word == "AND" and depth == 0:
            between = False
        parts[-1].append(word)
    if depth or not all(parts):
        raise QueryError(f"parentheses or {separators} do not match: {spell(words)}")
    return parts


def _query(words: list[str]) -> Query:
    clauses = _clauses(words)
    into = clauses.get("INTO")
    if into is not None and len(into) != 1:
        raise QueryError(f"INTO names one output: {spell(into)}")
    source, *joins = _sources(clauses["FROM"])
    name, alias, timestamp_by, over = _source(source)
    group_by = clauses.get("GROUP", [])
    if group_by and group_by[0] != "BY":
        raise QueryError("GROUP is followed by BY")
    return Query(
        columns=dict(_column(words) for words in split(clauses["SELECT"], ",")),
        into=into[0] if into else None,
        source=name,
        alias=alias,
        timestamp_by=timestamp_by,
        over=over,
        joins=[_join(words) for words in joins if "APPLY" not in words[:2]],
        applied=[_apply(words) for words in joins if "APPLY" in words[:2]],
        where=_conditions(clauses.get("WHERE")),
        group_by=[spell(words) for words in split(group_by[1:], ",")] if group_by else [],
        having=_conditions(clauses.get("HAVING")),
    )


def _clauses(words: list[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    depth, order = 0, -1
    for word in words:
        depth += {"(": 1, ")": -1}.get(word, 0)
        if depth == 0 and word in CLAUSES:
            if CLAUSES.index(word) <= order:
                raise QueryError(f"{word} is out of place")
            order = CLAUSES.index(word)
            found[word] = []
        elif not found:
            raise QueryError(f"a query begins with SELECT, not {word}")
        else:
            found[CLAUSES[order]].append(word)
    for needed in ("SELECT", "FROM"):
        if not found.get(needed):
            raise QueryError(f"{needed} is missing")
    return found


def _column(words: list[str]) -> tuple[str, str]:
    """(name, expression) of one item of a SELECT."""
    if len(words) > 2 and words[-2] == "AS":
        return words[-1], spell(words[:-2])
    if re.fullmatch(r"([a-z_]\w*\.)?[a-z_]\w*", spell(words)):
        return words[-1], spell(words)
    raise QueryError(f"a column that is computed needs a name: {spell(words)}")


def _sources(words: list[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for word in words:
        if word in JOINS and parts[-1] not in ([kind] for kind in JOINS[1:]):
            parts.append([])
        parts[-1].append(word)
    return parts


def _source(words: list[str]) -> tuple[str, str, str | None, list[str]]:
    """(name, alias, timestamp column, keys) of `name [AS alias] [TIMESTAMP BY column [OVER key, ...]]`."""
    match words:
        case [name]:
            return name, name, None, []
        case [name, "AS", alias]:
            return name, alias, None, []
        case [name, "TIMESTAMP", "BY", column]:
            return name, name, column, []
        case [name, "TIMESTAMP", "BY", column, "OVER", *keys] if keys:
            return name, name, column, [spell(key) for key in split(keys, ",")]
    raise QueryError(f"not a source as this reader knows them: {spell(words)}")


def _apply(words: list[str]) -> Applied:
    match words:
        case [("CROSS" | "OUTER") as kind, "APPLY", "GetArrayElements", "(", *array, ")", "AS", alias] if array:
            return Applied(kind, spell(array), alias)
    raise QueryError(f"{spell(words)}: only CROSS or OUTER APPLY GetArrayElements(array) AS name is known")


def _join(words: list[str]) -> Joined:
    kind = spell(words[: words.index("JOIN") + 1])
    if kind not in ("JOIN", "INNER JOIN"):
        raise QueryError(f"{kind} is not used by these streams")
    rest = words[words.index("JOIN") + 1 :]
    if "ON" not in rest:
        raise QueryError(f"JOIN without ON: {spell(rest)}")
    name, alias, *_ = _source(rest[: rest.index("ON")])
    return Joined(name, alias, _conditions(rest[rest.index("ON") + 1 :]))


def _conditions(words: list[str] | None) -> list[str]:
    return [spell(part) for part in split(words, "AND")] if words else []
