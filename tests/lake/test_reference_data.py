"""Snapshots as reference data of Stream Analytics."""

import json
import re
from pathlib import Path

import dagster as dg
import pytest

from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.manifest import manifest
from dagster_lake.defs.streams.reference_data import reference_data_assets
from dagster_lake.lake_resource import LakeResource
from dagster_lake.settings.lake import PROJECT_ROOT, Settings
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.declarations import stream_declarations
from dagster_lake.streams.stream_analytics.reference_data import columns_for, publish_reference
from tests.lake.stream_world import DETAILS, StreamWorld

STREAMS = stream_declarations(manifest()).values()
BICEP = PROJECT_ROOT / "infra/bicep/modules/stream_analytics.bicep"
ASSETS = reference_data_assets(STREAMS)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """A lake with two snapshots of each."""
    made = Lake.at(str(tmp_path / "lake"))
    users = [{"id": id, "user_name": f"user{id}", "city": "Brno" if id % 2 else None} for id in range(2, 0, -1)]
    StreamWorld(
        users={"2026-01-05T000000Z": users[:1], "2026-01-05T133059Z": users},
        vip_users={"2026-01-04T000000Z": [{"id": 1}], "2026-01-05T000000Z": [{"id": 2}]},
    ).write_snapshots(made)
    return made


def test_the_newest_snapshot_is_written_by_its_minute_with_the_columns_that_streams_deliver(lake: Lake) -> None:
    users = contracts()["users"]
    columns = columns_for(users, STREAMS)
    assert columns == ["id", *(prop.name for prop in users.properties if prop.name in DETAILS)]
    published = publish_reference(lake, Settings(), users, columns)
    assert published is not None
    assert str(published.file) == f"{lake.root}/stream_analytics/reference/users/2026-01-05/13-30.json"
    rows = [json.loads(line) for line in Path(str(published.file)).read_text().splitlines()]
    assert [(row["id"], row["user_name"], row["city"]) for row in rows] == [(1, "user1", "Brno"), (2, "user2", None)]
    assert list(rows[0]) == columns
    assert (published.snapshot, published.rows) == ("2026-01-05T133059Z", 2)


def test_the_job_looks_for_the_files_where_they_are_written(lake: Lake) -> None:
    vips = contracts()["vip_users"]
    published = publish_reference(lake, Settings(), vips, columns_for(vips, STREAMS))
    assert published is not None
    text = BICEP.read_text()
    [pattern] = re.findall(r"pathPattern: '\$\{lakeFolder\}(.*\{time\}\.json)'", text)
    assert re.findall(r"dateFormat: '(.*)'", text) == ["yyyy-MM-dd"]
    assert re.findall(r"timeFormat: '(.*)'", text) == ["HH-mm"]
    filled = pattern.replace("${dataSet}", "vip_users").replace("{date}", "2026-01-05").replace("{time}", "00-00")
    assert str(published.file) == f"{lake.root}/{filled}"


def test_a_snapshot_gives_the_same_bytes_every_time_and_no_snapshot_gives_no_file(lake: Lake, tmp_path: Path) -> None:
    users = contracts()["users"]
    written = [
        Path(str(published.file)).read_bytes()
        for _ in range(2)
        if (published := publish_reference(lake, Settings(), users, ["id"])) is not None
    ]
    assert written == [b'{"id":1}\n{"id":2}\n'] * 2
    assert publish_reference(Lake.at(str(tmp_path / "empty")), Settings(), users, ["id"]) is None


def test_snapshots_that_are_dropped_become_reference_data_in_the_same_run() -> None:
    from dagster_lake.definitions import defs

    with_them = dg.Definitions.merge(defs, dg.Definitions(assets=ASSETS))
    keys = with_them.resolve_job_def("snapshots").asset_layer.executable_asset_keys
    assert {key for asset in ASSETS for key in asset.keys} <= set(keys)


def test_the_assets_write_a_file_of_each_snapshot_that_a_query_joins_with(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_ROOT", str(lake.root))
    result = dg.materialize(ASSETS, resources={"lake": LakeResource()})
    made = {event.materialization.asset_key.to_user_string() for event in result.get_asset_materialization_events()}
    assert made == {"stream_analytics/reference_users", "stream_analytics/reference_vip_users"}
    assert len(list(Path(str(lake.root)).glob("stream_analytics/reference/*/*/*.json"))) == len(made)
