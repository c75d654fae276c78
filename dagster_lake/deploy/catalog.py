"""What `lake catalog` needs to know of a deployment: which file, and which workspace."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dagster_lake.deploy.errors import DeployError
from dagster_lake.deploy.target import Target
from dagster_lake.unity_catalog.config import load_config

SCHEME = "https://"

_FIELDS = {
    "storage_root": "lakeRoot",
    "access_connector_id": "accessConnectorId",
    "managed_identity_id": "databricksIdentityId",
}
"""Fields of the catalog's file, and the outputs that they are."""


def catalog_file(target: Target, outputs: Mapping[str, Any]) -> Path | None:
    """The catalog's file of the environment, when Databricks is there and a file is named.

    Raises DeployError for one that is of another lake than the deployment, and CatalogError for one that cannot be
    used.
    """
    if not target.environment.catalog or not outputs.get("databricksWorkspaceId"):
        return None
    file = target.file.parent / target.environment.catalog
    said = load_config(file).model_dump()
    for field, output in _FIELDS.items():
        # Azure does not mind the case of an id, and gives it back in another.
        if said[field] and str(said[field]).lower() != str(outputs[output]).lower():
            raise DeployError(
                f"{file.name}: {field} is {said[field]}, and what was deployed is {outputs[output]}; correct it"
            )
    return file


@contextmanager
def workspace(target: Target, outputs: Mapping[str, Any]) -> Iterator[str]:
    """The address of the deployed workspace, which Databricks' client is pointed at meanwhile.

    Raises DeployError when the environment points it at another one: one environment's grants must not get into
    another's workspace.
    """
    address = SCHEME + target.az.json(
        "resource", "show", "--ids", outputs["databricksWorkspaceId"], "--query", "properties.workspaceUrl"
    )
    before = os.environ.get("DATABRICKS_HOST")
    if before and before.rstrip("/") != address:
        raise DeployError(
            f"DATABRICKS_HOST is {before}, and the workspace of {target.stage} is {address}; unset it, or correct it"
        )
    os.environ["DATABRICKS_HOST"] = address
    try:
        yield address
    finally:
        if before is None:
            del os.environ["DATABRICKS_HOST"]
