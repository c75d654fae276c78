"""Which data sets an asset concerns: those of the contracts nearest to it, up the graph."""

from collections.abc import Callable, Mapping

import dagster as dg

from dagster_lake.asset_keys import bronze_key, newest_key, quarantine_key, raw_key, silver_key
from dagster_lake.contract.model import contracts


def data_sets_by(definitions: dg.Definitions) -> Callable[[dg.AssetKey], tuple[str, ...]]:
    """Finds the data set whose contract makes an asset of ``definitions``, or those that its nearest such ancestors are
    of; none when there are none."""
    graph = definitions.resolve_asset_graph()
    parents = {key: frozenset(graph.get(key).parent_keys) for key in graph.get_all_asset_keys()}
    own = _own()
    return lambda key: _nearest(key, own, parents)


def _nearest(
    key: dg.AssetKey, own: Mapping[dg.AssetKey, str], parents: Mapping[dg.AssetKey, frozenset[dg.AssetKey]]
) -> tuple[str, ...]:
    seen, level = {key}, {key}
    while level:
        if found := {own[one] for one in level if one in own}:
            return tuple(sorted(found))
        level = {parent for one in level for parent in parents.get(one, ())} - seen
        seen |= level
    return ()


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
