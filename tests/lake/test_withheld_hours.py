"""One bad hour of a range is withheld by itself: the hours beside it go on, up to gold, and the run still fails."""

from pathlib import Path

import dagster as dg

from dagster_lake.defs.dbt.assets import dbt_assets
from dagster_lake.lake_hour import HOUR, hour_key
from dagster_lake.lake_resource import LakeResource
from tests.lake.lakes import content_of, definitions
from tests.lake.resent_worlds import FIRST, Sent, World

NOON, ONE, TWO = (hour_key(FIRST + n * HOUR) for n in range(3))
KEYS = [
    ["raw", "stars"],
    ["bronze", "stars"],
    ["silver", "stars"],
    ["quarantine", "stars"],
    ["gold", "engagement_hourly"],
]


def test_of_a_range_only_the_bad_hour_is_withheld_and_gold_has_the_others(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.send(Sent("a", hours=0), Sent("bad", hours=1, stars=9), Sent("c", hours=2))
    tags = {"dagster/asset_partition_range_start": NOON, "dagster/asset_partition_range_end": TWO}
    with world.here():
        result = dg.materialize(
            [*definitions(), *dbt_assets()],
            selection=dg.AssetSelection.keys(*KEYS),
            resources={"lake": LakeResource()},
            tags=tags,
            instance=dg.DagsterInstance.ephemeral(),
            raise_on_error=False,
        )

    assert not result.success
    checks = {
        check.partition: check for check in result.get_asset_check_evaluations() if check.check_name == "accepted"
    }
    assert {hour: check.passed for hour, check in checks.items()} == {NOON: True, ONE: False, TWO: True}
    assert f"{ONE} withheld: 1 of 1 rows are bad: stars:maximum 1" in (checks[ONE].description or "")
    assert world.silver() == {NOON: ["a"], TWO: ["c"]}
    gold = content_of(Path(world.settings.root, "gold", "engagement_hourly"))
    assert {row["_lake_hour"]: row["stars_count"] for row in gold} == {NOON: 1, TWO: 1}
