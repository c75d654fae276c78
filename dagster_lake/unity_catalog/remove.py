"""Takes a branch's catalog away again, with everything that was made for it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from dagster_lake.unity_catalog.errors import CatalogError
from dagster_lake.unity_catalog.workspace import explained

if TYPE_CHECKING:
    from databricks.sdk import WorkspaceClient


def remove_branch_catalog(client: "WorkspaceClient", catalog: str, root: str, told: Callable[[str], None]) -> None:
    """Drops ``catalog`` with all that is in it, the external locations of its storage credential, and that credential.

    ``root`` is the branch lake's folder. What is gone already is passed over, so that a removal can be repeated.
    Raises CatalogError for a catalog that keeps its data anywhere else, and when Databricks refuses.
    """
    from databricks.sdk.errors import NotFound

    credential = f"{catalog}_lake"
    with explained(f"removing the catalog {catalog}", "catalog"):
        try:
            place = client.catalogs.get(catalog).storage_root or ""
        except NotFound:
            place = ""
        if place and not place.startswith(f"{root}/"):
            raise CatalogError(
                f"the catalog {catalog} keeps its data in {place}, not in {root}, so it is not this branch's and "
                "nothing was removed; drop it by hand if it is to go"
            )
        if place:
            client.catalogs.delete(catalog, force=True)
            told(f"catalog {catalog}")
    with explained(f"removing the external locations of {catalog}", "external location"):
        for location in list(client.external_locations.list()):
            if location.credential_name == credential and location.name:
                client.external_locations.delete(location.name, force=True)
                told(f"external location {location.name}")
    with explained(f"removing the storage credential {credential}", "storage credential"):
        try:
            client.storage_credentials.delete(credential, force=True)
        except NotFound:
            return
        told(f"storage credential {credential}")
