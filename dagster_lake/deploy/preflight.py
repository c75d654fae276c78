"""Everything that can be looked at before Azure is asked to do anything."""

import json
import re
from dataclasses import dataclass
from difflib import get_close_matches

from dagster_lake.deploy.az import Az
from dagster_lake.deploy.az_failure import AzFailed
from dagster_lake.deploy.bicep_inputs import generated
from dagster_lake.deploy.errors import DeployError
from dagster_lake.deploy.lake_file import LakeFile, Stage
from dagster_lake.settings.lake import PROJECT_ROOT

OLDEST_AZ = (2, 60, 0)
OLDEST_BICEP = (0, 30, 3)
"""Versions of 2024, which know what the parameters files use: variables, and `.?`."""

PROVIDERS = (
    *("Microsoft.App", "Microsoft.Authorization", "Microsoft.Consumption", "Microsoft.ContainerRegistry"),
    *("Microsoft.DBforPostgreSQL", "Microsoft.DataFactory", "Microsoft.Databricks", "Microsoft.EventHub"),
    *("Microsoft.Insights", "Microsoft.KeyVault", "Microsoft.MachineLearningServices", "Microsoft.ManagedIdentity"),
    *("Microsoft.Network", "Microsoft.OperationalInsights", "Microsoft.Purview", "Microsoft.Sql", "Microsoft.Storage"),
    "Microsoft.StreamAnalytics",
)
"""The resource providers of infra/bicep; a subscription has each once it is registered."""


@dataclass(frozen=True)
class Login:
    """As whom the Azure CLI acts, and where."""

    user: str
    subscription: str


def check_templates() -> None:
    """What infra/bicep takes from the contracts must be what the contracts say now. Raises DeployError."""
    for file, text in generated().items():
        if not file.is_file() or file.read_text(encoding="utf-8") != text:
            raise DeployError(
                f"{file.relative_to(PROJECT_ROOT)} is not what the contracts say; run python -m "
                "dagster_lake.deploy.bicep_inputs, and look at the difference: it decides when files are deleted"
            )


def check_tools(az: Az) -> None:
    """The Azure CLI and its Bicep must be there and new enough. Raises DeployError."""
    version = str(json.loads(az.text("version", "--output", "json")).get("azure-cli", ""))
    if _numbers(version) < OLDEST_AZ:
        raise DeployError(f"the Azure CLI is {version}, and {_dotted(OLDEST_AZ)} is needed; az upgrade")
    bicep = az.text("bicep", "version")
    if _numbers(bicep) < OLDEST_BICEP:
        raise DeployError(f"{bicep.strip()}, and {_dotted(OLDEST_BICEP)} is needed; az bicep upgrade")


def check_login(az: Az, lake: LakeFile, stage: Stage) -> Login:
    """The Azure CLI must be logged in to the tenant and the subscription that ``lake`` names. Raises DeployError."""
    try:
        account = az.json("account", "show")
    except AzFailed as error:
        if not re.search(r"doesn't exist in cloud|ubscription '.*' not (found|recognized)", error.said):
            raise
        raise DeployError(
            f"lake.yaml: environments.{stage}.subscription: this login has no subscription {az.subscription}; log in "
            f"with `az login --tenant {lake.tenant}`, or correct it"
        ) from None
    if account["tenantId"].lower() != lake.tenant:
        raise DeployError(
            f"lake.yaml: tenant is {lake.tenant}, and the subscription is in {account['tenantId']}; correct one of them"
        )
    if account.get("state") != "Enabled":
        raise DeployError(
            f"subscription {account.get('name')} is {account.get('state')}; nothing can be deployed to it"
        )
    return Login(account["user"]["name"], account["name"])


def check_region(az: Az, lake: LakeFile) -> None:
    """The subscription must have the region. Raises DeployError."""
    # `az account list-locations` would look at the login's own subscription, and takes no other.
    url = f"/subscriptions/{az.subscription}/locations?api-version=2022-12-01"
    regions = az.json("rest", "--method", "get", "--url", url, "--query", "value[].name")
    if lake.region not in regions:
        near = get_close_matches(lake.region, regions, n=3)
        remedy = f"did you mean {' or '.join(near)}?" if near else "az account list-locations lists them"
        raise DeployError(f"lake.yaml: region: the subscription has no {lake.region}; {remedy}")


def unregistered(az: Az) -> list[str]:
    """The providers that the subscription must be given yet."""
    known = az.json("provider", "list", "--query", "[?registrationState=='Registered'].namespace")
    return [name for name in PROVIDERS if name not in known]


def register(az: Az, provider: str) -> None:
    """Registers a provider and waits for it, minutes; nothing happens where it is."""
    az.json("provider", "register", "--namespace", provider, "--wait")


def _numbers(text: str) -> tuple[int, ...]:
    found = re.search(r"\d+(\.\d+)+", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
