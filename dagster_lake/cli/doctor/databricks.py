"""What `lake doctor` says of Databricks, where the settings choose it: as whom we come, and whether it lets us in."""

from dagster_lake.cli.doctor.finding import Finding
from dagster_lake.settings.lake import Settings

_SUBJECT = "Databricks"
_REMEDY = "docs/databricks.md lists the ways in, and what the identity needs"


def databricks_findings(settings: Settings) -> list[Finding]:
    """The sign-in to the workspace; nothing where another engine is chosen."""
    return [signed_in()] if settings.engine == "databricks" else []


def signed_in() -> Finding:
    """Whether the workspace knows us. Asked once, without the patience of a run."""
    try:
        from databricks.sdk import WorkspaceClient
        from databricks.sdk.errors import DatabricksError

        from dagster_lake.databricks.sign_in import workspace_config
    except ImportError:
        return Finding("fail", _SUBJECT, "its SDK is not installed", "pip install 'dagster-lake[databricks]'")
    try:
        config = workspace_config(product="dagster_lake", retry_timeout_seconds=5, http_timeout_seconds=10)
    except ValueError as error:
        return Finding("fail", _SUBJECT, str(error).splitlines()[0], f"set DATABRICKS_HOST; {_REMEDY}")
    try:
        user = WorkspaceClient(config=config).current_user.me()
    except DatabricksError as error:
        says = f"{config.host} by {config.auth_type}: {' '.join(str(error).split())}"
        return Finding("fail", _SUBJECT, says, _REMEDY)
    except OSError:
        remedy = "correct DATABRICKS_HOST, or let the network through to it"
        return Finding("fail", _SUBJECT, f"{config.host} does not answer", remedy)
    return Finding("ok", _SUBJECT, f"{config.host} as {user.display_name or user.user_name}, by {config.auth_type}")
