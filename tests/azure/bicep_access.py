"""Who may do what on Azure: the whole table, written down a second time, and compared with what is deployed."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.azure.bicep_deployment import Deployment, Resource

ROLES = {
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "AcrPush": "8311e382-0749-4cb8-b61a-304f252e45ec",
    "Application Insights Component Contributor": "ae349356-3a1b-4a5e-921d-050484c6347e",
    "Azure Event Hubs Data Receiver": "a638d3c7-ab3a-418d-83e6-5f17a39d4fde",
    "Azure Event Hubs Data Sender": "2b629674-e913-4c01-ae53-ef4638d8f975",
    "Contributor": "b24988ac-6180-42a0-ab88-20f7382dd24c",
    "Key Vault Administrator": "00482a5a-887f-4fb3-b363-3b7fe8e74483",
    "Key Vault Secrets Officer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Storage Blob Data Reader": "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1",
    "Storage File Data Privileged Contributor": "69566ab7-960f-475b-8e7c-b3118f30c6bd",
}
"""Azure's own roles, by the ids that they have in every tenant."""

BLOB_ACTIONS = {"read", "write", "add/action", "move/action", "delete"}
"""What the role Storage Blob Data Contributor may do to a blob; a condition must speak of each."""


@dataclass(frozen=True, order=True)
class Access:
    """``who`` has ``role`` on ``what``, below ``folders`` of it only where there are some."""

    who: str
    role: str
    what: str
    folders: tuple[str, ...] = ()


def expected(lake: Deployment) -> set[Access]:
    """The table. What a workload does not need is not in here."""
    wanted = lake.modules["main"].parameters
    folder = f"{wanted['lakeFolder']}/" if wanted["lakeFolder"] else ""
    masked = tuple(f"{folder}{zone}/*" for zone in ("silver", "streams", "gold"))
    write, read = "Storage Blob Data Contributor", "Storage Blob Data Reader"
    rows = {
        Access("dagster", write, "container lake"),
        Access("dagster", write, "container logs"),
        Access("dagster", "Azure Event Hubs Data Receiver", "event hubs"),
        Access("dagster", "Key Vault Secrets User", "vault"),
        Access("dagster", "AcrPull", "registry"),
        Access("administrators", "Key Vault Secrets Officer", "vault"),
        Access("event-hubs", write, "container lake", (f"{folder}landing/*",)),
    }
    if wanted["generators"]:
        rows.add(Access("dagster", "Azure Event Hubs Data Sender", "event hubs"))
    if wanted["deployDatabricks"]:
        rows.add(Access("databricks", write, "container lake"))
    if wanted["deployStreamAnalytics"]:
        rows |= {
            Access("stream analytics", "Azure Event Hubs Data Receiver", "event hubs"),
            Access("stream analytics", write, "container lake", (f"{folder}stream_analytics/*",)),
            Access("stream-starter", "Stream starter", "stream analytics"),
        }
    if wanted["deployMachineLearning"]:
        rows |= {
            Access("machine-learning", read, "container lake", masked),
            Access("machine-learning", "Contributor", "machine learning storage"),
            Access("machine-learning", write, "machine learning storage"),
            Access("machine-learning", "Storage File Data Privileged Contributor", "machine learning storage"),
            Access("machine-learning", "Contributor", "machine learning vault"),
            Access("machine-learning", "Key Vault Administrator", "machine learning vault"),
            Access("machine-learning", "Application Insights Component Contributor", "application insights"),
            Access("machine-learning", "AcrPull", "registry"),
            Access("machine-learning", "AcrPush", "registry"),
        }
    if wanted["deployPurview"]:
        rows.add(Access("purview", read, "container lake", masked))
    return rows


