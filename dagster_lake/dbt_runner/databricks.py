"""Which SQL warehouse dbt runs on, and as whom."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dagster_lake.errors import LakeError
from dagster_lake.settings.lake import Settings

if TYPE_CHECKING:
    from databricks.sdk.core import Config

_DBT_KNOWS = ("DATABRICKS_TOKEN", "DATABRICKS_CLIENT_SECRET", "ARM_CLIENT_SECRET")
_TOKEN = "DBT_ENV_SECRET_LAKE_TOKEN"  # dbt keeps what is named like this out of its logs


class DatabricksNotSet(LakeError):
    """A setting that dbt needs on Databricks is missing; the message names it."""


def workspace(settings: Settings) -> dict[str, str]:
    """What the profile's target ``databricks`` asks for, as dbt variables; no secret is among them.

    Raises DatabricksNotSet when the catalog, the warehouse or the workspace is not set.
    """
    if not settings.catalog:
        raise DatabricksNotSet("LAKE_ENGINE=databricks needs LAKE_CATALOG, the Unity Catalog that holds the lake")
    if not settings.databricks.warehouse_id:
        raise DatabricksNotSet("dbt on Databricks needs LAKE_DATABRICKS_WAREHOUSE_ID, the id of a SQL warehouse")
    host = os.environ.get("DATABRICKS_HOST") or _identity().host
    if not host:
        raise DatabricksNotSet("dbt on Databricks needs DATABRICKS_HOST, the workspace's address")
    return {
        "lake_catalog": settings.catalog,
        "lake_databricks_host": host.removeprefix("https://").rstrip("/"),
        "lake_warehouse": settings.databricks.warehouse_id,
    }


@contextmanager
def signed_in() -> Iterator[None]:
    """Lets dbt in as we come in ourselves, where it knows no such way: an Azure identity, ``az login``, a profile.

    dbt would keep a token as it is, and a run may outlive it. So dbt's own way in by a token is replaced for the while
    by ours, which makes each request's token when it is sent. A secret in the environment is left to dbt.
    """
    if any(os.environ.get(name) for name in _DBT_KNOWS):
        yield
        return
    from dbt.adapters.databricks.credentials import DatabricksCredentialManager

    config = _identity()
    by_token = DatabricksCredentialManager.authenticate_with_pat
    DatabricksCredentialManager.authenticate_with_pat = lambda self: config  # type: ignore[method-assign]
    os.environ[_TOKEN] = "made for each request"  # having one is what leads dbt there
    try:
        yield
    finally:
        del os.environ[_TOKEN]
        DatabricksCredentialManager.authenticate_with_pat = by_token  # type: ignore[method-assign]


def _identity() -> "Config":
    from dagster_lake.databricks.sign_in import workspace_config

    return workspace_config()
