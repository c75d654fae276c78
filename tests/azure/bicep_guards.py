"""What guards a lake on Azure: locks, policies, the budget, alerts, and the order in which things are made."""

import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

from tests.azure.bicep_deployment import Deployment, Resource
from tests.azure.bicep_promises import at

POLICIES = {
    "e56962a6-4747-49cd-b67b-bf8b01975c4c": "only-in-the-region",
    "8c6a50c6-9ffd-4ae7-986f-5fa6111f9a54": "no-storage-keys",
    "fe83a0eb-a853-422d-aac2-1bffd182c5d0": "storage-tls",
    "b2982f36-99f2-4db5-8eff-283140c09693": "no-public-storage",
}
"""Azure's own policies, by the ids that they have in every tenant."""

LOG_ALERTS = {"failed-runs", "ingestion-lag", "slow-hours", "dead-letters"}
METRIC_ALERTS = {
    "events-throttled": ("Microsoft.EventHub/namespaces", "ThrottledRequests"),
    "capture-backlog": ("Microsoft.EventHub/namespaces", "CaptureBacklog"),
    "postgresql-full": ("Microsoft.DBforPostgreSQL/flexibleServers", "storage_percent"),
    "streams-behind": ("Microsoft.StreamAnalytics/streamingjobs", "OutputWatermarkDelaySeconds"),
    "streams-dead-letters": ("Microsoft.StreamAnalytics/streamingjobs", "DeserializationError"),
    "streams-errors": ("Microsoft.StreamAnalytics/streamingjobs", "Errors"),
    "failed-pipelines": ("Microsoft.DataFactory/factories", "PipelineFailedRuns"),
}
"""Each alert with the type of what it watches, and Azure's name of the metric."""


def locked(lake: Deployment) -> Iterator[str]:
    """With deleteLock, what holds data and secrets cannot be deleted; without it, nothing is locked."""
    wanted = set()
    if lake.modules["main"].parameters["deleteLock"]:
        wanted = {one.id for one in lake.resources if one.type in ("Microsoft.KeyVault/vaults",)}
        wanted |= {one.id for one in lake.of("Microsoft.Storage/storageAccounts") if one.module == "storage"}
    locks = lake.of("Microsoft.Authorization/locks")
    for scope in sorted({lock.scope for lock in locks} ^ wanted):
        yield f"{scope}: its lock is not as deleteLock says"
    for lock in locks:
        if lock.properties["level"] != "CanNotDelete":
            yield f"{lock.scope}: its lock is {lock.properties['level']}"
    days = lake.modules["main"].parameters["softDeleteDays"]
    for service in lake.of("Microsoft.Storage/storageAccounts/blobServices"):
        for policy in ("deleteRetentionPolicy", "containerDeleteRetentionPolicy"):
            if at(service.properties, policy) != {"enabled": True, "days": days}:
                yield f"{service.id}: its {policy} is {at(service.properties, policy)}"


def policed(lake: Deployment) -> Iterator[str]:
    """Every resource group has the policies, and they deny."""
    wanted = set(POLICIES.values())
    if not lake.modules["main"].parameters["privateNetwork"]:
        wanted.remove("no-public-storage")
    for group in lake.of("Microsoft.Resources/resourceGroups"):
        found = set()
        for policy in lake.of("Microsoft.Authorization/policyAssignments"):
            if policy.id.startswith(f"{group.id}/"):
                found.add(policy.name)
                yield from _policy(lake, policy)
        if found != wanted:
            yield f"{group.name} has the policies {sorted(found)}"


def _policy(lake: Deployment, policy: Resource) -> Iterator[str]:
    definition = policy.properties["policyDefinitionId"].rpartition("/")[2]
    if POLICIES.get(definition) != policy.name or policy.properties["enforcementMode"] != "Default":
        yield f"{policy.id} is the policy {definition}, {policy.properties['enforcementMode']}"
    parameters = {name: one["value"] for name, one in policy.properties["parameters"].items()}
    if policy.name == "only-in-the-region":
        allowed: Any = {"listOfAllowedLocations": [lake.modules["main"].parameters["location"]]}
    elif policy.name == "storage-tls":
        allowed = {"effect": "Deny", "minimumTlsVersion": "TLS1_2"}
    else:
        allowed = {"effect": "Deny"}
    if parameters != allowed:
        yield f"{policy.id} says {parameters}"


