"""`lake demo`: which hours it builds, and which of its warnings are planted. What it builds: test_newcomer.py."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from dagster_lake.cli.demo import hours as demo_hours
from dagster_lake.cli.demo.hours import begin_with, wanted_hours
from dagster_lake.cli.demo.run import Checked, Outcome
from dagster_lake.cli.demo.warnings import Warned, is_planted
from dagster_lake.cli.shared.errors import CommandError
from dagster_lake.lake_hour import HourRange
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake


def test_the_hours_of_a_day_are_counted_from_midnight() -> None:
    assert wanted_hours("2026-01-05", 3).keys == ["2026-01-05T00", "2026-01-05T01", "2026-01-05T02"]


@pytest.mark.parametrize(
    ("day", "says"),
    [("yesterday", "2026-01-05"), ("2025-12-31", "before 2026-01-01"), ("2999-01-01", "has not ended yet")],
)
def test_a_day_that_cannot_be_built_is_refused_with_the_remedy(day: str, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        wanted_hours(day, 24)


def test_by_default_the_hours_that_ended_last_are_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_hours, "utc_now", lambda: datetime(2026, 3, 4, 1, 30, tzinfo=UTC))
    assert wanted_hours(None, 3).keys == ["2026-03-03T22", "2026-03-03T23", "2026-03-04T00"]


def test_a_new_lake_begins_with_the_first_hour_of_the_demo_and_no_day_is_before_that_of_one_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_FIRST_HOUR", "")  # put back afterwards
    monkeypatch.delenv("LAKE_FIRST_HOUR")
    settings = Settings(root=str(tmp_path / "lake"))
    wanted = HourRange.of("2026-03-03T22", "2026-03-04T00")
    begin_with(wanted, settings, None)
    assert Lake.of(Settings(root=settings.root)).first_hour() == "2026-03-03T22"
    monkeypatch.delenv("LAKE_FIRST_HOUR")
    with pytest.raises(CommandError, match=r"first hour, 2026-03-03T22; .* set LAKE_FIRST_HOUR=2026-02-01T00"):
        begin_with(HourRange.of("2026-02-01T00", "2026-02-01T05"), settings, "2026-02-01")
    begin_with(HourRange.of("2026-03-03T20", "2026-03-03T23"), settings, None)  # more of the last hours: moves back
    assert Lake.of(Settings(root=settings.root)).first_hour() == "2026-03-03T20"


def test_a_check_by_the_hour_counts_once_and_says_in_how_many_hours_it_failed() -> None:
    bad = Checked("2026-01-01T01", passed=False, good=False, said="3 rows")
    good = [Checked(f"2026-01-01T{hour:02}", passed=True, good=True, said="") for hour in (0, 2)]
    outcome = Outcome(checks={("silver/stars", "keys_unique"): good, ("silver/stars", "rules_hold"): [good[0], bad]})
    assert outcome.checks_passed == 1
    assert [one.told for one in outcome.warnings] == [
        "silver/stars: rules_hold in 1 of 2 hours, first 2026-01-01T01: 3 rows"
    ]


def test_warnings_that_the_generated_data_is_made_for_are_explained_and_no_others() -> None:
    orphans = Warned("silver/order_items_changes", "product_id_exists", "")
    status = Warned("gold/lake_status", "nothing_needs_attention", "silver.order_items_changes fails product_id_exists")
    broken = Warned("silver/orders_changes", "rules_hold", "3 rows")
    repeated = Warned("gold/lake_status", "nothing_needs_attention", f"{status.said}; silver.users is damaged")
    assert [is_planted(one) for one in (orphans, status, broken, repeated)] == [True, True, False, False]
    assert orphans.told.endswith("(some items are of products that do not exist)")
    assert broken.told == "silver/orders_changes: rules_hold 3 rows"
