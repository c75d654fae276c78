"""Gold as Dagster assets: keys, partitions, subsets, metadata, and checks that fail the run."""

from pathlib import Path

import dagster as dg
import pytest

from dagster_lake.dbt_runner.manifest import manifest
from dagster_lake.defs.dbt.assets import dbt_assets
from dagster_lake.lake_resource import LakeResource
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.paths import Lake
from dagster_lake.streams.declarations import stream_declarations
from tests.lake.silver_world import hour, random_world
from tests.lake.test_gold import rate_minus_nine, rows

ASSETS = dbt_assets()


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path / "lake"))
    return Lake.at(str(tmp_path / "lake"))


def materialize(*names: str, hours: tuple[int, ...] = (0,), check: bool = False) -> dg.ExecuteInProcessResult:
    tags = {
        "dagster/asset_partition_range_start": hour(hours[0]),
        "dagster/asset_partition_range_end": hour(hours[-1]),
    }
    return dg.materialize(
        ASSETS,
        selection=[dg.AssetKey(["gold", name]) for name in names] or None,
        resources={"lake": LakeResource()},
        tags=tags if len(hours) > 1 else None,
        partition_key=hour(hours[0]) if len(hours) == 1 else None,
        raise_on_error=check,
    )


def test_all_models_run_in_one_dagster_run_with_checks_and_metadata(lake: Lake) -> None:
    world = random_world(1)
    world.write(lake)
    result = materialize(check=True)
    events = {
        e.asset_key.to_user_string(): e.materialization.metadata for e in result.get_asset_materialization_events()
    }
    assert set(events) == {
        f"gold/{t}"
        for t in (
            "engagement_hourly",
            "engagement_daily",
            "engagements",
            "daily_sales",
            "product_performance",
            "users_history",
        )
    } | {f"streams/{stream}" for stream in (*stream_declarations(manifest()), "events_in_time")}
    assert events["gold/engagements"]["dagster/row_count"].value == len(world.users)
    assert "user5" in str(events["gold/engagements"]["preview"].value)
    assert len(result.get_asset_check_evaluations()) >= 18
    assert all(evaluation.passed for evaluation in result.get_asset_check_evaluations())


def test_a_range_is_one_run_over_all_its_hours(lake: Lake) -> None:
    world = random_world(1)
    world.write(lake)
    result = materialize("engagement_hourly", "engagement_daily", "engagements", hours=(0, 5), check=True)
    assert rows(lake, "engagements") == world.engagements()
    assert len([e for e in result.all_events if e.is_step_start]) == 1


def test_a_subset_materialises_only_what_is_selected(lake: Lake) -> None:
    random_world(1).write(lake)
    result = materialize("engagement_hourly", check=True)
    [event] = result.get_asset_materialization_events()
    assert event.asset_key == dg.AssetKey(["gold", "engagement_hourly"])
    assert pin(lake.table("gold", "engagement_daily")) is None


def test_a_failing_dbt_test_is_a_failed_blocking_check_and_fails_the_run(lake: Lake) -> None:
    rate_minus_nine(lake)
    result = materialize("engagement_hourly", "engagement_daily", "engagements")
    assert not result.success
    [failed] = [e for e in result.get_asset_check_evaluations() if e.blocking and not e.passed]
    assert (failed.check_name, failed.blocking) == ("engagement_hourly_counts_are_not_negative", True)
    assert failed.metadata["failing_rows"].value == 1
    assert pin(lake.table("gold", "engagements")) is None


def test_sources_are_silver_assets_and_models_carry_owner_schema_and_lineage() -> None:
    graph = dg.Definitions(assets=ASSETS, resources={"lake": LakeResource()}).resolve_asset_graph()
    node = graph.get(dg.AssetKey(["gold", "engagements"]))
    assert dg.AssetKey(["silver", "users"]) in node.parent_keys
    assert (node.group_name, list(node.owners)) == ("gold", ["team:shop"])
    assert {c.name for c in node.metadata["dagster/column_schema"].columns} >= {"id", "avg_stars"}
    lineage = node.metadata["dagster/column_lineage"].deps_by_column
    assert dg.TableColumnDep(dg.AssetKey(["silver", "users"]), "city") in lineage["city"]