def access(lake: Deployment) -> Iterator[str]:
    """Every identity has the roles in the table, on that and below that, and no others."""
    found: list[Access] = []
    for assignment in lake.of("Microsoft.Authorization/roleAssignments"):
        found.append(_access(lake, assignment))
        yield from _odd(lake, assignment)
    for row in sorted(expected(lake) - set(found)):
        yield f"missing: {row}"
    for row in sorted(set(found) - expected(lake)):
        yield f"too much: {row}"
    for row in sorted({row for row in found if found.count(row) > 1}):
        yield f"given twice: {row}"
    for role in lake.of("Microsoft.Authorization/roleDefinitions"):
        actions = [action for one in role.properties["permissions"] for action in one["actions"]]
        start = "Microsoft.StreamAnalytics/streamingjobs"
        if actions != [f"{start}/read", f"{start}/start/action"] or role.properties["type"] != "CustomRole":
            yield f"{role.properties['roleName']} may {actions}"
        if role.properties["assignableScopes"] != [role.id.partition("/providers/")[0]]:
            yield f"{role.properties['roleName']} can be given in {role.properties['assignableScopes']}"


def _odd(lake: Deployment, assignment: Resource) -> Iterator[str]:
    """What is wrong with an assignment, whatever it gives."""
    group = assignment.properties["principalId"] == lake.modules["main"].parameters["administratorsId"]
    if assignment.properties["principalType"] != ("Group" if group else "ServicePrincipal"):
        yield f"{assignment.id}: its principalType is {assignment.properties['principalType']}"
    condition, version = assignment.properties.get("condition"), assignment.properties.get("conditionVersion")
    if (condition is None) != (version is None) or version not in (None, "2.0"):
        yield f"{assignment.id}: its condition is of version {version}"
    if condition is not None:
        restricted = set(re.findall(r"!\(ActionMatches\{'[\w.]+/storageAccounts/.*?/blobs/([\w/]+)'\}", condition))
        if restricted != BLOB_ACTIONS or condition.count("(") != condition.count(")"):
            yield f"{assignment.id}: its condition speaks of {sorted(restricted)}"


def _access(lake: Deployment, assignment: Resource) -> Access:
    folders = re.findall(r"@Resource\[[^\]]+:path\] StringLike '([^']*)'", assignment.properties.get("condition") or "")
    role = assignment.properties["roleDefinitionId"]
    return Access(_who(lake, assignment), _role(lake, role), _what(lake, assignment.scope), tuple(folders))


def _who(lake: Deployment, assignment: Resource) -> str:
    principal = assignment.properties["principalId"]
    if principal == lake.modules["main"].parameters["administratorsId"]:
        return "administrators"
    for type_, who in {"streamingjobs": "stream analytics", "Purview/accounts": "purview"}.items():
        if type_ in principal and principal.endswith(".identity.principalId"):
            return who
    wanted = lake.modules["main"].parameters
    found = re.search(
        rf"/userAssignedIdentities/id-{wanted['domain']}-{wanted['environmentName']}-([\w-]+)"
        r"\.properties\.principalId$",
        principal,
    )
    return found[1] if found else principal


def _role(lake: Deployment, definition: str) -> str:
    for name, id_ in ROLES.items():
        if definition.endswith(f"/providers/Microsoft.Authorization/roleDefinitions/{id_}"):
            return name
    for role in lake.of("Microsoft.Authorization/roleDefinitions"):
        if role.id == definition:
            return str(role.properties["roleName"]).partition(" (")[0]
    return definition


def _what(lake: Deployment, scope: str) -> str:
    [lake_account] = [one for one in lake.of("Microsoft.Storage/storageAccounts") if one.module == "storage"]
    [vault] = [one for one in lake.of("Microsoft.KeyVault/vaults") if one.module == "key-vault"]
    if scope.startswith(f"{lake_account.id}/blobServices/default/containers/"):
        return f"container {scope.rpartition('/')[2]}"
    known = {
        "Microsoft.EventHub/namespaces": "event hubs",
        "Microsoft.KeyVault/vaults": "vault" if scope == vault.id else "machine learning vault",
        "Microsoft.ContainerRegistry/registries": "registry",
        "Microsoft.StreamAnalytics/streamingjobs": "stream analytics",
        "Microsoft.Insights/components": "application insights",
        "Microsoft.Storage/storageAccounts": "machine learning storage" if scope != lake_account.id else "all the lake",
    }
    return next((what for type_, what in known.items() if re.search(rf"/providers/{type_}/[^/]+$", scope)), scope)
