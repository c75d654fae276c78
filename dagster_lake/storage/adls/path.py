"""A path in ADLS Gen2 that says its whole address: ``abfss://container@account.dfs.core.windows.net/path``."""

import re

from upath import UPath
from upath.implementations.cloud import AzurePath

from dagster_lake.errors import LakeError

DOMAIN = "dfs.core.windows.net"
_FULL = re.compile(rf"^abfss?://(?P<container>[^@/]+)@(?P<account>[^./]+)\.{re.escape(DOMAIN)}(?P<path>/.*)?$")
_SHORT = re.compile(r"^(az|abfss?)://(?P<container>[^@/]+)(?P<path>/.*)?$")
_CONTAINER = re.compile(r"^[a-z0-9](-?[a-z0-9]){2,62}$")


class AddressError(LakeError):
    """A URL that is no place in ADLS Gen2; the message shows how one is written."""


class AdlsPath(AzurePath):
    """As fsspec has it, except that its text is the address that Spark, delta-rs and people all understand.

    fsspec's own text leaves the account out. The credential is in ``storage_options``, and never in the text.
    """

    __slots__ = ()
    _protocol_dispatch = False  # made by name only: another library's abfss:// paths stay what they are

    def __str__(self) -> str:
        container, _, key = self.path.partition("/")
        return f"abfss://{container}@{self.storage_options['account_name']}.{DOMAIN}/{key}"

    def beside(self, address: str) -> "AdlsPath":
        """The path at ``address``, a full one, with the same credential. Raises AddressError for another account."""
        account, container, path = parse_address(address, None)
        if account != self.storage_options["account_name"]:
            raise AddressError(f"{address} is in another storage account than {self}")
        return AdlsPath(f"abfss://{container}/{path}", protocol="abfss", **self.storage_options)


def is_adls(path: UPath) -> bool:
    """Whether ``path`` is in ADLS Gen2 rather than on this machine."""
    return isinstance(path, AdlsPath)


def parse_address(url: str, account: str | None) -> tuple[str, str, str]:
    """(account, container, path without slashes around it) of ``abfss://container@account...`` or ``az://container``.

    ``account`` names the account where the URL does not. Raises AddressError.
    """
    told = f"{url!r} is no lake in ADLS Gen2; write abfss://<container>@<account>.{DOMAIN}/<folder>"
    if "?" in url or "#" in url:
        bare = re.split(r"[?#]", url)[0]
        raise AddressError(f"{bare!r} is followed by ? or #; a shared access signature goes into LAKE_AZURE_SAS")
    found = _FULL.match(url) or _SHORT.match(url)
    if not found:
        raise AddressError(told)
    parts = found.groupdict()
    account = parts.get("account") or account
    if account is None:
        raise AddressError(f"{url!r} does not name its account; {told.partition('; ')[2]}, or set LAKE_AZURE_ACCOUNT")
    if not _CONTAINER.match(parts["container"]):
        raise AddressError(f"{parts['container']!r} cannot name a container: 3 to 63 of a-z, 0-9 and single hyphens")
    return account, parts["container"], (parts["path"] or "").strip("/")
