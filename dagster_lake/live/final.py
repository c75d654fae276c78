"""Rows of windows become final in a silent stream, too: time alone ends their windows.

A table is made anew when events land. When none does, its last rows would say until the hour turns that they may
still change. So ``lake stream`` notes up to when all events are in silver, and makes rows anew that are final by it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from dagster_lake.dbt_runner.manifest import STREAMS, manifest
from dagster_lake.dbt_runner.run import build
from dagster_lake.lake_hour import HOUR, HourRange, hour_of
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.declarations import FINAL, RESULT_TIME
from dagster_lake.streams.settled import note_time

STEP = timedelta(seconds=15)
"""How much further time must have moved before rows are looked at again."""


@dataclass
class FinalRows:
    """What makes rows final; ``waiting`` says whether some in the last two hours may still change, as far as known."""

    lake: Lake
    settings: Settings
    waiting: bool = True
    _looked: dict[str, datetime] = field(default_factory=dict)

    def make(self, now: datetime, settled: Mapping[str, datetime]) -> bool:
        """Makes anew the streams that have rows which time has made final; whether it made some.

        ``settled`` says, by data set, up to when its events had all landed, and that the tables are made of them all.
        """
        if not self._moved(settled):
            return False
        first = hour_of(now) - HOUR
        hours = HourRange(first, hour_of(now))
        models = {id: earliest for id in _models() if (earliest := self._earliest(id, hours)) is not None}
        self.waiting = bool(models)
        ended = [id for id, earliest in models.items() if earliest <= min(settled.values())]
        if not ended or not note_time(self.lake, settled):
            return False
        for _ in build(ended, hours, self.lake, self.settings):
            pass
        return True

    def _moved(self, settled: Mapping[str, datetime]) -> bool:
        """Whether time has moved by a step for one of the data sets since the last look."""
        moved = {n: at for n, at in settled.items() if n not in self._looked or at - self._looked[n] >= STEP}
        self._looked.update(moved)
        return bool(moved)

    def _earliest(self, model: str, hours: HourRange) -> datetime | None:
        """The time of the first row of these hours that may still change; None when there is none."""
        from dagster_lake.storage.duckdb.files import reading
        from dagster_lake.storage.duckdb.scan import scan_sql

        table = pin(self.lake.table(STREAMS, manifest()["nodes"][model]["alias"]))
        if table is None or FINAL not in table.schema.names:
            return None
        with reading(table.uri) as con:
            rows = f"SELECT epoch_us(min({RESULT_TIME})) FROM ({scan_sql(table, hours.keys)}) WHERE NOT {FINAL}"
            found = con.sql(rows).fetchall()
        return None if found[0][0] is None else datetime.fromtimestamp(found[0][0] / 1_000_000, UTC)


def _models() -> list[str]:
    """The streams that tell final rows from others."""
    nodes = manifest()["nodes"].values()
    return sorted(
        node["unique_id"]
        for node in nodes
        if node["resource_type"] == "model" and node["schema"] == STREAMS and FINAL in node["columns"]
    )
