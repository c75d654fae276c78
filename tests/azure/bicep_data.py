"""What a lake on Azure says of its data: how long it is kept, what Capture writes where, and what may read it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dagster_lake.contract.model import Contract, EventHubSource, FileSource
from dagster_lake.sources.event_hub.captured import CAPTURE_LAG
from dagster_lake.storage.paths import LAYERS
from tests.azure.bicep_deployment import Deployment, Resource

_LIFECYCLE = "Microsoft.Storage/storageAccounts/managementPolicies"
_HUBS = "Microsoft.EventHub/namespaces/eventhubs"
PARTS = ("{Namespace}", "{EventHub}", "{PartitionId}", "{Year}", "{Month}", "{Day}", "{Hour}", "{Minute}", "{Second}")


def kept(lake: Deployment, contracts: Mapping[str, Contract]) -> Iterator[str]:
    """Raw and captured files go when the contract says, and so does what streams wrote beside their tables; nothing of
    Delta tables goes by age, and no dropped file."""
    folder = _prefix(lake)
    wanted = {f"lake/{folder}{path}/": days for path, days in _retention(contracts).items()}
    found: dict[str, int] = {}
    for rule in _rules(lake):
        definition = rule["definition"]
        if rule["type"] != "Lifecycle" or rule["enabled"] is not True or set(definition["actions"]) != {"baseBlob"}:
            yield f"{rule['name']}: is not a rule that is at work"
        if definition["actions"]["baseBlob"] != {"delete": _days(rule)} or "blockBlob" not in _types(rule):
            yield f"{rule['name']}: does {definition['actions']} to {_types(rule)}"
        for prefix in definition["filters"]["prefixMatch"]:
            found[prefix] = definition["actions"]["baseBlob"]["delete"]["daysAfterModificationGreaterThan"]
            yield from _in_danger(prefix, folder, contracts)
    for path, days in wanted.items():
        if found.get(path) != days:
            yield f"{path}: is kept {found.get(path)} days, not {days}"
    for path in sorted(set(found) - set(wanted) - {"logs/"}):
        if not path.startswith((f"lake/{folder}stream_analytics/", f"lake/{folder}drops/")):
            yield f"{path}: no contract says how long it is kept"


def _retention(contracts: Mapping[str, Contract]) -> dict[str, int]:
    days = {}
    for contract in contracts.values():
        if contract.retention_days:
            zone = "sensitive/raw" if contract.sensitive else "raw"
            days[f"{zone}/{contract.name}"] = contract.retention_days
            if isinstance(contract.source, EventHubSource):
                days[f"landing/{contract.source.capture or contract.name}"] = contract.retention_days
    return days


def _in_danger(prefix: str, folder: str, contracts: Mapping[str, Contract]) -> Iterator[str]:
    """What must not go by age: tables, files dropped for a snapshot, and Stream Analytics' reference data."""
    tables = [f"lake/{folder}{zone}{layer}/" for layer in LAYERS for zone in ("", "sensitive/")]
    dropped = [f"lake/{folder}landing/{c.name}/" for c in contracts.values() if isinstance(c.source, FileSource)]
    single = ("stream_analytics/reference/", "sinks/", "lake.json", "managed/")
    others = [f"lake/{folder}{one}" for one in single]
    for one in [*tables, *dropped, *others]:
        if one.startswith(prefix) or prefix.startswith(one):
            yield f"{prefix}: {one} must not go by age"


