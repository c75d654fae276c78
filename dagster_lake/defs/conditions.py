"""Declarative automation: a silver hour that is materialised, by whatever run, carries into streams and gold.

A run that has the later tables in it as well asks for nothing more. Without this, silver that somebody materialised
by hand would stay unknown to gold until the next hourly run of that hour.
"""

import dagster as dg
from dagster import AutomationCondition as When

from dagster_lake.asset_keys import newest_key, silver_key
from dagster_lake.contract.model import contracts

_hourly_silver = {
    key
    for contract in contracts().values()
    if contract.cadence == "hourly"
    for key in (silver_key(contract), newest_key(contract))
}
_SILVER_HOURS = dg.AssetSelection.keys(*_hourly_silver)
_MADE_OF_SILVER = dg.AssetSelection.groups("streams", "gold")

MAKES_STREAMS, MAKES_GOLD = "lake/makes_streams", "lake/makes_gold"
"""Tags of jobs whose runs make the streams, or gold, of the silver that they make."""


def streams_follow() -> dg.AutomationCondition:
    """A stream's hour is computed when silver of that hour was materialised without it."""
    return _follows(_MADE_OF_SILVER | _SILVER_HOURS, MAKES_STREAMS)


def gold_follows() -> dg.AutomationCondition:
    """The same for gold by the hour. What near real time makes of the open hour is not seen: it is no partition yet."""
    return _follows(_MADE_OF_SILVER | _SILVER_HOURS, MAKES_GOLD)


def whole_gold_follows() -> dg.AutomationCondition:
    """The same for gold that is computed whole, from snapshots as well.

    What goes by the hour does not follow snapshots: a new one of users would ask for every hour there ever was.
    """
    return _follows(_MADE_OF_SILVER | dg.AssetSelection.groups("silver"), MAKES_GOLD)


def _follows(followed: dg.AssetSelection, made_by: str) -> dg.AutomationCondition:
    """What is made from ``followed`` is computed when some of it was materialised since, and nothing is under way.

    Runs with the tag ``made_by`` do that themselves. Dagster could see it by their selection, but a run of a whole job
    has none, and while an evaluation looks from table to table the run goes on. When a blocking check of what it is
    made from fails, what was waiting is dropped: good rows come with another materialisation.
    """
    by_itself = When.executed_with_root_target() | When.executed_with_tags(tag_keys={made_by})
    updated = (When.newly_updated() & ~by_itself) | When.will_be_requested()
    barred = When.any_deps_match(When.any_checks_match(When.check_failed(), blocking_only=True)).allow(followed)
    handled = When.newly_requested() | When.newly_updated() | When.initial_evaluation() | barred
    return (
        When.any_deps_match(updated).allow(followed).since(handled)
        & ~When.any_deps_match(When.in_progress()).allow(followed)
        & ~When.in_progress()
    )
