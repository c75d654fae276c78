"""Every way in which two writers of the lake can meet at one table, wherever the table is."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pyarrow as pa

from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.delta.spec import TableSpec

SCHEMA = pa.schema([pa.field("id", pa.int64()), pa.field("by", pa.string()), pa.field("_lake_hour", pa.string())])
HOUR, OTHER = "2026-01-05T12", "2026-01-05T13"
Meanwhile = Callable[[], None] | None
"""What happens while a writer computes."""
Write = Callable[[TableSpec, Meanwhile], object]
Prepare = Callable[[TableSpec], None]


@dataclass(frozen=True)
class Pair:
    """Two writes; the ``other`` happens in the middle of the ``one``."""

    name: str
    one: Write
    other: Write

    def __str__(self) -> str:
        return self.name


def raced(spec: TableSpec, pair: Pair) -> None:
    """The other write happens while the first one computes, the first time that it does."""
    left = [lambda: pair.other(spec, None)]
    pair.one(spec, lambda: left.pop()() if left else None)  # type: ignore[func-returns-value]


def after_both(spec: TableSpec, pair: Pair) -> TableSpec:
    """The table after the other write, and then the first."""
    pair.other(spec, None)
    pair.one(spec, None)
    return spec


def content(spec: TableSpec) -> list[dict[str, object]]:
    """Every row, in a fixed order."""
    pinned = delta.pin(spec.uri)
    assert pinned is not None
    return sorted(pinned.table.to_pyarrow_table().to_pylist(), key=repr)


def absent(spec: TableSpec) -> None:
    """There is no table."""


def empty(spec: TableSpec) -> None:
    """There is one without rows."""
    delta.overwrite(spec, lambda: SCHEMA.empty_table().to_reader(), {})


def filled(spec: TableSpec) -> None:
    """There is one with rows of two hours."""
    earlier = pa.table({"id": [1, 7], "by": ["before"] * 2, "_lake_hour": [HOUR, OTHER]}, SCHEMA)
    delta.overwrite(spec, earlier.to_reader, {})


STATES: list[Prepare] = [absent, empty, filled]


def _rows(by: str, hour: str, meanwhile: Meanwhile, first: int = 1) -> pa.RecordBatchReader:
    if meanwhile:
        meanwhile()
    return pa.table({"id": [first, first + 1], "by": [by] * 2, "_lake_hour": [hour] * 2}, SCHEMA).to_reader()


def _overwrite(by: str) -> Write:
    return lambda spec, meanwhile: delta.overwrite(spec, lambda: _rows(by, HOUR, meanwhile), {})


def _replace(by: str, hour: str = HOUR) -> Write:
    return lambda spec, meanwhile: delta.replace_partitions(spec, [hour], lambda: _rows(by, hour, meanwhile), {})


def _merge(by: str, first: int = 1) -> Write:
    def write(spec: TableSpec, meanwhile: Meanwhile) -> object:
        return delta.merge(spec, lambda target: delta.Merge(_rows(by, HOUR, meanwhile, first), ("id",)), {})

    return write


def _delete(spec: TableSpec, meanwhile: Meanwhile) -> object:
    """A merge by which the first row goes."""

    def compute(target: delta.Pinned) -> delta.Merge:
        rows = _rows("gone", HOUR, meanwhile).read_all().slice(0, 1)
        return delta.Merge(rows.append_column("_gone", pa.array([True])).to_reader(), ("id",), gone="_gone")

    return delta.merge(spec, compute, {})


def _append(by: str) -> Write:
    """As the notices of alerts do: what the table has already is left out."""

    def write(spec: TableSpec, meanwhile: Meanwhile) -> object:
        def missing() -> pa.RecordBatchReader:
            offered = _rows(by, HOUR, meanwhile)
            pinned = delta.pin(spec.uri)
            return offered if pinned is None or pinned.rows([HOUR]) == 0 else SCHEMA.empty_table().to_reader()

        return delta.append(spec, missing, {}, turn="test")

    return write


def _append_of_another_turn(spec: TableSpec, meanwhile: Meanwhile) -> object:
    return delta.append(spec, lambda: _rows("other", OTHER, meanwhile, 30), {}, turn="another")


def _widen(column: str) -> Write:
    """A contract that has one more column."""

    def write(spec: TableSpec, meanwhile: Meanwhile) -> object:
        wider = replace(spec, schema=spec.schema.append(pa.field(column, pa.string())))
        return delta.replace_partitions(wider, [HOUR], lambda: _rows(column, HOUR, meanwhile), {})

    return write


def _note(spec: TableSpec, meanwhile: Meanwhile) -> object:
    if meanwhile:
        meanwhile()
    return delta.note_contract(spec, "fingerprint")


PAIRS = [
    Pair("overwrite twice", _overwrite("one"), _overwrite("other")),
    Pair("overwrite and append", _overwrite("one"), _append("other")),
    Pair("replace an hour twice", _replace("one"), _replace("other")),
    Pair("replace two hours", _replace("one"), _replace("other", OTHER)),
    Pair("replace and overwrite", _replace("one"), _overwrite("other")),
    Pair("overwrite and replace", _overwrite("one"), _replace("other", OTHER)),
    Pair("merge the same keys", _merge("one"), _merge("other")),
    Pair("merge other keys", _merge("one"), _merge("other", 20)),
    Pair("delete and merge", _delete, _merge("other")),
    Pair("merge and delete", _merge("one"), _delete),
    Pair("merge and replace", _merge("one"), _replace("other")),
    Pair("replace and merge", _replace("one"), _merge("other")),
    Pair("append twice", _append("one"), _append("other")),
    Pair("append in two turns", _append("one"), _append_of_another_turn),
    Pair("append and overwrite", _append("one"), _overwrite("other")),
    Pair("widen twice", _widen("more"), _widen("other")),
    Pair("replace and note the contract", _replace("one"), _note),
    Pair("note the contract and replace", _note, _replace("other")),
]
