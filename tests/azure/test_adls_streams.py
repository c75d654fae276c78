"""Alerts and Stream Analytics' outputs in ADLS Gen2, as in a folder: noted once, sent once, read back and compared."""

import io
import json
from unittest.mock import patch

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dagster_lake import clock
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.adls.blobs import upload_blob
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.duckdb.connection import connection
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.alerts.notices import Rows, notices_table
from dagster_lake.streams.alerts.notify import notify
from dagster_lake.streams.alerts.sender import Sent
from dagster_lake.streams.stream_analytics.outputs import files_of, outputs_of, results_sql
from tests.azure.adls_lakes import adls_settings
from tests.azure.azurite import Azurite
from tests.lake.test_alerts import NOW, SLOW, alert, rows
from tests.lake.test_reconcile import COLUMNS, TWELVE, window
from tests.lake.webhooks import webhook

Place = tuple[Lake, Settings]


@pytest.fixture
def place(azurite: Azurite) -> Place:
    settings = adls_settings(azurite, azurite.new_container())
    return Lake.of(settings), settings


def told(place: Place, run: str, alerts: Rows, address: str) -> Sent:
    lake, settings = place
    own = settings.model_copy(update={"alert_webhook": Settings(alert_webhook=address).alert_webhook})
    with patch.object(clock, "utc_now", lambda: NOW):
        return notify(lake, own, {SLOW: alerts}, run, lambda _: None).sent


def test_alerts_are_noted_and_sent_once(place: Place) -> None:
    with webhook() as hook:
        assert told(place, "one", rows(alert(1), alert(2, minutes_ago=40)), hook.address).alerts == 2
        assert told(place, "two", rows(alert(1), alert(3)), hook.address).alerts == 1
        assert hook.alerts() == [f"high_latency_alerts/e{n}" for n in (1, 2, 3)]
    pinned = pin(notices_table(place[0]).uri)
    assert pinned
    assert pinned.rows() == 3


def test_outputs_of_stream_analytics_are_found_and_read(place: Place) -> None:
    lake, settings = place
    stream = "pageviews_by_http_method_5m"
    lines = [{**row, "_time": f"{row['_time']:%Y-%m-%dT%H:%M:%S}.0000000Z"} for row in (window(5), window(10))]
    folder = outputs_of(lake, stream) / "year=2026" / "month=01" / "day=05"
    upload_blob(folder / "hour=12" / "0_a_1.json", "\n".join(map(json.dumps, lines)).encode(), {})
    parquet = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([window(60)], COLUMNS), parquet)
    upload_blob(folder / "hour=13" / "0_a_1.parquet", parquet.getvalue(), {})
    assert outputs_of(lake, stream).exists()
    assert not outputs_of(lake, "sessions").exists()
    found = {}
    with connection(settings) as con:
        for file_format in ("json_lines", "parquet"):
            sql = results_sql(con, files_of(lake, stream, file_format, [TWELVE]), file_format, COLUMNS)
            found[file_format] = rows_of(con, sql)
    assert found == {"json_lines": [(10, TWELVE), (10, TWELVE)], "parquet": [(10, TWELVE)]}


def rows_of(con: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[int, str]]:
    return con.execute(f"SELECT pageviews, _lake_hour FROM ({sql})").fetchall()
