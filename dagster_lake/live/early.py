"""Alerts before the tables: what has just landed, judged by the same SQL that makes the tables.

Rows are judged in canonical order, and only up to the instant at which the hub is settled, so that nothing can come
before them any more. Everything that decides such an alert looks backwards in that order: whether an event is valid,
whether it is the first of its key in 24 hours, which time it gets by the ingest rules, whether it is over the
threshold. So a row that is found here is, column by column, the row that the table will hold. Of what came before,
two things are kept in memory: the keys of 24 hours, as hashes, and the one row that set the watermark.
"""

from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from dagster_lake.compile.bronze import bronze_select
from dagster_lake.compile.duckdb_dialect import DuckDBDialect
from dagster_lake.compile.silver import dedupe_of, losers_select, silver_select, uses_masking_key, valid_keys_select
from dagster_lake.contract.columns import LAKE_HOUR, bronze_schema, position_fields, silver_schema
from dagster_lake.contract.model import Contract
from dagster_lake.engines.duckdb.lines import offer_lines
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, parse_hour
from dagster_lake.live.known_keys import KnownKeys
from dagster_lake.privacy.masking_key import masking_key
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.delta import write as delta
from dagster_lake.storage.duckdb.connection import connection
from dagster_lake.storage.duckdb.scan import empty_sql, literal, quoted, scan_sql
from dagster_lake.storage.manifest import read_manifest
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import bronze_table
from dagster_lake.streams.alerts.kinds import AlertKind

MEMORY_LIMIT = "500MB"
"""A second of events takes a few; a backlog spills. Tables are made beside it, which may use the lake's limit."""
WARM_UP = timedelta(minutes=10)
"""More than the watermark can look back: 5 minutes for early events, 60 s for late ones, 50 s for the order."""


@dataclass(frozen=True)
class EarlySql:
    """By what a data set's events are judged: the SQL of each model whose rows are alerts, and that of the events with
    their ``_time``. All of it reads ``silver.<data set>``; a model's key is also one of the events."""

    models: Mapping[AlertKind, str]
    stream: str


