"""What Databricks computes on, in one place: from the settings to a submission, and to what it costs."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from dagster_lake.settings.databricks import DatabricksSettings

PACKAGE = "dagster_lake"
ENTRY_POINT = "lake-step"
_ENVIRONMENT = "lake"

NEEDED_THERE = (
    "dagster-pipes",
    "filelock",
    "open-data-contract-standard",
    "pydantic",
    "pydantic-settings",
    "pyyaml",
    "universal-pathlib",
)
"""What a step needs beside what every Databricks runtime has (Spark, Delta, pyarrow, databricks-sdk)."""


def submission(settings: DatabricksSettings, name: str, wheel: str, parameters: Sequence[str]) -> dict[str, Any]:
    """The body of a runs/submit request that runs our wheel with ``parameters``.

    ``wheel`` is the path of a wheel that requires nothing by itself. What it needs is named here instead, in the
    versions that this process runs: with its own requirements it would bring Dagster, dbt and DuckDB to the cluster,
    700 MB that a step never imports, at every start.
    """
    task: dict[str, Any] = {
        "task_key": "step",
        "python_wheel_task": {"package_name": PACKAGE, "entry_point": ENTRY_POINT, "parameters": list(parameters)},
    }
    payload: dict[str, Any] = {"run_name": f"dagster_lake: {name}", "tasks": [task], "queue": {"enabled": True}}
    pins = [f"{package}=={version(package)}" for package in NEEDED_THERE]
    if settings.compute == "serverless":
        task["environment_key"] = _ENVIRONMENT
        spec = {"environment_version": settings.environment_version, "dependencies": [*pins, wheel]}
        payload["environments"] = [{"environment_key": _ENVIRONMENT, "spec": spec}]
        # In case that Dagster dies while it waits; it cancels the run itself when the time is up.
        payload["timeout_seconds"] = round(settings.timeout_minutes * 60) + 120
        if settings.budget_policy is not None:
            payload["budget_policy_id"] = settings.budget_policy
    else:
        task["new_cluster"] = cluster(settings)
        task["libraries"] = [*({"pypi": {"package": pin}} for pin in pins), {"whl": wheel}]
    return payload


def cluster(settings: DatabricksSettings) -> dict[str, Any]:
    """The job cluster: autoscaling, on spot machines or pools where so set. It ends with the run that it is for."""
    spec: dict[str, Any] = {
        "spark_version": settings.runtime,
        "autoscale": {
            "min_workers": settings.min_workers,
            "max_workers": max(settings.max_workers, settings.min_workers),
        },
        "data_security_mode": "SINGLE_USER",
        "custom_tags": {"project": "dagster_lake"},
    }
    if settings.pool is not None:
        # A pool says itself what its machines are, and whether they are spot.
        spec["instance_pool_id"] = settings.pool
        spec["driver_instance_pool_id"] = settings.driver_pool or settings.pool
    else:
        spec["node_type_id"] = settings.node_type
        # The first machine is the driver: without it the run is lost, so it is never a spot machine.
        availability = "SPOT_WITH_FALLBACK_AZURE" if settings.spot else "ON_DEMAND_AZURE"
        spec["azure_attributes"] = {"availability": availability, "first_on_demand": 1}
    if settings.policy is not None:
        spec["policy_id"] = settings.policy
        spec["apply_policy_default_values"] = True
    return spec


def cost(settings: DatabricksSettings, seconds: float, run_id: int) -> Mapping[str, str | float]:
    """What ``seconds`` of the compute used and cost by the price table, as far as the table tells.

    An estimate: of a job cluster the most that it may be, all workers running. What was billed is in
    ``system.billing.usage``.
    """
    prices, hours = settings.prices, seconds / 3600
    machines = 0.0
    if settings.compute == "serverless":
        rate, price = prices.serverless_dbu_per_hour, prices.serverless
    else:
        node, count = prices.nodes.get(settings.node_type), settings.max_workers + 1
        rate, price = (node.dbu_per_hour * count if node else None), prices.job_cluster
        machines = node.per_hour * count * hours if node else 0.0
    if rate is None:
        return {"databricks_dbu": f"unknown until system.billing.usage lists run {run_id}"}
    found: dict[str, str | float] = {"databricks_dbu": round(rate * hours, 4)}
    if price is not None:
        found["databricks_cost"] = round(rate * hours * price + machines, 4)
        found["databricks_currency"] = prices.currency
    return found
