"""The lake's tables against those that are expected, in words."""

from collections import Counter
from collections.abc import Callable

from tests.simulation.expected import Tables
from tests.simulation.outside import Row

SHOWN = 4


def differences(read: Callable[[str], list[Row] | None], wanted: Tables) -> list[str]:
    """What distinguishes the tables, in a few lines each; no lines when nothing does."""
    told: list[str] = []
    for table, rows in sorted(wanted.items()):
        found = read(table)
        if found is None:
            told += [f"{table}: there is no such table; {len(rows)} rows expected"] if rows else []
            continue
        if table.startswith("quarantine/"):
            found = _counted(found)
        there, here = Counter(map(_line, rows)), Counter(_line(_like(row, rows[:1])) for row in found)
        extra, missing = list((here - there).elements()), list((there - here).elements())
        if extra or missing:
            told.append(f"{table}: {sum(here.values())} rows, {sum(there.values())} expected")
            told += [f"  has   {row}" for row in extra[:SHOWN]] + [f"  lacks {row}" for row in missing[:SHOWN]]
    return told


def _like(row: Row, wanted: list[Row]) -> Row:
    """The columns of ``row`` that are expected, and whether it is deleted, which the lake tells by a time."""
    if not wanted:
        return row
    row = {**row, "_is_deleted": row.get("_deleted_at") is not None}
    row["_newer_in_quarantine"] = bool(row.get("_newer_in_quarantine"))
    return {name: row.get(name) for name in wanted[0]}


def _counted(rows: list[Row]) -> list[Row]:
    partition = "_snapshot" if rows and "_snapshot" in rows[0] else "_lake_hour"
    counted = Counter((row[partition], tuple(row["_reasons"])) for row in rows)
    return [{partition: p, "_reasons": list(r), "rows": n} for (p, r), n in counted.items()]


def _line(row: Row) -> str:
    return ", ".join(f"{name}={_value(value)}" for name, value in sorted(row.items()))


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.12g}"
    return f"{value.normalize():f}" if hasattr(value, "normalize") else str(value)
