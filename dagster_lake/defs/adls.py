"""The resource ``adls`` for assets of your own: Microsoft's own clients for the lake's storage account."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from dagster_lake.settings.lake import Settings
from dagster_lake.storage.adls.path import AddressError, parse_address
from dagster_lake.storage.paths import is_remote


def adls_resources() -> Mapping[str, Any]:
    """``{"adls": ADLS2Resource}`` for a lake in ADLS Gen2, else nothing.

    Called while the definitions load: settings that cannot be used are left for a run to tell of.
    """
    try:
        settings = Settings()
    except ValidationError:
        return {}
    if not is_remote(settings.root):
        return {}
    try:
        account, _, _ = parse_address(settings.root, settings.azure_account)
    except AddressError:
        return {}
    try:
        from dagster_azure.adls2 import ADLS2DefaultAzureCredential, ADLS2Key, ADLS2Resource, ADLS2SASToken
    except ImportError:
        return {}
    # The secrets are named, not given: Dagster reads them from the environment when a run starts.
    if settings.azure_account_key:
        credential: Any = ADLS2Key(key=_secret("LAKE_AZURE_ACCOUNT_KEY"))
    elif settings.azure_sas:
        credential = ADLS2SASToken(token=_secret("LAKE_AZURE_SAS"))
    else:
        credential = ADLS2DefaultAzureCredential(kwargs={})
    return {"adls": ADLS2Resource(storage_account=account, credential=credential)}


def _secret(variable: str) -> Any:
    import dagster as dg

    return dg.EnvVar(variable)
