"""Which hours a run of dbt recomputes, and what of silver that takes, found without reading the hours before."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import pyarrow as pa

from dagster_lake.engines.scan import files_holding, files_sql, scan_sql
from dagster_lake.engines.stream_hours import arrival_rates, event_hours, output_hours, read_hours
from dagster_lake.storage.delta import Pinned
from dagster_lake.storage.duckdb_files import reading

EVERYTHING = "all"
"""What the macros are told where all hours are computed: a value that is missing never means that."""


@dataclass(frozen=True)
class Recomputation:
    """The hours of silver to read, and the orders that count in them, where known."""

    hours: list[str]
    orders: pa.Array | None


def recomputation(silver: Mapping[str, Pinned], hours: list[str]) -> Recomputation:
    """For gold: the run's ``hours``, and every hour that held a version of an order written in them.

    An order counts in the hour of its newest version, so a new version (or a new version of one of its items) takes it
    out of the hour where it counted before. ``silver`` are the pinned tables by name; one may be missing. Only files
    that may hold one of these orders are opened, so that the cost follows the run and not the history.
    """
    with reading(next((table.uri for table in silver.values()), None)) as con:
        written = [
            f"SELECT order_id FROM ({scan_sql(silver[table], hours)})"
            for table in ("orders_changes", "order_items_changes")
            if table in silver
        ]
        touched = _orders(con, " UNION ".join(written))
        earlier: set[str] = set()
        if "orders_changes" in silver and len(touched):
            changes = silver["orders_changes"]
            con.register("touched", pa.table({"order_id": touched}))
            versions = files_sql(changes, files_holding(changes, "order_id", touched))
            rows = con.execute(
                f"SELECT DISTINCT _lake_hour FROM ({versions}) WHERE order_id IN (SELECT order_id FROM touched)"
            )
            earlier = {hour for (hour,) in rows.fetchall()}
        recomputed = sorted({*hours, *earlier})
        newest = f"SELECT order_id FROM ({scan_sql(silver['orders'], recomputed)})" if "orders" in silver else ""
        return Recomputation(recomputed, _orders(con, newest))


def stream_recomputation(
    silver: Mapping[str, Pinned], hours: list[str] | None, look_backs: Collection[int]
) -> tuple[dict[str, Any], Recomputation | None]:
    """For models over streams: what their macros are told, and the hours of silver they read, all if None.

    ``hours`` are the run's; None computes everything, which the macros are told by the word ``all``. ``look_backs``
    are those of the models, in hours. The macros are told, by look-back, ``stream_hours`` to replace and
    ``stream_reads`` of silver; ``newest_hour``, which no result is later than; ``reference_snapshots``, the
    snapshots there are of each data set; and ``arrival_rates``, the events a second of each.
    """
    landed = event_hours(silver)
    snapshots: dict[str, list[str]] = {}
    for name, table in silver.items():  # the second of these has the empty ones, too
        data_set = name.removesuffix("_snapshots").removesuffix("_accepted")
        if data_set != name:
            snapshots[data_set] = sorted({*snapshots.get(data_set, []), *table.partitions()})
    if hours is None:
        return {
            "stream_hours": EVERYTHING,
            "stream_reads": EVERYTHING,
            "newest_hour": max(landed, default=None),
            "reference_snapshots": snapshots,
            "arrival_rates": arrival_rates(silver, landed),
        }, None
    outputs = {str(look_back): output_hours(hours, landed, look_back) for look_back in look_backs}
    reads = {str(look_back): read_hours(outputs[str(look_back)], look_back) for look_back in look_backs}
    read = sorted({hour for hours in reads.values() for hour in hours})
    variables = {
        "stream_hours": outputs,
        "stream_reads": reads,
        "newest_hour": max({*landed, *hours}),
        "reference_snapshots": snapshots,
        "arrival_rates": arrival_rates(silver, read),
    }
    return variables, Recomputation(read, pa.array([], pa.int64()))


def _orders(con: duckdb.DuckDBPyConnection, select: str) -> pa.Array:
    if not select:
        return pa.array([], pa.int64())
    ids = con.sql(f"SELECT DISTINCT order_id FROM ({select})").to_arrow_table()["order_id"]
    return ids.combine_chunks()
