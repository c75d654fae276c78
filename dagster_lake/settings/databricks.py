"""The settings of Databricks: where it keeps our files, what it computes on, how long we wait, what it costs.

Which workspace, and as whom, is not said here: that is found as ``databricks/sign_in.py`` says (by
``DATABRICKS_HOST`` with a service principal, an identity of Azure, a profile, or a token), so that the lake never holds
a credential.
"""

from typing import Literal

from pydantic import BaseModel, Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class NodePrice(BaseModel):
    """What one machine of a node type costs: its DBUs an hour, and the cloud's own price an hour."""

    dbu_per_hour: float = Field(gt=0)
    per_hour: float = Field(0, ge=0)


class Prices(BaseModel):
    """A price table: the price of a DBU by kind of compute, and what each node type uses of them."""

    currency: str = "USD"
    serverless: float | None = Field(None, ge=0)
    job_cluster: float | None = Field(None, ge=0)
    nodes: dict[str, NodePrice] = {}
    serverless_dbu_per_hour: float | None = Field(None, gt=0)


class DatabricksSettings(BaseSettings):
    """Settings, each read as ``LAKE_DATABRICKS_<NAME>``; they matter only with ``LAKE_ENGINE=databricks``."""

    model_config = SettingsConfigDict(env_prefix="LAKE_DATABRICKS_", extra="ignore")

    volume: str | None = Field(
        None,
        pattern=r"^/Volumes/[^/]+/[^/]+/[^/]+(/[^/]+)*$",
        description="A Unity Catalog volume, or a folder in one, for the wheel and the steps' messages: "
        "/Volumes/catalog/schema/volume. Required",
    )
    compute: Literal["serverless", "job_cluster"] = Field(
        "serverless", description="What steps run on: serverless compute, or a job cluster that a run's steps share"
    )
    environment_version: str = Field(
        "4", pattern=r"^\d+$", description="Serverless: the environment version (Python and preinstalled libraries)"
    )
    budget_policy: str | None = Field(None, description="Serverless: the id of the budget policy that is charged")
    runtime: str = Field("17.3.x-scala2.13", description="Job cluster: the Databricks Runtime")
    node_type: str = Field("Standard_D4ds_v5", description="Job cluster: the machines; unused when a pool is set")
    min_workers: int = Field(1, ge=1, description="Job cluster: the fewest workers that autoscaling keeps")
    max_workers: int = Field(4, ge=1, description="Job cluster: the most workers that autoscaling takes")
    pool: str | None = Field(None, description="Job cluster: the id of the instance pool of the workers")
    driver_pool: str | None = Field(None, description="Job cluster: the driver's instance pool; by default `pool`")
    spot: bool = Field(
        True, description="Job cluster: spot machines for the workers, on demand where there are none; never the driver"
    )
    policy: str | None = Field(None, description="Job cluster: the id of the compute policy that it obeys")
    idle_minutes: float = Field(
        5, gt=0, description="Job cluster: it ends itself after this long without a step, if nobody told it before"
    )
    warehouse_id: str | None = Field(
        None,
        description="The SQL warehouse that dbt runs on, and that `lake catalog` uses where the YAML names none",
    )
    secret_scope: str | None = Field(
        None, description="The secret scope that holds the masking key; without one, LAKE_PII_KEY must be set there"
    )
    secret_key: str = Field("pii-key", description="The masking key's name in that scope")
    poll_seconds: float = Field(5, gt=0, description="How often a running step is looked at")
    timeout_minutes: float = Field(
        120, gt=0, description="A step that takes longer, waiting for its compute included, is cancelled and fails"
    )
    attempts: int = Field(
        5, ge=1, le=20, description="How often a request, or a step that lost its compute, is tried in all"
    )
    backoff_seconds: float = Field(
        2, gt=0, description="The pause before the second attempt; it doubles up to a minute, give or take half"
    )
    prices: Prices = Field(Prices(), description="The price table that cost is estimated by, as JSON (below)")
