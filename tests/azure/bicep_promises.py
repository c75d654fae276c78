"""What the lake's resources on Azure promise, each as a function that lists where a deployment breaks it."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from tests.azure.bicep_deployment import Deployment, Resource, Runtime
from tests.azure.bicep_facts import (
    DIAGNOSED,
    DOORS,
    ENDPOINTS,
    EXCEPTIONS,
    LOGS,
    METRICS,
    NAMES,
    ONE_IN_THE_WORLD,
    SETTLED,
    UNTOLD,
    VERSIONS,
)

Problems = Iterator[str]


def versions(lake: Deployment) -> Problems:
    """Every type is known here, with its one version."""
    for type_, version in sorted(lake.versions):
        if version != VERSIONS.get(type_):
            yield f"{type_}@{version} is not the version in VERSIONS"


def closed(lake: Deployment) -> Problems:
    """A private lake is reached through its network only."""
    for resource in lake.resources:
        yield from _differing(resource, DOORS.get(resource.type, {}))
        if resource.type.endswith("/firewallRules"):
            yield f"{resource.id} lets addresses in"
        for path, value in leaves(resource.body):
            if "publicnetworkaccess" in path.lower() and value != "Disabled" and not path.endswith("ForQuery"):
                yield f"{resource.id}: {path} is {value}"
    yield from _security_rules(lake)
    for network in lake.of("Microsoft.Network/virtualNetworks"):
        for subnet in network.properties["subnets"]:
            inside = subnet["properties"]
            if inside.get("defaultOutboundAccess") is not False or not inside["natGateway"]["id"]:
                yield f"{subnet['name']}: a way out beside the NAT gateway"
            if not inside["networkSecurityGroup"]["id"].endswith(subnet["name"]):
                yield f"{subnet['name']}: has not its own security group"
    yield from endpoints(lake)


def _security_rules(lake: Deployment) -> Problems:
    for group in lake.of("Microsoft.Network/networkSecurityGroups"):
        for rule in group.properties["securityRules"]:
            inside = rule["properties"]
            source, target = inside["sourceAddressPrefix"], inside["destinationAddressPrefix"]
            if source != "VirtualNetwork" or (inside["direction"] == "Inbound" and target != "VirtualNetwork"):
                yield f"{group.name}: {rule['name']} lets {source} in to {target}"
            if inside["direction"] == "Outbound" and target in ("Internet", "*", "AzureDatabricks"):
                yield f"{group.name}: {rule['name']} lets out to {target}"


def endpoints(lake: Deployment) -> Problems:
    """Every service of a private lake has its endpoints, each found by a name that the network knows."""
    found: dict[str, set[str]] = {}
    zones = {zone.id for zone in lake.of("Microsoft.Network/privateDnsZones")}
    linked = {link.id.rpartition("/virtualNetworkLinks/")[0] for link in lake.of(_LINK)}
    groups = {group.id.rpartition("/privateDnsZoneGroups/")[0]: group for group in lake.of(_ZONES)}
    used = set()
    for endpoint in lake.of("Microsoft.Network/privateEndpoints"):
        [connection] = endpoint.properties["privateLinkServiceConnections"]
        found.setdefault(connection["properties"]["privateLinkServiceId"], set()).update(
            connection["properties"]["groupIds"]
        )
        if not endpoint.properties["subnet"]["id"].endswith("/subnets/private-endpoints"):
            yield f"{endpoint.name}: is not in the subnet of private endpoints"
        configured = groups[endpoint.id].properties["privateDnsZoneConfigs"] if endpoint.id in groups else []
        named = {one["properties"]["privateDnsZoneId"] for one in configured}
        used |= named
        if not named or named - zones:
            yield f"{endpoint.name}: its DNS zones are not there: {sorted(named - zones)}"
    for zone in sorted((zones ^ used) | (zones - linked)):
        yield f"{zone}: is not both linked and used"
    for resource in lake.resources:
        wanted = _wanted_endpoints(resource)
        if wanted and found.get(resource.id) != wanted:
            yield f"{resource.id}: private endpoints {sorted(found.get(resource.id, set()))}, not {sorted(wanted)}"
    for target in sorted(set(found) - {resource.id for resource in lake.resources}):
        yield f"{target}: has a private endpoint and is not deployed"


def _wanted_endpoints(resource: Resource) -> set[str]:
    if resource.type == "Microsoft.Storage/storageAccounts":
        return {"blob", "dfs"} if resource.properties.get("isHnsEnabled") else {"blob", "file"}
    return ENDPOINTS.get(resource.type, set())


def settled(lake: Deployment) -> Problems:
    """TLS 1.2, no keys and passwords, nothing lost by one mistake: SETTLED holds of every resource."""
    for resource in lake.resources:
        yield from _differing(resource, SETTLED.get(resource.type, {}))
        yield from _differing(resource, EXCEPTIONS.get((resource.module, resource.type), {}))
    parameters = {one.name: one.properties["value"] for one in lake.of(_CONFIGURATIONS)}
    if parameters != {"require_secure_transport": "on", "ssl_min_protocol_version": "TLSv1.2"}:
        yield f"PostgreSQL's transport is {parameters}"
    for app in lake.of("Microsoft.App/containerApps"):
        ingress = app.properties["configuration"].get("ingress", {})
        if ingress.get("transport") != "tcp" and ingress.get("allowInsecure", False) is not False:
            yield f"{app.name}: takes plain HTTP"


def diagnosed(lake: Deployment) -> Problems:
    """Everything that has something to tell tells it, to the one workspace."""
    [workspace] = lake.of("Microsoft.OperationalInsights/workspaces")
    told: dict[str, Resource] = {}
    for setting in lake.of("Microsoft.Insights/diagnosticSettings"):
        if setting.scope in told:
            yield f"{setting.scope}: has two diagnostic settings"
        told[setting.scope] = setting
        if setting.properties["workspaceId"] != workspace.id:
            yield f"{setting.scope}: tells another workspace"
    for resource in lake.resources:
        wanted = DIAGNOSED.get(resource.type)
        if wanted is None:
            top = resource.type.count("/") == 1 and "location" in resource.body
            if top and resource.type not in UNTOLD and not resource.type.startswith("Microsoft.Insights/"):
                yield f"{resource.type}: say in DIAGNOSED or UNTOLD whether it has something to tell"
            continue
        if resource.id not in told or not told[resource.id].properties.get(wanted):
            yield f"{resource.id}: has no {wanted}"
    yield from _silent(lake)


def _silent(lake: Deployment) -> Problems:
    reads = lake.modules["main"].parameters["logReads"]
    for setting in lake.of("Microsoft.Insights/diagnosticSettings"):
        for kind in (LOGS, METRICS):
            for one in setting.properties.get(kind, []):
                name = one.get("categoryGroup") or one.get("category")
                if name not in _CATEGORIES[kind]:
                    yield f"{setting.scope}: {name} is no category of {kind}"
                if one["enabled"] is not (reads if name == "StorageRead" else True):
                    yield f"{setting.scope}: {one} is not as it should be"


_CATEGORIES = {
    LOGS: {"allLogs", "audit", "StorageRead", "StorageWrite", "StorageDelete", "SQLSecurityAuditEvents"},
    METRICS: {"AllMetrics", "Transaction", "Capacity", "Basic"},
}


OWN_IDENTITIES = {
    "Microsoft.DataFactory/factories",
    "Microsoft.Purview/accounts",
    "Microsoft.StreamAnalytics/streamingjobs",
}
"""Services that act as themselves, since they take no other identity (docs/azure.md says of each why)."""


def identified(lake: Deployment) -> Problems:
    """Each workload has one user-assigned identity, but for OWN_IDENTITIES, and each identity one workload's name."""
    known = {identity.id for identity in lake.of("Microsoft.ManagedIdentity/userAssignedIdentities")}
    used = set()
    for resource in lake.resources:
        if "identity" not in resource.body:
            continue
        identity = resource.body["identity"]
        if identity["type"] != ("SystemAssigned" if resource.type in OWN_IDENTITIES else "UserAssigned"):
            yield f"{resource.id}: its identity is {identity['type']}"
        given = set(identity.get("userAssignedIdentities", {}))
        used |= given
        if len(given) != (0 if resource.type in OWN_IDENTITIES else 1) or given - known:
            yield f"{resource.id}: acts as {sorted(given)}"
    dagster = {id_ for id_ in known if id_.endswith("-dagster")}
    for id_ in sorted((known ^ used) - dagster):  # Dagster's comes before its image
        yield f"{id_}: is not used by one workload"
    names = lake.modules["identities"].parameters["names"]
    administrator = lake.modules["postgresql-access"].parameters
    if names[0] != administrator["principalName"] or not administrator["principalId"].endswith(".principalIds.0"):
        yield f"PostgreSQL's administrator is {administrator}"


