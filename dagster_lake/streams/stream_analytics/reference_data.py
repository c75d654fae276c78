"""Snapshots as reference data of Stream Analytics: files that it joins events with.

Stream Analytics has no masking key, so it does not get the snapshots as they landed but what silver holds of them, and
of that the columns that a stream delivers. The path says from when on a file counts, to the minute.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from upath import UPath

from dagster_lake.commit import commit
from dagster_lake.contract.model import Contract
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.publish import publish_bytes
from dagster_lake.storage.tables import silver_table
from dagster_lake.streams.declarations import StreamDeclaration

FOLDER = "stream_analytics/reference"


@dataclass(frozen=True)
class Published:
    """A file of reference data: which snapshot it holds, and how many rows."""

    file: UPath
    snapshot: str
    rows: int


def columns_for(contract: Contract, streams: Iterable[StreamDeclaration]) -> list[str]:
    """The columns of a data set of snapshots that its streams need: its key, and what they deliver of it."""
    delivered = {column for stream in streams if contract.name in stream.reference for column in stream.delivered}
    return [prop.name for prop in contract.properties if prop.key or prop.name in delivered]


def publish_reference(lake: Lake, settings: Settings, contract: Contract, columns: Collection[str]) -> Published | None:
    """Writes the newest snapshot in silver as line-separated JSON; None when there is none.

    The file is ``<lake>/stream_analytics/reference/<name>/<date>/<hour>-<minute>.json``, by the snapshot's instant. It
    is held in memory once when the lake is remote.
    """
    from dagster_lake.storage.duckdb.connection import connection
    from dagster_lake.storage.duckdb.scan import literal, quoted, scan_sql

    pinned = pin(silver_table(lake, contract).uri)
    snapshot = max(pinned.partitions(), default=None) if pinned else None
    if pinned is None or snapshot is None:
        return None
    file = lake.root / FOLDER / contract.name / f"{datetime.strptime(snapshot, '%Y-%m-%dT%H%M%SZ'):%Y-%m-%d/%H-%M}.json"
    selected = ", ".join(map(quoted, columns))
    with connection(settings) as con, TemporaryDirectory(prefix="lake-reference-") as scratch:
        made = Path(scratch) / "rows.json"
        # In the order of the key, so that the same snapshot gives the same bytes.
        query = f"SELECT {selected} FROM ({scan_sql(pinned, [snapshot])}) ORDER BY ALL"
        con.execute(f"COPY ({query}) TO {literal(str(made))} (FORMAT json)")
        with commit(f"reference.{contract.name}"):
            publish_bytes(file, made.read_bytes())
    return Published(file, snapshot, pinned.rows([snapshot]))
