"""Up to when the events of a hub are all in raw, by the hub's own word: time passes for a silent stream, too."""

from collections.abc import Iterable
from datetime import datetime

from dagster_lake.contract.model import Contract, EventHubSource, contracts
from dagster_lake.landing.hubs import hub_of
from dagster_lake.landing.land import manifests, partitions
from dagster_lake.sources.event_hub.protocol import EventHubError
from dagster_lake.sources.opened import Sources
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.sequence_runs import holds, joined
from dagster_lake.streams.alerts.kinds import AlertKind


def settled_in_raw(lake: Lake, sources: Sources, kinds: Iterable[AlertKind]) -> dict[str, datetime]:
    """By data set that streams with waiting alerts read: the instant up to which all its events have landed."""
    return settled_until(lake, sources, {name for kind in kinds if kind.told_after is not None for name in kind.inputs})


def settled_until(lake: Lake, sources: Sources, data_sets: Iterable[str]) -> dict[str, datetime]:
    """By data set, the instant up to which all its events have landed.

    A data set is left out while its hub cannot be reached, or holds events that have not landed.
    """
    found = {}
    for name in sorted(data_sets):
        try:
            settled = _settled(lake, sources, contracts()[name])
        except EventHubError:
            continue
        if settled is not None:
            found[name] = settled
    return found


def _settled(lake: Lake, sources: Sources, contract: Contract) -> datetime | None:
    assert isinstance(contract.source, EventHubSource)
    hub, name = hub_of(contract, lake, sources), contract.source.hub
    settled = hub.settled_until(name)  # asked first: what comes later is in the next look
    landed = manifests(lake, contract, partitions(lake, contract)[-2:])
    if not landed or any(manifest.lacks for manifest in landed):
        return None  # Capture has left out events, which may still come
    runs = joined(*(manifest.runs or {} for manifest in landed))
    whole_until = [manifest.end for manifest in landed if manifest.is_over and manifest.end]
    in_raw = all(
        holds(runs, partition, position.sequence_number, position.enqueued_time)
        or any(position.enqueued_time <= end for end in whole_until)
        for partition, position in hub.newest(name).items()
    )
    return settled if in_raw else None
