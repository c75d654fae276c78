"""The rates of arrival that the streams' macros are told, from silver's logs."""

import pytest

from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.recompute import stream_recomputation
from dagster_lake.dbt_runner.stream_hours import arrival_rates
from dagster_lake.storage.delta.write import Pinned, pin
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import silver_table
from tests.lake.stream_world import DAY, StreamWorld, at


@pytest.fixture(scope="module")
def silver(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pinned]:
    """Two hours of pageviews with an hour between, ratings in the first only; and snapshots, which do not arrive."""
    lake, world = Lake.at(str(tmp_path_factory.mktemp("rates") / "lake")), StreamWorld()
    for n in range(30):
        world.view(at(f"10:{n:02}:30"))
    for n in range(6):
        world.view(at(f"12:{n:02}:30"))
    world.rate("10:30", 1, 5)
    world.users[f"{DAY}T000000Z"] = [{"id": 1}]
    world.write_snapshots(lake)
    world.write_hours(lake, world.hours)
    names = {"pageviews": "pageviews", "stars": "stars", "users": "users_snapshots"}
    pinned = {table: pin(silver_table(lake, contracts()[name]).uri) for name, table in names.items()}
    return {table: found for table, found in pinned.items() if found is not None}


def test_a_rate_counts_the_hours_in_which_events_arrived(silver: dict[str, Pinned]) -> None:
    hours = [f"{DAY}T{hour:02}" for hour in range(9, 14)]
    assert arrival_rates(silver, hours) == {"pageviews": 36 / 2 / 3600, "stars": 1 / 3600}


def test_a_data_set_of_which_nothing_arrived_in_the_hours_has_no_rate(silver: dict[str, Pinned]) -> None:
    assert arrival_rates(silver, [f"{DAY}T12"]) == {"pageviews": 6 / 3600}
    assert arrival_rates(silver, [f"{DAY}T11"]) == {}


def nothing_landed_after(hour: str) -> None:
    """Raw holds no later hour than silver."""


def test_the_macros_are_told_the_rates_of_the_hours_that_are_read(silver: dict[str, Pinned]) -> None:
    told = stream_recomputation(silver, [f"{DAY}T12"], [1], nothing_landed_after)
    assert told["stream_reads"]["1"][0] == f"{DAY}T10"
    assert told["arrival_rates"] == {"pageviews": 36 / 2 / 3600, "stars": 1 / 3600}
    everything = stream_recomputation(silver, None, [1], nothing_landed_after)
    assert everything["arrival_rates"] == told["arrival_rates"]