def budgeted(lake: Deployment) -> Iterator[str]:
    """People are told when half and nearly all of the budget is spent, and when all of it will be."""
    wanted = lake.modules["main"].parameters
    [budget] = lake.of("Microsoft.Consumption/budgets")
    inside = budget.properties
    if (inside["amount"], inside["timeGrain"], inside["category"]) != (wanted["monthlyBudget"], "Monthly", "Cost"):
        yield f"the budget is {inside['amount']} {inside['timeGrain']}"
    if inside["timePeriod"] != {"startDate": f"{wanted['budgetStart']}T00:00:00Z"}:
        yield f"the budget begins {inside['timePeriod']}"
    if not re.fullmatch(r"\d{4}-\d\d-01", wanted["budgetStart"]):
        yield f"budgetStart is {wanted['budgetStart']}, which is no first day of a month"
    told = {(one["thresholdType"], one["operator"], one["threshold"]) for one in inside["notifications"].values()}
    at_least = "GreaterThanOrEqualTo"
    if told != {("Actual", at_least, 50), ("Actual", at_least, 90), ("Forecasted", at_least, 100)}:
        yield f"people are told of {sorted(told)}"
    [people] = lake.of("Microsoft.Insights/actionGroups")
    for one in inside["notifications"].values():
        if (one["enabled"], one["contactEmails"], one["contactGroups"]) != (True, wanted["contacts"], [people.id]):
            yield f"a notification of the budget is {one}"
    groups = {group.name for group in lake.of("Microsoft.Resources/resourceGroups")}
    counted = inside["filter"]["dimensions"]
    prefix = f"rg-{wanted['domain']}-{wanted['environmentName']}"
    groups |= {f"{prefix}-{service}-managed" for service in ("databricks", "purview", "container-apps")}
    if (counted["name"], counted["operator"], set(counted["values"])) != ("ResourceGroupName", "In", groups):
        yield f"the budget counts {counted}"
    for name in sorted(_managed_groups(lake) - groups):
        yield f"the budget does not count {name}"


def _managed_groups(lake: Deployment) -> set[str]:
    """The groups that services make for themselves."""
    paths = ("managedResourceGroupId", "managedResourceGroupName", "infrastructureResourceGroup")
    found = [at(resource.properties, path) for resource in lake.resources for path in paths]
    return {name.rpartition("/")[2] for name in found if name}


def alerted(lake: Deployment) -> Iterator[str]:
    """Every alert is there when what it watches is, and tells the people."""
    wanted = lake.modules["main"].parameters
    [people] = lake.of("Microsoft.Insights/actionGroups")
    [workspace] = lake.of("Microsoft.OperationalInsights/workspaces")
    receivers = people.properties["emailReceivers"]
    emails = {one["emailAddress"] for one in receivers}
    if emails != set(wanted["contacts"]) or not all(one["useCommonAlertSchema"] for one in receivers):
        yield f"the action group tells {sorted(emails)}"
    prefix = f"alert-{wanted['domain']}-{wanted['environmentName']}-"
    rules = {one.name.removeprefix(prefix): one for one in lake.of("Microsoft.Insights/scheduledQueryRules")}
    if set(rules) != (LOG_ALERTS if wanted["dagsterImage"] else set()):
        yield f"the alerts on logs are {sorted(rules)}"
    for name, rule in rules.items():
        if rule.properties["actions"] != {"actionGroups": [people.id]} or rule.properties["scopes"] != [workspace.id]:
            yield f"{name}: tells {rule.properties['actions']}, of {rule.properties['scopes']}"
        if rule.body["kind"] != "LogAlert":
            yield f"{name}: is a {rule.body['kind']}"
    metrics = {one.name.removeprefix(prefix): one for one in lake.of("Microsoft.Insights/metricAlerts")}
    there = {one.type for one in lake.resources}
    if set(metrics) != {name for name, (type_, _) in METRIC_ALERTS.items() if type_ in there}:
        yield f"the alerts on metrics are {sorted(metrics)}"
    for name, rule in metrics.items():
        type_, metric = METRIC_ALERTS.get(name, ("", ""))
        criteria = rule.properties["criteria"]
        if criteria["odata.type"] != "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria":
            yield f"{name}: its criteria are {criteria['odata.type']}"
        [criterion] = criteria["allOf"]
        if criterion["metricName"] != metric or criterion["operator"] != "GreaterThan":
            yield f"{name}: looks at {criterion}"
        if rule.properties["actions"] != [{"actionGroupId": people.id}]:
            yield f"{name}: tells {rule.properties['actions']}"
        if rule.properties["scopes"] != [one.id for one in lake.of(type_)]:
            yield f"{name}: looks at {rule.properties['scopes']}"


