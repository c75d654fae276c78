"""What went wrong between us and ADLS Gen2, in one sentence that names the setting to mend."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from urllib.parse import parse_qs

from upath import UPath

from dagster_lake.errors import LakeError
from dagster_lake.settings.secret_text import scrub
from dagster_lake.storage.adls.options import credential_setting
from dagster_lake.storage.adls.path import is_adls

_REFUSED = ("AuthenticationFailed", "AuthorizationFailure", "InvalidAuthenticationInfo", "403 Forbidden", "401 Unauth")
_UNREACHABLE = ("ServiceRequestError", "error sending request", "Cannot connect to host", "dns error", "tcp connect")
_ROLE = "AuthorizationPermissionMismatch"


class StorageError(LakeError):
    """ADLS Gen2 cannot be reached, or does not let us in; the message names the setting and the remedy."""


@contextmanager
def reaching(path: UPath) -> Iterator[None]:
    """Turns what the libraries say of a refused or failed access to ``path`` into a StorageError.

    Whatever else goes wrong passes through, rid of any secret in its text; so does everything on a local path.
    """
    try:
        yield
    except Exception as error:
        told = _told(path, error) if is_adls(path) and not isinstance(error, StorageError) else None
        if told is None:
            scrub(error)
            raise
        raise StorageError(told) from None  # the libraries' own texts may hold addresses with a signature


def _told(path: UPath, error: Exception) -> str | None:
    text = " ".join(f"{type(e).__name__}: {e}" for e in _chain(error))
    account, container = path.storage_options["account_name"], path.path.partition("/")[0]
    if "ContainerNotFound" in text:
        return (
            f"{path}: there is no container {container!r} in the storage account {account!r}; create it "
            f"(az storage container create --account-name {account} --name {container}), or correct LAKE_ROOT"
        )
    if any(sign in text for sign in _UNREACHABLE):
        where = "LAKE_AZURE_ENDPOINT" if _has_own_endpoint(path) else f"the account name {account!r} in LAKE_ROOT"
        return f"{path}: the storage account cannot be reached; check {where} and the network"
    if "ClientAuthenticationError" in text and "DefaultAzureCredential" in text:
        return (
            f"{path}: no Azure identity was found; run `az login`, run where a managed identity is, or set "
            "LAKE_AZURE_ACCOUNT_KEY or LAKE_AZURE_SAS"
        )
    if _ROLE in text or "AuthorizationPermission" in text:
        return (
            f"{path}: {credential_setting(path)} is known there but may not do this; give it the role Storage Blob "
            "Data Contributor on the container (a signature: the permissions racwdl)"
        )
    if any(sign in text for sign in _REFUSED) or "Invalid Access Key" in text or "Incorrect padding" in text:
        return f"{path}: Azure does not accept {_refused(path)}"
    return None


def _refused(path: UPath) -> str:
    setting = credential_setting(path)
    account = path.storage_options["account_name"]
    if setting == "LAKE_AZURE_ACCOUNT_KEY":
        return f"LAKE_AZURE_ACCOUNT_KEY; is it a key of the account {account!r}, and are account keys allowed there?"
    if setting == "DefaultAzureCredential":
        return (
            "the identity that DefaultAzureCredential found; give it the role Storage Blob Data Contributor on the "
            "container, and check the account's firewall"
        )
    expiry = sas_expiry(path)
    if expiry is not None and expiry <= datetime.now(UTC):
        return f"LAKE_AZURE_SAS: it expired at {expiry:%Y-%m-%d %H:%M} UTC; set a new one"
    return "LAKE_AZURE_SAS; it needs the permissions racwdl on the container, and the clock must be right"


def sas_expiry(path: UPath) -> datetime | None:
    """When the shared access signature in use expires; None when there is none in use, or it does not say."""
    text = str(path.storage_options.get("connection_string", ""))
    _, found, signature = text.partition("SharedAccessSignature=")
    said = parse_qs(signature).get("se") if found else None
    try:
        expiry = datetime.fromisoformat(said[0]) if said else None
    except ValueError:
        return None
    return expiry.replace(tzinfo=UTC) if expiry and expiry.tzinfo is None else expiry


def _has_own_endpoint(path: UPath) -> bool:
    options = path.storage_options
    host = f"{options['account_name']}.blob.core.windows.net"
    return host not in f"{options.get('connection_string', '')}{options.get('account_host', '')}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
