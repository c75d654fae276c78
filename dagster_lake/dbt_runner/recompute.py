"""Which hours a run of dbt recomputes, found without reading the hours before."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb

from dagster_lake.dbt_runner.stream_hours import arrival_rates, event_hours, output_hours, read_hours
from dagster_lake.storage.delta.write import Pinned
from dagster_lake.storage.duckdb.files import reading
from dagster_lake.storage.duckdb.scan import files_holding, files_sql, quoted, scan_sql

EVERYTHING = "all"
"""What the macros are told where all hours are computed: a value that is missing never means that."""


@dataclass(frozen=True)
class Moving:
    """A table of silver in which a row is of the hour of its newest version, so that it leaves the hour before.

    ``changes`` is the table of all its versions and ``key`` names a row. ``belonging`` are the tables whose rows belong
    to its rows and are counted with them: each with the column that names the key, which is then one column.
    """

    changes: str
    key: tuple[str, ...]
    belonging: Mapping[str, str]


def recomputed_hours(silver: Mapping[str, Pinned], hours: list[str], moving: Iterable[Moving]) -> list[str]:
    """The run's ``hours``, and every hour in which a row counted before that was written in them.

    ``silver`` are the pinned tables by name; one may be missing. Only files that may hold one of these rows are opened,
    so that the cost follows the run and not the history.
    """
    earlier: set[str] = set()
    with reading(next((table.uri for table in silver.values()), None)) as con:
        for each in moving:
            if each.changes in silver:
                earlier |= _hours_before(con, silver, hours, each)
    return sorted({*hours, *earlier})


def _hours_before(
    con: duckdb.DuckDBPyConnection, silver: Mapping[str, Pinned], hours: list[str], moving: Moving
) -> set[str]:
    """The hours of every version of the rows that were written in ``hours``, themselves or by what belongs to them."""
    changes, key = silver[moving.changes], ", ".join(quoted(column) for column in moving.key)
    written = [f"SELECT {key} FROM ({scan_sql(changes, hours)})"]
    for table, column in moving.belonging.items():
        if table in silver:
            written.append(f"SELECT {quoted(column)} FROM ({scan_sql(silver[table], hours)})")
    touched = con.sql(" UNION ".join(written)).to_arrow_table()
    if not touched.num_rows:
        return set()
    con.register("_touched", touched)
    versions = files_sql(changes, files_holding(changes, moving.key[0], touched.column(0).combine_chunks()))
    rows = con.execute(f"SELECT DISTINCT _lake_hour FROM ({versions}) WHERE ({key}) IN (SELECT ({key}) FROM _touched)")
    return {hour for (hour,) in rows.fetchall()}


def stream_recomputation(
    silver: Mapping[str, Pinned],
    hours: list[str] | None,
    look_backs: Collection[int],
    landed_after: Callable[[str], str | None],
) -> dict[str, Any]:
    """For models over streams: what their macros are told.

    ``hours`` are the run's; None computes everything, which the macros are told by the word ``all``. ``look_backs``
    are those of the models, in hours, and ``landed_after`` gives the last hour that was landed after the hour it is
    given, if there is one: silver does not know of hours without events. The macros are told, by look-back,
    ``stream_hours`` to replace and ``stream_reads`` of silver; ``newest_hour``, which no result is later than;
    ``reference_snapshots``, the snapshots there are of each data set; and ``arrival_rates``, the events a second of
    each.
    """
    events = event_hours(silver)
    newest = max([*events, *(hours or [])], default=None)
    newest = newest and (landed_after(newest) or newest)
    snapshots: dict[str, list[str]] = {}
    for name, table in silver.items():  # the second of these has the empty ones, too
        data_set = name.removesuffix("_snapshots").removesuffix("_accepted")
        if data_set != name:
            snapshots[data_set] = sorted({*snapshots.get(data_set, []), *table.partitions()})
    if hours is None:
        return {
            "stream_hours": EVERYTHING,
            "stream_reads": EVERYTHING,
            "newest_hour": newest,
            "reference_snapshots": snapshots,
            "arrival_rates": arrival_rates(silver, events),
        }
    outputs = {str(look_back): output_hours(hours, events, look_back, newest or "") for look_back in look_backs}
    reads = {str(look_back): read_hours(outputs[str(look_back)], look_back) for look_back in look_backs}
    read = sorted({hour for hours in reads.values() for hour in hours})
    return {
        "stream_hours": outputs,
        "stream_reads": reads,
        "newest_hour": newest,
        "reference_snapshots": snapshots,
        "arrival_rates": arrival_rates(silver, read),
    }