FIRST = {
    "dagster": {"registry-access", "storage-access", "event-hubs-access", "key-vault-access", "postgresql-access"},
    "event-hubs": {"storage-access"},
    "stream-starter": {"stream-starter-access"},
}
"""Modules that need rights, and those that give them."""


def sequenced(lake: Deployment) -> Iterator[str]:
    """What Azure cannot tell from the values themselves: a server's changes one by one, roles before their use."""
    for module, needed in FIRST.items():
        if module in lake.modules:
            for other in sorted(needed - lake.modules[module].after):
                yield f"{module} does not wait for {other}"
    before = {one.id: _before(lake, one) for one in lake.resources}
    changes = [one for one in lake.resources if re.search(r"/flexibleServers/[^/]+/\w+/", one.id) and _own(one)]
    for one, another in combinations(changes, 2):
        if one.id not in before[another.id] and another.id not in before[one.id]:
            yield f"{one.id} and {another.name} may change the server at once"
    for workspace in lake.of("Microsoft.MachineLearningServices/workspaces"):
        for role in lake.of("Microsoft.Authorization/roleAssignments"):
            if role.module == workspace.module and role.id not in before[workspace.id]:
                yield f"{workspace.name} may be made before {role.properties['roleDefinitionId']} is given"
    for later, earlier in _AFTER.items():
        for one in lake.of(later):
            for first in [first for type_ in earlier for first in lake.of(type_)]:
                if first.id not in before[one.id]:
                    yield f"{one.id} may be made before {first.id}"
    for name in ("dagster-daemon", "dagster-webserver"):
        for app in lake.of("Microsoft.App/containerApps"):
            if app.name == name and not any(id_.endswith("/dagster-code") for id_ in before[app.id]):
                yield f"{name} may start before the code location"


_AFTER = {
    "Microsoft.Network/privateEndpoints/privateDnsZoneGroups": ("Microsoft.Network/privateDnsZones",),
    "Microsoft.Storage/storageAccounts/managementPolicies": (
        "Microsoft.Storage/storageAccounts/blobServices/containers",
    ),
    "Microsoft.StreamAnalytics/streamingjobs/transformations": (
        "Microsoft.StreamAnalytics/streamingjobs/inputs",
        "Microsoft.StreamAnalytics/streamingjobs/outputs",
    ),
}


def _own(resource: Resource) -> bool:
    return not resource.scope and resource.module == "postgresql"


def _before(lake: Deployment, resource: Resource) -> set[str]:
    by_id = {one.id: one for one in lake.resources}
    found: set[str] = set()
    waiting = [resource]
    while waiting:
        for id_ in waiting.pop().after - found:
            found.add(id_)
            waiting += [by_id[id_]] if id_ in by_id else []
    return found


GUARDS = (locked, policed, budgeted, alerted, sequenced)
