"""Which data sets an asset concerns: those of the contracts nearest to it, up the graph."""

from functools import cache

import dagster as dg

from dagster_lake.assets.keys import bronze_key, newest_key, quarantine_key, raw_key, silver_key
from dagster_lake.contract import contracts


@cache
def data_sets_of(key: dg.AssetKey) -> tuple[str, ...]:
    """The data set whose contract makes the asset, or those that its nearest such ancestors are of; none when there are
    none."""
    own, parents = _own(), _parents()
    seen, level = {key}, {key}
    while level:
        if found := {own[one] for one in level if one in own}:
            return tuple(sorted(found))
        level = {parent for one in level for parent in parents.get(one, ())} - seen
        seen |= level
    return ()


@cache
def _own() -> dict[dg.AssetKey, str]:
    return {
        key: contract.name
        for contract in contracts().values()
        for key in (
            dg.AssetKey(["sources", contract.name]),
            raw_key(contract),
            bronze_key(contract),
            silver_key(contract),
            quarantine_key(contract),
            newest_key(contract),
        )
    }


@cache
def _parents() -> dict[dg.AssetKey, frozenset[dg.AssetKey]]:
    from dagster_lake.definitions import defs

    graph = defs.resolve_asset_graph()
    return {key: frozenset(graph.get(key).parent_keys) for key in graph.get_all_asset_keys()}
