"""Fields may have any name that a contract takes, also one of our SQL or of an engine.

On Spark, where every column costs time, test_changed_contracts.py does it with fewer."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import dagster_lake
from dagster_lake.contract.model import Property
from tests.engines.data_sets import WRITTEN, DataSet, things

KEY = Property("rival", "string", "The key.", required=True, key=True)
"""Once the name of a column of our own, under which every copy of a row was lost."""
SQL = ("compile", "engines", "landing", "storage", "live")
"""Where the SQL is that contracts' fields stand in."""
ADDED = """
    filename file_row_number file_index rowid label modified place row_index misfits größe straße žluť ı
    body document line marked field part json block id key row current_date session_user value values interval timestamp
    order group select from where union all case when null true in like between cast array struct map lambda
    columns count string bigint default using
"""


@cache
def words() -> list[str]:
    """What our SQL and the engines know by a name that a field may have."""
    found = set(ADDED.split())
    for folder in SQL:
        for file in sorted((Path(dagster_lake.__file__).parent / folder).glob("*.py")):
            found |= set(_aliases(file.read_text(encoding="utf-8")))
    return sorted(found - {KEY.name, WRITTEN.name})


def _aliases(source: str) -> set[str]:
    """The words behind AS, FROM, JOIN and the like in the texts of a module."""
    texts = [
        node.value
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    named = re.compile(r"\b(?:AS|VIEW|TABLE|lambda)\s+\(?([a-z][a-z0-9_]*)")
    return {word for text in texts for word in named.findall(text)}


def made(root: Path, kind: str, names: list[str]) -> DataSet:
    """Two loads of the data set: new rows, copies of them, and one that says something else."""
    fields = [Property(name, "string", "A field.") for name in names]
    data_set = DataSet(root, things(kind, KEY, *fields), "duckdb")

    def row(key: str, said: str) -> dict[str, str]:
        return {"rival": key, **{name: f"{said} {name}" for name in names}} | (
            {"written": "2026-01-05T12:30:00Z"} if kind == "database" else {}
        )

    data_set.comes(0, [row("a", "one"), row("b", "one"), row("a", "one"), row("c", "two"), row("c", "one")])
    return data_set


SILVER = {"events": "silver/things", "snapshots": "silver/things_snapshots", "database": "silver/things_changes"}


@pytest.mark.parametrize("kind", SILVER)
def test_fields_may_be_named_as_anything_in_our_sql_or_in_duckdb(kind: str, tmp_path: Path) -> None:
    data_set = made(tmp_path, kind, words())

    rows = data_set.rows(SILVER[kind])
    assert sorted(row["rival"] for row in rows) == ["a", "b", "c"], "one copy of each key counts"
    for row in rows:
        # The earliest event wins, the last line, and the last row by its columns.
        said = "two" if row["rival"] == "c" and kind != "snapshots" else "one"
        assert {name: row[name] for name in words()} == {name: f"{said} {name}" for name in words()}
    assert data_set.check() == {"keys_unique": {}, "rules_hold": {}}


def test_no_name_of_a_column_of_our_own_is_one_that_a_field_may_have() -> None:
    own = re.compile(r"\bAS ([a-z][a-z0-9_]*)\b(?!\()|\blambda ([a-z][a-z0-9_]*)|\b([a-z][a-z0-9_]*) -> ")
    of_sources = {"body", "enqueued_time", "partition", "sequence_number", "partition_key", "hour"}  # raw's own columns
    found = {}
    for folder in ("compile", "engines", "live"):
        for file in sorted((Path(dagster_lake.__file__).parent / folder).glob("*.py")):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    names = {name for groups in own.findall(node.value) for name in groups if name}
                    if others := names - of_sources:
                        found[f"{file.name}:{node.lineno}"] = others
    assert found == {}
