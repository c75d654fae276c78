"""As whom we come to Databricks: by what databricks-sdk finds itself, or as the Azure identity of this host.

databricks-sdk for Python knows no managed identity. So where nothing names another way in, and this host has an Azure
identity, azure-identity signs in, as it does for the lake's files and for Event Hubs.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from databricks.sdk.config import Config
from databricks.sdk.credentials_provider import DefaultCredentials
from databricks.sdk.environments import ARM_DATABRICKS_RESOURCE_ID
from databricks.sdk.errors import Unauthenticated

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

MANAGED_IDENTITY = "azure-msi"
"""What Databricks' other SDKs and its command line call this in DATABRICKS_AUTH_TYPE."""
HOST_IDENTITY = "azure-identity"

_SIGNS_OF_AN_IDENTITY = ("IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_ID")
"""Set by Container Apps and App Service, Machine Learning, Kubernetes; and by whoever chooses one of several."""


def workspace_config(**options: Any) -> Config:
    """How to reach the workspace that the environment or a profile names; ``options`` are the SDK's.

    Raises ValueError when there is no workspace, or no way in.
    """
    return Config(credentials_strategy=_SignIn(), **options)  # type: ignore[arg-type]  # as the SDK's own is none


class _SignIn(DefaultCredentials):
    """The SDK's own ways, and ours where it has none. ``auth_type`` is the way that was taken."""

    def __call__(self, config: Config) -> Callable[[], dict[str, str]]:
        """The headers of each request, made when it is sent: a token is renewed before it expires."""
        way = _azure_way(config)
        if way is None:
            return super().__call__(config)
        if not config.host:
            raise ValueError(f"{way} needs the workspace's address, DATABRICKS_HOST")
        self._auth_type = way
        credential = _credential(way, config.azure_client_id or os.environ.get("AZURE_CLIENT_ID"))
        scope = f"{config.effective_azure_login_app_id or ARM_DATABRICKS_RESOURCE_ID}/.default"
        return lambda: {"Authorization": f"Bearer {_token(credential, scope)}"}


def _azure_way(config: Config) -> str | None:
    """Which identity of Azure to sign in as, if any."""
    if config.auth_type in (MANAGED_IDENTITY, HOST_IDENTITY):
        return str(config.auth_type)
    if config.auth_type or _names_a_way(config):
        return None
    # The SDK takes any text for true.
    if config.azure_use_msi and os.environ.get("ARM_USE_MSI", "").lower() not in ("false", "0"):
        return MANAGED_IDENTITY
    has_identity = any(os.environ.get(name) for name in _SIGNS_OF_AN_IDENTITY)
    return HOST_IDENTITY if has_identity and config.is_azure and not config.profile else None


def _names_a_way(config: Config) -> bool:
    """Whether the environment or a profile has a token, a secret or the like; ids of Azure alone are none."""
    ways = {attribute.auth for attribute in Config.attributes() if attribute.auth and getattr(config, attribute.name)}
    return bool(ways - {"azure"}) or bool(config.azure_client_secret)


def _credential(way: str, client_id: str | None) -> "TokenCredential":
    try:
        from azure.identity import DefaultAzureCredential, ManagedIdentityCredential
    except ImportError:
        raise ValueError(f"{way} needs azure-identity: pip install 'dagster-lake[azure]'") from None
    if way == MANAGED_IDENTITY:
        return ManagedIdentityCredential(client_id=client_id)
    return DefaultAzureCredential(managed_identity_client_id=client_id)


def _token(credential: "TokenCredential", scope: str) -> str:
    """A token of five minutes or more, from azure-identity's cache while it has one."""
    from azure.core.exceptions import AzureError

    try:
        return credential.get_token(scope).token
    except AzureError as error:
        told = " ".join(str(error).split())
        raise Unauthenticated(
            f"Azure gives this host no token for Databricks: {told} Give the host a managed identity, and set "
            "AZURE_CLIENT_ID to its client id; or name another way in, see docs/databricks.md"
        ) from error
