"""A contract that gains, loses and reorders fields under a lake that has rows: the same tables on every engine.

The fields bear the names that Spark's own readers, our SQL and both engines have for something else.
"""

from pathlib import Path
from typing import Any

import pytest

from dagster_lake.contract.model import Property
from tests.engines.data_sets import DataSet, things

KEY = Property("rival", "integer", "The key.", required=True, key=True)
NUMBER = Property("n", "integer", "A number.", minimum=0)
FIELDS = {  # some of the names for each kind: every column costs Spark time
    "events": "line größe",
    "snapshots": "value block row",
    "database": "label place row_index filename",
}


def rows(kind: str, said: str, *keys: int) -> list[dict[str, Any]]:
    """A row of each key."""
    fields = {name: f"{said} {name}" for name in [*FIELDS[kind].split(), "added"]}
    return [{"rival": key, "n": key, **fields} for key in keys]


def begun(root: Path, kind: str) -> DataSet:
    """A load under the first contract, made by DuckDB: what an engine writes, the other one goes on with."""
    fields = [Property(name, "string", "A field.") for name in FIELDS[kind].split()]
    data_set = DataSet(root, things(kind, KEY, *fields, NUMBER), "duckdb")
    data_set.comes(0, rows(kind, "one", 1, 2, 3, 4, 2, -1))
    return data_set


def go_on(data_set: DataSet, kind: str) -> None:
    """A load under another contract: the first name is gone, one is new, and all change places."""
    kept = [Property(name, "string", "A field.") for name in FIELDS[kind].split()[1:]]
    gained = Property("added", "string", "A new field.")
    data_set.under(things(kind, gained, NUMBER, *reversed(kept), KEY))
    data_set.comes(1, rows(kind, "two", 2, 3, 4, 5, 2), again=[0] if kind == "snapshots" else [])


@pytest.mark.parametrize("kind", FIELDS)
def test_a_changed_contract_gives_the_same_tables_on_every_engine(kind: str, tmp_path: Path) -> None:
    gone, *kept = FIELDS[kind].split()
    embedded = begun(tmp_path / "duckdb", kind)
    other = embedded.copied(tmp_path / "spark", "spark")

    go_on(embedded, kind)
    go_on(other, kind)

    assert other.differences(embedded) == []
    latest = {row["rival"]: row for row in embedded.rows("silver/things")}
    assert (latest[5]["added"], latest[5][gone], latest[5][kept[-1]]) == ("two added", None, f"two {kept[-1]}")
    assert latest[1][kept[-1]] == f"one {kept[-1]}"
    if kind != "events":
        assert (latest[2]["added"], latest[2][gone]) == ("two added", None)
