"""The worst alerts among some rows, for people to look at."""

from typing import Any

from dagster_lake.alerts.kinds import AlertKind
from dagster_lake.alerts.notices import Rows
from dagster_lake.engines.duckdb_connection import connection
from dagster_lake.engines.scan import quoted
from dagster_lake.settings import Settings


def worst_of(settings: Settings, kind: AlertKind, rows: Rows, *, most: int) -> tuple[int, list[tuple[Any, ...]]]:
    """How many alerts the rows are, and the worst of them: the columns ``worst_columns`` of each."""
    columns = ", ".join(quoted(name) for name in worst_columns(kind))
    with connection(settings) as con:
        rows.show(con)
        number = con.execute("SELECT count(*) FROM rows").fetchall()[0][0]
        worst = con.execute(
            f"SELECT {columns} FROM rows ORDER BY {quoted(kind.worst)} DESC NULLS LAST, _time LIMIT $1", [most]
        ).fetchall()
    return number, worst


def worst_columns(kind: AlertKind) -> tuple[str, ...]:
    """``_time``, the column by which the worst comes first, and those that may be shown; each once."""
    return tuple(dict.fromkeys(["_time", kind.worst, *kind.shows]))
