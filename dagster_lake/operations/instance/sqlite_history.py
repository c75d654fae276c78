"""Dagster's local history of runs, in SQLite, without waiting for the disk at every event.

A day of hourly partitions in one run is more than a thousand events, and stock Dagster opens, commits to and closes
the database several times for each. On a busy disk that waiting took longer than the work itself.
"""

import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dagster import Field, StringSource
from dagster._config.config_schema import UserConfigSchema
from dagster._core.storage.sqlite_storage import DagsterSqliteStorage
from dagster._serdes import ConfigurableClassData
from filelock import FileLock
from sqlalchemy import Engine, event

from dagster_lake.errors import LakeError
from dagster_lake.operations.instance.place import runs_of
from dagster_lake.settings.lake import Settings
from dagster_lake.sources.database.sqlite_damage import naming

_SHARED = ("runs", "index")
_histories: list[Path] = []
"""The folders of those that are open, each as often as it is."""


# Once and for good: a listener that came and went with each history would break connections that other threads make.
@event.listens_for(Engine, "connect")
def _without_sync(connection: Any, _record: object) -> None:
    if not isinstance(connection, sqlite3.Connection):
        return
    file = _file_of(connection)
    if any(file.is_relative_to(folder) for folder in tuple(_histories)):
        mode = "NORMAL" if file.stem in _SHARED else "OFF"
        connection.execute(f"PRAGMA synchronous = {mode}")


class HistoryDamaged(LakeError):
    """Dagster's history of a lake cannot be read; the message names it and the remedy."""


class LocalHistory(DagsterSqliteStorage):
    """Stock SQLite storage below ``base_dir``, by default with its lake, without a sync of the disk at every event.

    A power cut can cost the last events, and the page of the run that was at work; never the list of runs, nor what a
    run wrote to the lake. One connection stays open to each database that all runs share, because closing the last
    one makes SQLite copy its log back each time. That of a single run is not kept open: the UI watches its file.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._folder = folder = Path(base_dir).resolve()
        _histories.append(folder)
        super().__init__(base_dir, inst_data)
        self._open = [_opened(file) for file in (folder / "history").glob("**/*.db") if file.stem in _SHARED]

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """``base_dir`` keeps one history for all lakes, in that folder."""
        return {"base_dir": Field(StringSource, is_required=False)}

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, str]
    ) -> "LocalHistory":
        """The storage that dagster.yaml asks for."""
        folder = config_value.get("base_dir") or str(runs_of(Settings()))
        to_do = f"move {folder} away: the tables stay, and Dagster forgets its runs and which schedules were on"
        Path(folder).parent.mkdir(parents=True, exist_ok=True)
        # Two processes that make a history at once would leave one that nobody can open.
        with naming(Path(folder), HistoryDamaged, to_do), FileLock(f"{folder}.lock"):
            return cls.from_local(folder, inst_data=inst_data)

    def dispose(self) -> None:
        """Closes what was kept open."""
        for connection in self._open:
            connection.close()
        _histories.remove(self._folder)
        super().dispose()


def _opened(file: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(file, check_same_thread=False)
    connection.execute("SELECT count(*) FROM sqlite_master").fetchall()  # opens the file, which connect() does not
    return connection


def _file_of(connection: sqlite3.Connection) -> Path:
    return Path(connection.execute("PRAGMA database_list").fetchall()[0][2])
