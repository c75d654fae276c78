"""Files in ``drops/<folder>`` of the lake, one an hour, each replaced as a whole when its hour's rows are others.

The content follows from the hour's rows alone, so that writing it again changes nothing: exactly once. What the sink
has is noted beside, in ``sinks/``, after the files.
"""

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import assert_never

from dagster_lake.commit import commit
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta.write import Pinned, pin
from dagster_lake.storage.duckdb.scan import literal
from dagster_lake.storage.guarded import etag, holds, put_file_guarded
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.declared_sinks import Format
from dagster_lake.streams.sinks.place import Place
from dagster_lake.streams.sinks.rows import reading, rows_sql
from dagster_lake.streams.sinks.sink import Position, Sink
from dagster_lake.streams.sinks.values import Spelling, as_csv, as_json, as_parquet


class FileSink:
    """One folder of files."""

    def __init__(self, lake: Lake, settings: Settings, sink: Sink) -> None:
        assert sink.format is not None
        self._settings, self._sink, self._format = settings, sink, sink.format
        self._table = sink.table(lake)
        self._folder = lake.drop(sink.name)
        self._place = Place(lake, sink)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Holds the folder against other processes, where it is on this machine."""
        with self._place.alone():
            yield

    def position(self) -> Position | None:
        """What the folder has."""
        return self._place.position()

    def held(self) -> Collection[str]:
        """The hours that it has files of."""
        ending = f".{self._format}"
        return [name.removesuffix(ending) for name in self._place.names(self._folder) if name.endswith(ending)]

    def put(self, hours: Collection[str], then: Position | None) -> int:
        """Replaces the files of these hours, and notes the position ``then``; gives the rows of those that changed."""
        rows = sum(self._put(hour) for hour in hours)
        if then is not None:
            self._place.move(then)
        return rows

    def _put(self, hour: str) -> int:
        file = self._folder / f"{hour}.{self._format}"
        seen = etag(file)  # before the rows: whoever writes newer ones meanwhile is not overwritten
        pinned = pin(self._table)
        if pinned is None:
            return 0
        with tempfile.TemporaryDirectory(prefix="lake-sink-") as folder:
            content = Path(folder) / "rows"
            rows = self._write(pinned, hour, content)
            if (not rows and seen is None and not self._place.is_there(file)) or holds(file, content):
                return 0
            with commit(f"sink.{self._sink.id}.file"):
                put_file_guarded(file, content, seen)
        return rows

    def _write(self, pinned: Pinned, hour: str, content: Path) -> int:
        spelling, options = _spelled(self._format)
        sql = rows_sql(pinned, hour, self._sink.key, spelling)
        with reading(self._settings) as con:
            # What it gives is the number of rows.
            [(rows,)] = con.execute(f"COPY ({sql}) TO {literal(str(content))} ({options})").fetchall()
        return int(rows)


def _spelled(format: Format) -> tuple[Spelling, str]:
    """How values are written, and DuckDB's options."""
    match format:
        case "jsonl":
            return as_json, "FORMAT json"
        case "csv":
            return as_csv, "FORMAT csv, HEADER true, NULLSTR ''"
        case "parquet":
            return as_parquet, "FORMAT parquet, COMPRESSION zstd"
        case _:
            assert_never(format)