def tagged(lake: Deployment) -> Problems:
    """Everything that has a place has the five tags, and the place is the one region."""
    wanted = lake.modules["main"].parameters
    tags = {"project": "dagster_lake", "domain": wanted["domain"], "environment": wanted["environmentName"]}
    tags |= {"owner": wanted["owner"], "costCentre": wanted["costCentre"]}
    for resource in lake.resources:
        if "location" in resource.body:
            if resource.body.get("tags") != tags:
                yield f"{resource.id}: its tags are {resource.body.get('tags')}"
            if resource.body["location"] not in (wanted["location"], "global"):
                yield f"{resource.id}: is in {resource.body['location']}"


def named(lake: Deployment) -> Problems:
    """Names fit Azure's rules, are known beforehand, and are each there once."""
    seen = set()
    for resource in lake.resources:
        if resource.id.lower() in seen:
            yield f"{resource.id} is deployed twice"
        seen.add(resource.id.lower())
        if isinstance(resource.name, Runtime):
            yield f"{resource.id}: its name is not known beforehand"
        if resource.type in ONE_IN_THE_WORLD and not re.search(r"[0-9a-f]{6}$", resource.name):
            yield f"{resource.name}: somebody may have this name already"
        if not re.fullmatch(NAMES.get(resource.type, r"[^<>%&?]{1,260}"), resource.name):
            yield f"{resource.type}: {resource.name!r} cannot be its name"


