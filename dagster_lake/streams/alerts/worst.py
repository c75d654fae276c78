"""The worst alerts among some rows, for people to look at."""

from dataclasses import dataclass, field
from typing import Any

from dagster_lake.settings.lake import Settings
from dagster_lake.storage.duckdb.connection import connection
from dagster_lake.storage.duckdb.scan import quoted
from dagster_lake.streams.alerts.kinds import AlertKind
from dagster_lake.streams.alerts.notices import Rows


@dataclass(frozen=True)
class Alerts:
    """How many alerts each lake hour has, and the worst of each, with their hour: all together the worst first."""

    numbers: dict[str, int] = field(default_factory=dict)
    worst: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)


def alerts_of(settings: Settings, kind: AlertKind, rows: Rows, *, most: int) -> Alerts:
    """The alerts that the rows are; of the worst the columns ``worst_columns``, ``most`` of an hour."""
    columns = ", ".join(quoted(name) for name in worst_columns(kind))
    first = f"{quoted(kind.worst)} DESC NULLS LAST, _time"
    with connection(settings) as con:
        rows.show(con)
        numbers = con.execute("SELECT _lake_hour, count(*) FROM rows GROUP BY _lake_hour").fetchall()
        worst = con.execute(
            f"SELECT _lake_hour, {columns} FROM rows "
            f"QUALIFY row_number() OVER (PARTITION BY _lake_hour ORDER BY {first}) <= $1 ORDER BY {first}",
            [most],
        ).fetchall()
    return Alerts(dict(numbers), [(row[0], row[1:]) for row in worst])


def worst_columns(kind: AlertKind) -> tuple[str, ...]:
    """``_time``, the column by which the worst comes first, and those that may be shown; each once."""
    return tuple(dict.fromkeys(["_time", kind.worst, *kind.shows]))
