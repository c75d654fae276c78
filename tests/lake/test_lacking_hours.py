"""Which hours a data set lacks, found without going through its history."""

import tempfile
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_lake.contract.model import contracts
from dagster_lake.lake_hour import HOUR, HourRange, hour_key
from dagster_lake.landing import land
from dagster_lake.landing.land import lacking_hours, landed_among
from dagster_lake.storage.manifest import MANIFEST_NAME
from dagster_lake.storage.paths import Lake

FIRST = datetime(2026, 1, 30, 20, tzinfo=UTC)
ORDERS = contracts()["orders"]


def key(number: int) -> str:
    return hour_key(FIRST + number * HOUR)


def having(root: str, numbers: Iterable[int]) -> Lake:
    """A lake in which these hours of orders are landed, and another was begun."""
    lake = Lake.at(root)
    for number in numbers:
        folder = lake.raw_partition("orders", key(number), sensitive=ORDERS.sensitive)
        folder.mkdir(parents=True)
        (folder / MANIFEST_NAME).touch()
    lake.raw_partition("orders", key(100), sensitive=ORDERS.sensitive).mkdir(parents=True)
    return lake


@settings(deadline=None, max_examples=40)
@given(st.sets(st.integers(0, 60), max_size=30), st.integers(0, 60), st.integers(0, 40))
def test_an_hour_lacks_when_an_earlier_one_was_ever_landed_and_it_was_not(
    landed: set[int], first: int, more: int
) -> None:
    asked = range(first, first + more + 1)
    with tempfile.TemporaryDirectory() as root:
        lake = having(root, landed)
        hours = HourRange.of(key(asked[0]), key(asked[-1]))
        assert landed_among(lake, ORDERS, hours) == [key(number) for number in asked if number in landed]
        assert lacking_hours(lake, ORDERS, hours) == [
            key(number) for number in asked if number not in landed and any(earlier < number for earlier in landed)
        ]


def test_a_look_at_the_last_hours_goes_into_no_folder_of_other_days(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = having(str(tmp_path_factory.mktemp("long")), range(61))
    asked: list[str] = []
    listed = land.landed_partitions
    monkeypatch.setattr(land, "landed_partitions", lambda raw, day="": asked.append(day) or listed(raw, day))
    assert lacking_hours(lake, ORDERS, HourRange.of(key(50), key(62))) == [key(61), key(62)]
    assert asked == ["2026-02-01", "2026-02-02"]
