"""The table ``gold/lake_status``: one row for each table of the lake, for people who do not open Dagster."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

import dagster as dg
import pyarrow as pa

from dagster_lake.operations.health.history import AssetHistory
from dagster_lake.operations.health.tables import TableHealth
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.delta.write import Pinned
from dagster_lake.storage.paths import Lake

LAYER, TABLE = "gold", "lake_status"
DESCRIPTION = "How the lake is: one row for each table and raw data set, as of observed_at. Written anew each time."

_UTC = pa.timestamp("us", tz="UTC")
_FIELDS = {
    "table_name": (pa.string(), "Layer and name, as silver.users."),
    "layer": (pa.string(), "raw, bronze, silver, streams, gold or quarantine."),
    "newest": (pa.string(), "The newest lake hour or snapshot that holds rows; null where rows are of no such part."),
    "age_minutes": (
        pa.float64(),
        "Minutes since the end of the newest lake hour, 0 while it is open; of snapshots, since their delivery; "
        "without either, since changed_at.",
    ),
    "rows": (pa.int64(), "Rows of the table; null of raw, as are bytes, files and delta_version."),
    "bytes": (pa.int64(), "Bytes of the files that hold them."),
    "files": (pa.int64(), "How many files that is."),
    "delta_version": (pa.int64(), "The table's version in Delta."),
    "changed_at": (_UTC, "When it was last written."),
    "made_at": (_UTC, "When Dagster last materialised it; null when its history has none."),
    "last_run": (pa.string(), "The id of the run that did."),
    "freshness": (
        pa.string(),
        "Of silver, fresh or late: how old the newest data is, by the contract's latency. Else none.",
    ),
    "failed_checks": (
        pa.string(),
        "The checks that did not pass when last evaluated, with commas; else empty.",
    ),
    "quarantine_share": (
        pa.float64(),
        "The part of the newest rows that silver kept out, 0 to 1.",
    ),
    "problem": (pa.string(), "Why the table cannot be read, with all else of it null; null of one that can."),
    "observed_at": (_UTC, "When all this was looked at."),
}
_ALWAYS = ("table_name", "layer", "freshness", "failed_checks", "observed_at")

COLUMNS = {name: description for name, (_, description) in _FIELDS.items()}
SCHEMA = pa.schema([pa.field(name, kind, nullable=name not in _ALWAYS) for name, (kind, _) in _FIELDS.items()])
_NO_HISTORY = AssetHistory(None, None, ())

Freshness = Literal["fresh", "late"]


def status_table(lake: Lake) -> TableSpec:
    """Where the table is and what it looks like."""
    return TableSpec(lake.table(LAYER, TABLE), SCHEMA, description=DESCRIPTION)


def status_rows(
    tables: Iterable[TableHealth],
    histories: Mapping[dg.AssetKey, AssetHistory],
    freshness: Mapping[str, Freshness],
    now: datetime,
) -> list[dict[str, Any]]:
    """The rows, by layer and name as they come; ``histories`` may lack tables that Dagster knows nothing of, and
    ``freshness``, by table, those that nobody made a promise of."""
    found = []
    for table in tables:
        age = table.age(now)
        history = histories.get(dg.AssetKey([table.layer, table.plain_name]), _NO_HISTORY)
        found.append(
            {
                "table_name": table.name,
                "layer": table.layer,
                "newest": table.newest,
                "age_minutes": None if age is None else round(age / timedelta(minutes=1), 1),
                "rows": table.rows,
                "bytes": table.bytes,
                "files": table.files,
                "delta_version": table.version,
                "changed_at": table.changed_at,
                "made_at": history.made_at,
                "last_run": history.run_id,
                "freshness": freshness.get(table.name, "none"),
                "failed_checks": ", ".join(history.failed_checks),
                "quarantine_share": table.quarantine_share,
                "problem": table.problem,
                "observed_at": now,
            }
        )
    return found


def publish_status(lake: Lake, rows: list[dict[str, Any]]) -> Pinned:
    """Writes the table anew and returns it. Raises DeltaWriteError after losing to other writers too many times."""
    content = pa.Table.from_pylist(rows, SCHEMA)
    return delta.overwrite(status_table(lake), content.to_reader, {})
