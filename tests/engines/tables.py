"""Two Delta tables held against each other exactly: names, types, nullability, partitions, and every value."""

import math
from pathlib import Path
from typing import Any

from deltalake import DeltaTable

Row = dict[str, Any]


def differences(found: Path, wanted: Path, *, float_tolerance: float = 0.0) -> list[str]:
    """What distinguishes two tables, in a few sentences; empty when nothing does.

    ``float_tolerance`` is relative, for columns of floating-point numbers only.
    """
    here, there = DeltaTable(str(found)), DeltaTable(str(wanted))
    told = []
    for what, mine, other in (
        ("columns", _columns(here), _columns(there)),
        ("partition columns", here.metadata().partition_columns, there.metadata().partition_columns),
        ("columns with statistics", _statistics(here), _statistics(there)),
    ):
        if mine != other:
            told.append(f"{what}: {mine} instead of {other}")
    rows, wanted_rows = rows_of(here), rows_of(there)
    if len(rows) != len(wanted_rows):
        told.append(f"{len(rows)} rows instead of {len(wanted_rows)}")
    pairs = [(r, w) for r, w in zip(rows, wanted_rows, strict=False) if not _same(r, w, float_tolerance)]
    told += [f"{_differing(row, wanted_row)}" for row, wanted_row in pairs[:3]]
    return told


def rows_of(table: DeltaTable) -> list[Row]:
    """Every row, columns by name, in an order that does not depend on how the table was written."""
    names = sorted(field.name for field in table.schema().fields)
    return sorted(table.to_pyarrow_table().select(names).to_pylist(), key=_order)


def _columns(table: DeltaTable) -> list[tuple[str, str, bool]]:
    return [(field.name, str(field.type), field.nullable) for field in table.schema().fields]


def _statistics(table: DeltaTable) -> set[str]:
    actions = table.get_add_actions(flatten=True)
    return {name.removeprefix("min.") for name in actions.schema.names if name.startswith("min.")}


def _order(row: Row) -> list[str]:
    # Floats may differ in their last digits: they must not decide the order.
    return [repr(value) for value in row.values() if not isinstance(value, float)]


def _same(row: Row, wanted: Row, tolerance: float) -> bool:
    return row.keys() == wanted.keys() and all(_equal(row[name], wanted[name], tolerance) for name in row)


def _equal(value: Any, wanted: Any, tolerance: float) -> bool:
    if isinstance(value, float) and isinstance(wanted, float):
        return math.isclose(value, wanted, rel_tol=tolerance) or (math.isnan(value) and math.isnan(wanted))
    return type(value) is type(wanted) and value == wanted


def _differing(row: Row, wanted: Row) -> dict[str, tuple[Any, Any]]:
    return {name: (row.get(name), wanted.get(name)) for name in {*row, *wanted} if row.get(name) != wanted.get(name)}
