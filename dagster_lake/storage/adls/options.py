"""ADLS Gen2 from the settings: one credential, as fsspec's options and as delta-rs' options.

``LAKE_AZURE_ACCOUNT_KEY`` or ``LAKE_AZURE_SAS``, otherwise the identity that DefaultAzureCredential finds. A path
carries fsspec's options; delta-rs' are made from it each time a table is opened, since a token expires in an hour.
"""

from importlib import import_module
from typing import Any

from upath import UPath

from dagster_lake.errors import LakeError
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.adls.identity import Identity, default_identity
from dagster_lake.storage.adls.path import AdlsPath, is_adls, parse_address

_NEEDED = ("adlfs", "azure.core", "azure.identity", "azure.storage.blob")


class AzureSettingsError(LakeError):
    """Azure settings that cannot go together, or libraries that are missing; the message says what to do."""


def require_libraries() -> None:
    """Raises AzureSettingsError when what reads and writes ADLS Gen2 is not installed."""
    missing = []
    for name in _NEEDED:
        try:
            import_module(name)
        except ImportError:
            missing.append(name)
    if missing:
        raise AzureSettingsError(f"a lake in ADLS Gen2 needs {', '.join(missing)}: pip install 'dagster-lake[azure]'")


def require_token(path: UPath) -> None:
    """Raises azure.core's ClientAuthenticationError when an identity is needed and there is none.

    Azure's own clients would try for a minute and a half before they say so.
    """
    if "credential" in path.storage_options:
        path.storage_options["credential"].access_token()


def adls_root(settings: Settings, identity: Identity | None = None) -> AdlsPath:
    """The lake's root, with what it takes to get in. Nothing is asked of Azure yet.

    Raises AddressError for a URL that is none, AzureSettingsError for settings that exclude each other.
    """
    account, container, path = parse_address(settings.root, settings.azure_account)
    options = _options(settings, account, identity)
    return AdlsPath(f"abfss://{container}/{path}", protocol="abfss", **options)


def _options(settings: Settings, account: str, identity: Identity | None) -> dict[str, Any]:
    """fsspec's options. Listings are never cached: other processes write too."""
    options: dict[str, Any] = {"account_name": account, "use_listings_cache": False}
    key, sas = settings.azure_account_key, settings.azure_sas
    if key and sas:
        raise AzureSettingsError("LAKE_AZURE_ACCOUNT_KEY and LAKE_AZURE_SAS are both set; keep one of them")
    endpoint = (settings.azure_endpoint or f"https://{account}.blob.core.windows.net").rstrip("/")
    if key:
        secret = f"AccountName={account};AccountKey={key.get_secret_value()}"
    elif sas:
        secret = f"SharedAccessSignature={sas.get_secret_value().lstrip('?')}"
    elif endpoint.startswith("http://"):
        raise AzureSettingsError(
            f"LAKE_AZURE_ENDPOINT={endpoint} is not https, and Azure's tokens are not sent in clear; set "
            "LAKE_AZURE_ACCOUNT_KEY or LAKE_AZURE_SAS"
        )
    else:
        return {**options, "credential": identity or default_identity(), "account_host": endpoint[len("https://") :]}
    # The one form of these two in which adlfs also takes an endpoint without https, which Azurite has.
    return {**options, "connection_string": f"BlobEndpoint={endpoint};{secret}"}


def delta_options(path: UPath) -> dict[str, str] | None:
    """delta-rs' options for the table at ``path``; None for a local one. A token in them is fresh."""
    if not is_adls(path):
        return None
    options = path.storage_options
    shared = {"azure_storage_account_name": options["account_name"]}
    if "credential" in options:
        return {
            **shared,
            "azure_storage_endpoint": f"https://{options['account_host']}",
            "azure_storage_token": options["credential"].access_token().token,
        }
    given = dict(part.split("=", 1) for part in options["connection_string"].split(";"))
    endpoint = given["BlobEndpoint"]
    secret = (
        {"azure_storage_account_key": given["AccountKey"]}
        if "AccountKey" in given
        else {"azure_storage_sas_token": given["SharedAccessSignature"]}
    )
    return {
        **shared,
        **secret,
        "azure_storage_endpoint": endpoint,
        "allow_http": str(endpoint.startswith("http://")).lower(),
    }


def credential_setting(path: UPath) -> str:
    """What lets us in at ``path``: the name of the setting, or of the identity."""
    options = path.storage_options
    if "credential" in options:
        return "DefaultAzureCredential"
    return "LAKE_AZURE_ACCOUNT_KEY" if "AccountKey=" in options["connection_string"] else "LAKE_AZURE_SAS"