class EarlyAlerts:
    """The alerts among one data set's events, as these land from the hour ``first`` on. Not safe between threads.

    The hours before ``first`` must be finished: their keys are taken from bronze.
    """

    def __init__(self, lake: Lake, settings: Settings, contract: Contract, sql: EarlySql, first: datetime) -> None:
        self.lake, self.settings, self.contract, self.sql, self.first = lake, settings, contract, sql, first
        self._dialect = DuckDBDialect()
        self._known = KnownKeys()
        self._landed: dict[str, tuple[int, dict[str, int]]] = {}  # by hour: the last attempt taken, and its numbers
        self._held = ExitStack()
        small = settings.model_copy(update={"memory_limit": MEMORY_LIMIT, "threads": 1})
        self._con = self._held.enter_context(connection(small, alone=True))
        self._make_tables()
        self._learn_keys()
        # The events just before ``first`` pass once more, so that the watermark is known; they were told of before.
        self._judge(hour_key(first - HOUR), first)

    def close(self) -> None:
        """Ends the connection."""
        self._held.close()

    def judge(self, hours: Collection[str], settled: datetime) -> dict[AlertKind, pa.Table]:
        """The alerts among what landed in ``hours`` since the last call, up to ``settled``.

        They are rows of the models that found any, with the ``_enqueued_time`` of the event. What arrived after
        ``settled`` is judged by the next call, whose ``hours`` must be the same or later ones.
        """
        found = [(kind, rows) for hour in sorted(hours) for kind, rows in self._judge(hour, settled).items() if rows]
        return {
            kind: pa.concat_tables([rows for of, rows in found if of is kind])
            for kind in dict.fromkeys(k for k, _ in found)
        }

    def _judge(self, hour: str, settled: datetime) -> dict[AlertKind, pa.Table]:
        self._take_lines(hour)
        these, which = "_lake_hour = $hour AND _enqueued_time <= $settled", {"hour": hour, "settled": settled}
        self._con.execute(f"CREATE OR REPLACE TABLE bronze AS FROM waiting WHERE {these}", which)
        if not self._con.execute("SELECT count(*) FROM bronze").fetchall()[0][0]:
            return {}
        self._con.execute(f"DELETE FROM waiting WHERE {these}", which)
        self._find_losers(parse_hour(hour))
        select = silver_select(self.contract, self._dialect)
        self._con.execute(f"CREATE OR REPLACE TABLE fresh AS {select}", self._masking())
        alerts = {kind: self._alerts(kind) for kind in self.sql.models}
        # Of all that came before the next events, the row of the greatest time alone decides their watermark.
        self._con.execute(
            f"CREATE OR REPLACE TABLE carried AS SELECT {_listed(silver_schema(self.contract).names)} "
            f"FROM ({self.sql.stream}) ORDER BY _time DESC LIMIT 1"
        )
        return alerts

    def _alerts(self, kind: AlertKind) -> pa.Table:
        events = f"SELECT {_listed(kind.key)}, _enqueued_time FROM fresh"
        return self._con.sql(
            f"FROM ({self.sql.models[kind]}) JOIN ({events}) USING ({_listed(kind.key)})"
        ).to_arrow_table()

    def _make_tables(self) -> None:
        self._con.execute(f"CREATE TABLE waiting AS {empty_sql(bronze_schema(self.contract))}")
        for table in ("carried", "fresh"):
            self._con.execute(f"CREATE TABLE {table} AS {empty_sql(silver_schema(self.contract))}")
        name = quoted(self.contract.name)
        self._con.execute("CREATE SCHEMA silver")
        self._con.execute(f"CREATE VIEW silver.{name} AS FROM main.carried UNION ALL FROM main.fresh")

    def _learn_keys(self) -> None:
        """Takes the keys of the finished hours from bronze, but for the last minutes, which pass once more."""
        bronze = delta.pin(bronze_table(self.lake, self.contract).uri)
        if bronze is None:
            return
        for hour in HourRange(self.first - dedupe_of(self.contract).look_back * HOUR, self.first - HOUR):
            rows = f"(FROM ({scan_sql(bronze, [hour_key(hour)])}) WHERE _enqueued_time <= {_instant(self._taken_from)})"
            self._known.add(hour, self._hashes(rows)["_hash"].to_numpy())

    @property
    def _taken_from(self) -> datetime:
        return self.first - WARM_UP

    def _take_lines(self, hour: str) -> None:
        """Adds the lines that landed in ``hour`` since the last time to ``waiting``, as rows of bronze."""
        folder = self.lake.raw_partition(self.contract.name, hour, sensitive=self.contract.sensitive)
        manifest = read_manifest(folder)
        attempt, numbers = self._landed.get(hour, (0, {}))
        if manifest is None or manifest.next_attempt == attempt + 1:
            return
        # An attempt may repeat rows of others that were folded into it: what is new is told by the numbers.
        new = tuple(a for a in manifest.attempts if a.number > attempt)
        offer_lines(self._con, self.lake, self.contract, [replace(manifest, attempts=new)])
        seen = pa.table({"_partition": pa.array(numbers, pa.string()), "seen": pa.array(numbers.values(), pa.int64())})
        self._con.register("seen_numbers", seen)
        self._con.execute(
            "CREATE OR REPLACE TABLE new_lines AS FROM lines LEFT JOIN seen_numbers USING (_partition) "
            f"WHERE _sequence_number > coalesce(seen, -1) AND _enqueued_time > {_instant(self._taken_from)}"
        )
        self._con.execute("CREATE OR REPLACE TEMP VIEW lines AS FROM new_lines")
        self._con.execute(f"INSERT INTO waiting BY NAME {bronze_select(self.contract, self._dialect)}")
        self._landed[hour] = (manifest.next_attempt - 1, dict(manifest.last_sequence or {}))

    def _find_losers(self, hour: datetime) -> None:
        """Fills ``losers``: rows of ``bronze`` whose key is that of an earlier row, of this call or a former one."""
        keys = _listed(prop.name for prop in dedupe_of(self.contract).keys)
        position = _listed(field.name for field in (*position_fields(self.contract), LAKE_HOUR))
        valid = self._hashes("bronze")
        self._con.execute("CREATE OR REPLACE TEMP VIEW reach AS FROM bronze")
        self._con.execute(
            f"CREATE OR REPLACE TEMP VIEW suspects AS SELECT {keys} FROM valid GROUP BY ALL HAVING count(*) > 1"
        )
        since = hour - dedupe_of(self.contract).look_back * HOUR
        again = valid.filter(pa.array(self._known.occurred(valid["_hash"].to_numpy(), since)))
        self._con.register("again", again.select(["_row"]))
        self._con.execute(
            f"CREATE OR REPLACE TABLE losers AS SELECT {position} FROM ({losers_select(self.contract, self._dialect)}) "
            f"UNION SELECT {position} FROM valid WHERE _row IN (SELECT _row FROM again)"
        )
        self._known.add(hour, valid["_hash"].to_numpy())
        self._known.forget(since)

    def _hashes(self, relation: str) -> pa.Table:
        """Fills ``valid`` with the keys of the valid rows of ``relation`` like bronze's; their hashes, by row."""
        self._con.execute(
            "CREATE OR REPLACE TABLE valid AS SELECT *, row_number() OVER () AS _row "
            f"FROM ({valid_keys_select(self.contract, self._dialect, relation)})"
        )
        keys = _listed(prop.name for prop in dedupe_of(self.contract).keys)
        return self._con.sql(f"SELECT _row, hash({keys}) AS _hash FROM valid").to_arrow_table()

    def _masking(self) -> dict[str, Any]:
        if not uses_masking_key(self.contract):
            return {}
        key = masking_key(self.settings, self.lake)
        return {"key_id": key.id, "inner_pad": key.inner_pad, "outer_pad": key.outer_pad}


def _listed(columns: Iterable[str]) -> str:
    return ", ".join(map(quoted, columns))


def _instant(moment: datetime) -> str:
    return f"TIMESTAMPTZ {literal(moment.isoformat())}"
