"""Whether each row of a model follows from one event alone: only then may it be told before the table is made.

What a declaration says does not decide it, for it cannot name all that SQL can do. The model's own SQL does: one SELECT
from the stream, of columns and functions of one row each. Anything else (a window, LAG, an aggregate, a join, a
subquery, DISTINCT, ORDER BY with LIMIT, unnest) may change a row after it was told, or take it back.
"""

import json
from functools import cache
from typing import Any

import duckdb

_STREAM = "_the_stream"
_WITHIN_A_ROW = {
    "CASE",
    "CAST",
    "COLUMN_REF",
    "COMPARISON",
    "CONJUNCTION",
    "CONSTANT",
    "BETWEEN",
    "FUNCTION",
    "OPERATOR",
    "STAR",
    "TYPE",
}
"""Classes of DuckDB's expressions that look at one row; a function may be an aggregate, which is looked up."""


def of_single_events(model: str, stream: str) -> bool:
    """Whether the compiled ``model`` is a plain SELECT from the compiled ``stream``, a SELECT * of the events with
    their ``_time``. False where that cannot be seen."""
    events = stream.strip()[len("select * from ") :]
    if model.count(events) != 1:
        return False
    with duckdb.connect() as con:
        (text,) = con.execute("SELECT json_serialize_sql(?)", [model.replace(events, _STREAM)]).fetchall()[0]
    parsed = json.loads(text)
    if parsed.get("error") or len(parsed["statements"]) != 1:
        return False
    node = parsed["statements"][0]["node"]
    return _is_plain(node) and all(map(_within_a_row, [*node["select_list"], node["where_clause"]]))


def _is_plain(node: dict[str, Any]) -> bool:
    source = node.get("from_table") or {}
    return (
        node["type"] == "SELECT_NODE"
        and (source.get("type"), source.get("table_name"), source.get("sample")) == ("BASE_TABLE", _STREAM, None)
        and not node["modifiers"]
        and not node["cte_map"]["map"]
        and not any(node[part] for part in ("group_expressions", "group_sets", "having", "qualify", "sample"))
    )


def _within_a_row(part: Any) -> bool:
    """Whether an expression, and every one within it, looks at one row."""
    if isinstance(part, list):
        return all(map(_within_a_row, part))
    if not isinstance(part, dict):
        return True
    if part.get("class", "COLUMN_REF") not in _WITHIN_A_ROW:
        return False
    if part.get("class") == "FUNCTION" and part["function_name"].lower() not in _scalars():
        return False
    return all(map(_within_a_row, part.values()))


@cache
def _scalars() -> frozenset[str]:
    """The functions that give one value for one row, and the same each time."""
    with duckdb.connect() as con:
        found = con.execute(
            "SELECT DISTINCT lower(function_name) FROM duckdb_functions() "
            "WHERE function_type IN ('scalar', 'macro') AND coalesce(stability, 'CONSISTENT') = 'CONSISTENT' "
            "EXCEPT SELECT lower(function_name) FROM duckdb_functions() "
            "WHERE function_type NOT IN ('scalar', 'macro') OR stability = 'VOLATILE'"
        ).fetchall()
    return frozenset(name for (name,) in found) - {"unnest"}