def captured(lake: Deployment, contracts: Mapping[str, Contract]) -> Iterator[str]:
    """Each event data set has its hub, captured where and as the lake reads it, and a consumer group for the lake."""
    wanted = lake.modules["main"].parameters
    sources = {c.name: c.source for c in contracts.values() if isinstance(c.source, EventHubSource)}
    hubs = {hub.name: hub for hub in lake.of(_HUBS)}
    if set(hubs) != {source.hub for source in sources.values()}:
        yield f"the hubs are {sorted(hubs)}"
    for name, source in sources.items():
        if source.hub in hubs:
            yield from _capture(lake, hubs[source.hub], f"{_prefix(lake)}landing/{source.capture or name}/")
    [namespace] = lake.of("Microsoft.EventHub/namespaces")
    inflates = wanted["maximumThroughputUnits"] > wanted["throughputUnits"]
    properties = namespace.properties
    if (namespace.body["sku"]["capacity"], properties["isAutoInflateEnabled"]) != (wanted["throughputUnits"], inflates):
        yield f"{namespace.name}: does not inflate as wanted"
    if properties["maximumThroughputUnits"] != (wanted["maximumThroughputUnits"] if inflates else 0):
        yield f"{namespace.name}: inflates to {properties['maximumThroughputUnits']}"
    if properties["zoneRedundant"] is not wanted["zoneRedundant"]:
        yield f"{namespace.name}: is not spread as wanted"


def _capture(lake: Deployment, hub: Resource, folder: str) -> Iterator[str]:
    wanted = lake.modules["main"].parameters
    [account] = [one for one in lake.of("Microsoft.Storage/storageAccounts") if one.module == "storage"]
    [namespace] = lake.of("Microsoft.EventHub/namespaces")
    capture = hub.properties["captureDescription"]
    place = capture["destination"]["properties"]
    if place["archiveNameFormat"] != folder + "/".join(PARTS):
        yield f"{hub.name}: is captured as {place['archiveNameFormat']}"
    if (place["storageAccountResourceId"], place["blobContainer"]) != (account.id, "lake"):
        yield f"{hub.name}: is captured in {place}"
    if capture["destination"]["name"] != "EventHubArchive.AzureBlockBlob":
        yield f"{hub.name}: is captured as {capture['destination']['name']}"
    writer = capture["destination"]["identity"]["userAssignedIdentity"]
    if writer not in namespace.body["identity"]["userAssignedIdentities"]:
        yield f"{hub.name}: is captured as somebody else"
    if not 60 <= capture["intervalInSeconds"] <= CAPTURE_LAG.total_seconds() - 300:
        yield f"{hub.name}: is captured every {capture['intervalInSeconds']} s, too seldom for the lake"
    if not 10_485_760 <= capture["sizeLimitInBytes"] <= 524_288_000:
        yield f"{hub.name}: Capture takes no sizeLimitInBytes of {capture['sizeLimitInBytes']}"
    kept_hours = hub.properties["retentionDescription"]
    if kept_hours != {"cleanupPolicy": "Delete", "retentionTimeInHours": wanted["eventHours"]}:
        yield f"{hub.name}: keeps events {kept_hours}"
    if hub.properties["partitionCount"] != wanted["partitions"]:
        yield f"{hub.name}: has {hub.properties['partitionCount']} partitions"
    groups = {one.name for one in lake.of(f"{_HUBS}/consumergroups") if one.id.startswith(f"{hub.id}/")}
    if groups != {"lake"} | ({"stream-analytics"} if wanted["deployStreamAnalytics"] else set()):
        yield f"{hub.name}: its consumer groups are {sorted(groups)}"


def _prefix(lake: Deployment) -> str:
    folder = lake.modules["main"].parameters["lakeFolder"]
    return f"{folder}/" if folder else ""


def _rules(lake: Deployment) -> list[dict[str, Any]]:
    [policy] = lake.of(_LIFECYCLE)
    rules: list[dict[str, Any]] = policy.properties["policy"]["rules"]
    assert all(re.fullmatch(r"[A-Za-z0-9-]+", rule["name"]) for rule in rules)
    return rules


def _days(rule: dict[str, Any]) -> dict[str, int]:
    days: int = rule["definition"]["actions"]["baseBlob"]["delete"]["daysAfterModificationGreaterThan"]
    return {"daysAfterModificationGreaterThan": days}


def _types(rule: dict[str, Any]) -> list[str]:
    types: list[str] = rule["definition"]["filters"]["blobTypes"]
    return types
