"""Declarative automation: a silver hour that is materialised, by whatever run, carries into streams and gold.

A run that has the later tables in it as well asks for nothing more. Without this, silver that somebody materialised
by hand would stay unknown to gold until the next hourly run of that hour.
"""

import dagster as dg
from dagster import AutomationCondition as When

from dagster_lake.assets.keys import newest_key, silver_key
from dagster_lake.contract import contracts

_hourly_silver = {
    key
    for contract in contracts().values()
    if contract.cadence == "hourly"
    for key in (silver_key(contract), newest_key(contract))
}
_SILVER_HOURS = dg.AssetSelection.keys(*_hourly_silver)
_MADE_OF_SILVER = dg.AssetSelection.groups("streams", "gold")


def follows_silver(*, open_hour: bool, by_hour: bool = True) -> dg.AutomationCondition:
    """A table is computed when what it is made from was materialised since, and nothing of it is under way.

    One ``by_hour`` follows hours alone: a new snapshot of users would ask for every hour there ever was. Only with
    ``open_hour`` is an hour followed that has not closed yet. When a blocking check of what it is made from fails, what
    was waiting is dropped: good rows come with another materialisation.
    """
    followed = _MADE_OF_SILVER | (_SILVER_HOURS if by_hour else dg.AssetSelection.groups("silver"))
    updated = (When.newly_updated() & ~When.executed_with_root_target()) | When.will_be_requested()
    barred = When.any_deps_match(When.any_checks_match(When.check_failed(), blocking_only=True)).allow(followed)
    handled = When.newly_requested() | When.newly_updated() | When.initial_evaluation() | barred
    condition = (
        When.any_deps_match(updated).allow(followed).since(handled)
        & ~When.any_deps_match(When.in_progress()).allow(followed)
        & ~When.in_progress()
    )
    return condition if open_hour else condition & ~When.in_latest_time_window()
