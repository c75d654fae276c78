"""The product broken on purpose, in one place each: a simulation that does not notice these proves nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from dagster_lake.compile import silver
from dagster_lake.compile.newest_changes import NewestChanges
from dagster_lake.dbt_runner import recompute
from dagster_lake.engines.duckdb.engine import DuckDBEngine
from dagster_lake.landing.source_look import SourceLook
from dagster_lake.storage import unfinished

Break = Callable[[], Any]


def look_back_of_23_hours() -> Any:
    """An event that comes again 24 hours later counts twice."""
    return patch.object(silver, "LOOK_BACK_HOURS", 23)


def orders_that_move_stay_counted() -> Any:
    """Gold does not compute the hours again that an order was counted in before."""

    return patch.object(recompute, "recomputed_hours", lambda _tables, hours, _moving: hours)


def later_hours_stay_as_they_are() -> Any:
    """Silver does not make later hours again when an hour before them changes."""
    return patch.object(DuckDBEngine, "_stale_later_hours", lambda *_: [])


def older_versions_win() -> Any:
    """Of two versions of a row in the hours at hand, the latest table takes the one written first."""
    ranked = NewestChanges._ranked

    def oldest_first(self: NewestChanges, select: str, name: str, order: list[str]) -> str:
        return ranked(self, select, name, order).replace(" DESC", "")

    return patch.object(NewestChanges, "_ranked", oldest_first)


def deleted_rows_stay() -> Any:
    """The reconciliation finds the rows that the source has deleted, and does not note them."""
    return patch.object(SourceLook, "note_gone", lambda *_: None)


def failed_hours_are_forgotten() -> Any:
    """Nobody notes that an hour is not finished."""
    return patch.object(unfinished, "begin", lambda *_: None)


_BREAKS = (
    look_back_of_23_hours,
    later_hours_stay_as_they_are,
    orders_that_move_stay_counted,
    older_versions_win,
    deleted_rows_stay,
    failed_hours_are_forgotten,
)
BROKEN: dict[str, Break] = {each.__name__: each for each in _BREAKS}


@contextmanager
def broken(name: str | None) -> Iterator[None]:
    """Breaks the product in the named way, if any, until the block ends."""
    if name is None:
        yield
        return
    with BROKEN[name]():
        yield
