"""Statements of the semantics reference as questions with one right answer, for every engine.

A question is a SELECT over a few rows written into it, so that many can be asked in one query. Instants are written as
times of 2026-01-05, and are microseconds in rows and answers.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tests.temporal.render import Macros

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Question:
    """A ``statement`` of the reference; ``ask`` gives a SELECT of ``columns``, ``answer`` its rows in any order."""

    statement: str
    columns: str
    ask: Callable[[Macros], str]
    answer: Sequence[Row]

    def rows(self, found: Sequence[str]) -> list[Row]:
        """The rows found, given as JSON objects in which nulls may be missing."""
        objects = [json.loads(text) for text in found]
        found_rows = (tuple(_told(o.get(column)) for column in self.columns.split()) for o in objects)
        return sorted(found_rows, key=repr)

    @property
    def expected(self) -> list[Row]:
        """The answer in the order of ``rows``."""
        return sorted((tuple(map(_told, row)) for row in self.answer), key=repr)


def _told(value: Any) -> Any:
    """A value as both engines' JSON has it: a null field may be missing in a record."""
    if isinstance(value, dict):
        return {name: _told(field) for name, field in value.items() if field is not None}
    return [_told(one) for one in value] if isinstance(value, list) else value


def at(time: str, day: str = "2026-01-05") -> int:
    """A time such as 10:00:59.5 of a day, in microseconds since 1970."""
    instant = datetime.fromisoformat(f"{day}T{time}").replace(tzinfo=UTC)
    return int(instant.timestamp()) * 1_000_000 + instant.microsecond


def relation(ask: Macros, columns: Mapping[str, str], rows: Sequence[Row]) -> str:
    """Rows as a subquery; a column is an ``instant`` (in microseconds), ``bigint``, ``double`` or ``varchar``."""
    selected = [
        f"{ask.instant_of(f'cast({name} as bigint)')} as {name}"
        if kind == "instant"
        else f"cast({name} as {ask.lake_type(kind)}) as {name}"
        for name, kind in columns.items()
    ]
    values = ", ".join("(" + ", ".join(_literal(value) for value in row) + ")" for row in rows)
    return f"(select {', '.join(selected)} from (values {values}) as given({', '.join(columns)}))"


def as_json(dialect: str, number: int, select: str) -> str:
    """The SELECT of one question, its rows as JSON, each beside the question's number."""
    text = "cast(to_json(asked) as varchar)" if dialect == "duckdb" else "to_json(struct(asked.*))"
    return f"select {number} as question, {text} as found from ({select}) as asked"


def _literal(value: Any) -> str:
    if value is None:
        return "null"
    return f"'{value}'" if isinstance(value, str) else repr(value)