def foreseeable(lake: Deployment) -> Problems:
    """What modules are given is known beforehand, or a what-if could not look into them."""
    for module in lake.modules.values():
        for name, value in module.parameters.items():
            unknown = [path for path, leaf in leaves({name: value}) if isinstance(leaf, Runtime)]
            if unknown and (module.name, name) != ("postgresql-access", "principalId"):
                yield f"{module.name}: {', '.join(unknown)} is known only while deploying"


def ordered(lake: Deployment) -> Problems:
    """Each module waits for its resource group, and for the modules whose resources it reads or names."""
    owner = {resource.id: resource.module for resource in lake.resources}
    needs = {name: {*module.reads, module.scope} for name, module in lake.modules.items()}
    for resource in lake.resources:
        needs[resource.module].update(_named(resource))
    for module in set(lake.modules) - {"main"}:
        waits = _all_before(lake, lake.modules[module].after)
        for id_ in needs[module]:
            for one in [one for one in owner if _within(id_, one)]:
                if owner[one] != module and not waits & {owner[one], one}:
                    yield f"{module} needs {id_}, and does not wait for {owner[one]}"
    for resource in lake.resources:
        if resource.module == "main":
            missing = {owner.get(id_, "main") for id_ in _named(resource)} - {"main"}
            for module in missing - _all_before(lake, resource.after):
                yield f"{resource.name} does not wait for {module}"


def _named(resource: Resource) -> set[str]:
    """The ids in a resource's body of resources that must be there."""
    later = _MAY_COME_LATER.get(resource.type, "no such property")
    found = ((path, leaf) for path, leaf in leaves(resource.body) if isinstance(leaf, str))
    return {leaf for path, leaf in found if leaf.startswith("/subscriptions/") and not path.startswith(later)}


# A firewall's exceptions may name what is not there yet.
_MAY_COME_LATER = {"Microsoft.Storage/storageAccounts": "properties.networkAcls.resourceAccessRules"}


def _within(named: str, resource: str) -> bool:
    return named == resource or named.startswith((f"{resource}/", f"{resource}."))


def _all_before(lake: Deployment, after: frozenset[str]) -> set[str]:
    """Everything that was waited for before something that comes after these modules and resources."""
    found, waiting = set(after), list(after)
    while waiting:
        one = waiting.pop()
        for other in (lake.modules[one].after if one in lake.modules else frozenset()) - found:
            found.add(other)
            waiting.append(other)
    return found


def secretless(lake: Deployment) -> Problems:
    """No secret is a parameter, a setting, a property or an output; secrets of apps are references to the vault."""
    for resource in lake.resources:
        for path, leaf in leaves(resource.body):
            last = path.rpartition(".")[2]
            if _SECRET.search(last) and isinstance(leaf, str) and last not in _NO_SECRETS:
                yield f"{resource.id}: {path} looks like a secret"
    for app in lake.of("Microsoft.App/containerApps"):
        for secret in app.properties["configuration"].get("secrets", []):
            if "keyVaultUrl" in secret:
                if not secret["identity"] or "value" in secret:
                    yield f"{app.name}: the secret {secret['name']} is not the vault's"
            elif not str(secret["value"]).endswith(".properties.clientId") and ".clientId" not in str(secret["value"]):
                yield f"{app.name}: the secret {secret['name']} is written down"
    for name in lake.outputs:
        if _SECRET.search(name):
            yield f"the output {name} looks like a secret"


_SECRET = re.compile(r"(?i)password|secret|connectionstring|accountkey|sharedkey|accesskey|sastoken")
_NO_SECRETS = (
    "passwordAuth",
    "allowSharedKeyAccess",
    "secretRef",
    "clientSecretSettingName",
)

# ---- reading resources -----------------------------------------------------------------------------------------------

_LINK = "Microsoft.Network/privateDnsZones/virtualNetworkLinks"
_ZONES = "Microsoft.Network/privateEndpoints/privateDnsZoneGroups"
_CONFIGURATIONS = "Microsoft.DBforPostgreSQL/flexibleServers/configurations"


def at(properties: Any, path: str) -> Any:
    """The property at a path such as ``network.publicNetworkAccess``; None when there is none."""
    for part in path.split("."):
        properties = properties.get(part) if isinstance(properties, dict) else None
    return properties


def _differing(resource: Resource, wanted: Mapping[str, Any]) -> Problems:
    for path, value in wanted.items():
        found = at(resource.properties, path)
        if found != value or type(found) is not type(value):
            yield f"{resource.id}: {path} is {found!r}, not {value!r}"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each value that is no object or list, and its path."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, path)
    else:
        yield path, value


ALWAYS: tuple[Callable[[Deployment], Problems], ...] = (
    versions,
    settled,
    diagnosed,
    identified,
    tagged,
    named,
    foreseeable,
    ordered,
    secretless,
)
