"""One dbt run on Spark or on a SQL warehouse: what its macros are told of the lake, and what they tell us.

There dbt writes by SQL alone (``dbt/macros/lake/materializations/store_by_sql.sql``). The versions to read, and what
each reader had read, come from the logs, which this process reads itself, as it does for DuckDB.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from dagster_lake.commit import commit
from dagster_lake.dbt_runner.tables import LAYERS, Written, pin_lake
from dagster_lake.settings.lake import Settings
from dagster_lake.sql.spark import literal, quoted
from dagster_lake.storage.delta.reads import difference, differing_partitions, last_reads, older
from dagster_lake.storage.delta.write import Pinned, pin
from dagster_lake.storage.paths import Lake

_COMMIT = re.compile(r"/\* lake (?P<what>\{.*?\}) \*/", re.DOTALL)


@dataclass
class SparkDbtSession:
    """The tables of one dbt run, by ``layer.table``: as they were pinned, and what the run has written of them."""

    lake: Lake
    settings: Settings
    workspace: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pinned: dict[str, Pinned] = pin_lake(self.lake)
        self._replaced: dict[str, tuple[str, ...] | None] = {}
        self._open: dict[int, AbstractContextManager[None]] = {}

    @property
    def variables(self) -> dict[str, Any]:
        """What the macros are told."""
        return {
            "lake_root": str(self.lake.root),
            "lake_versions": {table: pinned.version for table, pinned in self.pinned.items()},
            "lake_notes": self.notes,
            "lake_reads": {
                table: self._reads(pinned) for table, pinned in self.pinned.items() if table.startswith("gold.")
            },
        }

    def written(self, table: str) -> Written | None:
        """What the run left of a model that succeeded."""
        pinned = pin(self.lake.table(*table.split(".")))
        return None if pinned is None else Written(pinned, self._replaced.get(table, ()))

    def heard(self, event: Any) -> None:
        """Announces the commits that dbt makes. Called in the thread that runs the statement, before and after it."""
        if event.info.name == "SQLQuery" and (found := _COMMIT.search(event.data.sql)):
            what = json.loads(found["what"])
            if what["commit"].count(".") == 1:
                partitions = what["partitions"]
                self._replaced[what["commit"]] = None if partitions is None else tuple(partitions)
            announced = commit(what["commit"])
            self._open[threading.get_ident()] = announced
            announced.__enter__()
        elif event.info.name == "SQLQueryStatus" and (opened := self._open.pop(threading.get_ident(), None)):
            opened.__exit__(None, None, None)

    def _reads(self, reader: Pinned) -> dict[str, dict[str, Any]]:
        """What ``reader`` had read of each gold table, where that can still be compared with the pinned one."""
        found = {}
        for feed, version in last_reads(reader).items():
            now = self.pinned.get(feed)
            then = older(now, version) if now is not None else None
            if now is not None and then is not None and difference(now, then) is not None:
                found[feed] = {"version": version, "partitions": differing_partitions(now, then)}
        return found


@contextmanager
def spark_dbt_session(lake: Lake, settings: Settings) -> Iterator[SparkDbtSession]:
    """The session of one dbt run, with the Spark or the SQL warehouse that the settings name within dbt's reach."""
    if settings.engine == "databricks":
        from dagster_lake.dbt_runner.databricks import signed_in, workspace

        with signed_in():
            yield SparkDbtSession(lake, settings, workspace(settings))
    else:
        session = SparkDbtSession(lake, settings)
        _name_tables(settings, session.pinned)
        yield session


def _name_tables(settings: Settings, tables: Mapping[str, Pinned]) -> None:
    """Gives the lake's tables their names in the local Spark, which keeps names in memory only."""
    from dagster_lake.engines.spark.session import spark_session

    spark = spark_session(settings)
    for layer in LAYERS:
        spark.sql(f"CREATE SCHEMA IF NOT EXISTS {layer}")
        for row in spark.sql(f"SHOW TABLES IN {layer}").collect():
            # Perhaps another lake's. The files of an external table stay where they are.
            if not row.isTemporary:
                spark.sql(f"DROP TABLE {layer}.{quoted(row.tableName)}")
    for table, pinned in tables.items():
        layer, name = table.split(".")
        place = literal(str(pinned.uri))
        spark.sql(f"CREATE TABLE {layer}.{quoted(name)} USING delta LOCATION {place}")
