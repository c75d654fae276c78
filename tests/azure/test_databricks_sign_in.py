"""Databricks without a stored secret: by the managed identity of the host, through the real azure-identity."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import databricks.sql
import pytest
from databricks.sdk import WorkspaceClient
from typer.testing import CliRunner

from dagster_lake.cli.doctor.databricks import databricks_findings
from dagster_lake.cli.doctor.finding import Finding
from dagster_lake.cli.main import app
from dagster_lake.databricks.sign_in import workspace_config
from dagster_lake.databricks.workspace import Workspace, WorkspaceError
from dagster_lake.dbt_runner.databricks import signed_in
from dagster_lake.settings.databricks import DatabricksSettings
from dagster_lake.settings.lake import DBT_PROJECT, Settings
from dagster_lake.unity_catalog.workspace import Workspace as CatalogWorkspace
from tests.azure.fake_databricks import TOKEN, FakeDatabricks, Fault
from tests.azure.fake_identity_endpoint import ALMOST_OVER, CLIENT_ID, DATABRICKS, FakeIdentityEndpoint
from tests.azure.fake_sql_warehouse import FakeSqlWarehouse

AZURE = "https://adb-1.2.azuredatabricks.net"
RESOURCE = "/subscriptions/1/resourceGroups/rg/providers/Microsoft.Databricks/workspaces/dbw"
"""Named where the host is the fake's, which the SDK would not take for Azure's."""
VOLUME = "/Volumes/main/lake/dagster"
PATIENT = DatabricksSettings(volume=VOLUME, attempts=3, backoff_seconds=0.05)


@pytest.fixture(autouse=True)
def _nobody_at_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    outside = ("DATABRICKS_", "ARM_", "AZURE_", "LAKE_", "IDENTITY_", "MSI_", "GOOGLE_", "ACTIONS_")
    for name in [name for name in os.environ if name.startswith(outside)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(tmp_path))  # no az and no databricks
    monkeypatch.setattr("databricks.sdk.config.Config.load_azure_tenant_id", lambda _: None)  # asks the workspace


@pytest.fixture
def identity() -> Iterator[FakeIdentityEndpoint]:
    with FakeIdentityEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def container(identity: FakeIdentityEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Container Apps and infra/bicep/modules/dagster.bicep set."""
    for name, value in {**identity.environment, "AZURE_CLIENT_ID": CLIENT_ID, "DATABRICKS_HOST": AZURE}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def fake(
    container: None, identity: FakeIdentityEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeDatabricks]:
    """A workspace that takes the newest token of the identity and no other."""
    with FakeDatabricks(tmp_path / "workspace") as workspace:
        workspace.make_volume(VOLUME)
        workspace.lets_in = lambda token: bool(identity.given) and token == identity.newest
        monkeypatch.setenv("DATABRICKS_HOST", workspace.environment["DATABRICKS_HOST"])
        monkeypatch.setenv("DATABRICKS_AZURE_RESOURCE_ID", RESOURCE)
        yield workspace


def test_a_container_app_reaches_the_workspace_by_its_managed_identity(
    fake: FakeDatabricks, identity: FakeIdentityEndpoint
) -> None:
    workspace = Workspace(PATIENT)
    workspace.write(f"{VOLUME}/one", b"1")
    assert workspace.read(f"{VOLUME}/one") == b"1"
    assert {(token.resource, token.client_id) for token in identity.given} == {(DATABRICKS, CLIENT_ID)}


@pytest.mark.parametrize("auth_type", ["azure-msi", "azure-identity"])
def test_a_virtual_machine_reaches_it_by_its_metadata_service_where_that_is_asked_for(
    auth_type: str, fake: FakeDatabricks, identity: FakeIdentityEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in identity.environment:
        monkeypatch.delenv(name)
    for name, value in {**identity.machine, "DATABRICKS_AUTH_TYPE": auth_type}.items():
        monkeypatch.setenv(name, value)
    Workspace(PATIENT).write(f"{VOLUME}/one", b"1")
    assert {(token.resource, token.client_id) for token in identity.given} == {(DATABRICKS, CLIENT_ID)}


def test_a_token_serves_until_its_last_minutes_and_is_then_replaced(
    fake: FakeDatabricks, identity: FakeIdentityEndpoint
) -> None:
    workspace = Workspace(PATIENT)
    identity.seconds = ALMOST_OVER
    workspace.write(f"{VOLUME}/one", b"1")
    identity.seconds = 3600
    workspace.write(f"{VOLUME}/two", b"2")
    replaced = len(identity.given)
    assert replaced == 2
    for _ in range(5):
        workspace.read(f"{VOLUME}/two")
    assert len(identity.given) == replaced


def test_lake_catalog_comes_as_the_same_identity(fake: FakeDatabricks, identity: FakeIdentityEndpoint) -> None:
    assert CatalogWorkspace.connect("abc").client.current_user.me().user_name == "dagster"
    assert [token.client_id for token in identity.given] == [CLIENT_ID]


def test_an_identity_that_the_host_does_not_have_is_told_at_once(
    fake: FakeDatabricks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AZURE_CLIENT_ID", "another")
    monkeypatch.setenv("DATABRICKS_AUTH_TYPE", "azure-msi")
    with pytest.raises(WorkspaceError, match=r"No User Assigned identity another found.*AZURE_CLIENT_ID"):
        Workspace(PATIENT).write(f"{VOLUME}/one", b"1")
    assert fake.requests == []


def test_an_identity_that_the_workspace_does_not_know_is_told_where_to_look(fake: FakeDatabricks) -> None:
    fake.lets_in = lambda _: False
    with pytest.raises(WorkspaceError, match=r"does not let us write a file.*docs/databricks.md"):
        Workspace(PATIENT).write(f"{VOLUME}/one", b"1")


def test_the_secret_of_the_endpoint_is_in_no_message(
    fake: FakeDatabricks, identity: FakeIdentityEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABRICKS_AUTH_TYPE", "azure-msi")
    identity.refusals = ["not now"]
    with pytest.raises(WorkspaceError, match="not now") as refused:
        Workspace(PATIENT).write(f"{VOLUME}/one", b"1")
    assert identity.environment["IDENTITY_HEADER"] not in str(refused.value)
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    with pytest.raises(WorkspaceError, match="the identity header is wrong") as refused:
        Workspace(PATIENT).write(f"{VOLUME}/one", b"1")


@pytest.mark.usefixtures("container")
@pytest.mark.parametrize(
    ("environment", "way"),
    [
        ({}, "azure-identity"),
        (
            {"DATABRICKS_AZURE_RESOURCE_ID": RESOURCE, "ARM_TENANT_ID": "t", "ARM_CLIENT_ID": CLIENT_ID},
            "azure-identity",
        ),
        ({"ARM_USE_MSI": "true"}, "azure-msi"),
        ({"ARM_USE_MSI": "false"}, "azure-identity"),
        ({"DATABRICKS_AUTH_TYPE": "azure-msi"}, "azure-msi"),
        ({"DATABRICKS_AUTH_TYPE": "azure-identity", "DATABRICKS_TOKEN": TOKEN}, "azure-identity"),
        ({"DATABRICKS_TOKEN": TOKEN}, "pat"),
        ({"DATABRICKS_TOKEN": TOKEN, "DATABRICKS_HOST": "http://127.0.0.1:1"}, "pat"),
        ({"DATABRICKS_USERNAME": "u", "DATABRICKS_PASSWORD": "p"}, "basic"),
        ({"ARM_TENANT_ID": "t", "ARM_CLIENT_ID": "c", "ARM_CLIENT_SECRET": "s"}, "azure-client-secret"),
        ({"DATABRICKS_CONFIG_PROFILE": "mine"}, "pat"),
        ({"DATABRICKS_CONFIG_PROFILE": "identity"}, "azure-msi"),
    ],
    ids=lambda value: "-".join(value) or "nothing" if isinstance(value, dict) else value,
)
def test_what_is_named_goes_before_the_identity_of_the_host(
    environment: dict[str, str], way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiles = tmp_path / "databrickscfg"
    profiles.write_text(f"[mine]\nhost={AZURE}\ntoken={TOKEN}\n[identity]\nhost={AZURE}\nazure_use_msi=true\n")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(profiles))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert workspace_config().auth_type == way


@pytest.mark.usefixtures("container")
@pytest.mark.parametrize("host", ["https://dbc-1.cloud.databricks.com", "https://1.gcp.databricks.com"])
def test_an_identity_of_azure_is_not_shown_to_another_cloud(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABRICKS_HOST", host)
    with pytest.raises(ValueError, match="cannot configure default credentials"):
        workspace_config()


@pytest.mark.usefixtures("container")
def test_an_identity_without_a_workspace_is_told_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABRICKS_HOST")
    monkeypatch.setenv("DATABRICKS_AZURE_RESOURCE_ID", RESOURCE)
    with pytest.raises(WorkspaceError, match="needs the workspace's address, DATABRICKS_HOST"):
        Workspace(PATIENT).write(f"{VOLUME}/one", b"1")


def test_dbt_comes_as_the_same_identity_and_renews_its_token_within_a_connection(
    fake: FakeDatabricks, identity: FakeIdentityEndpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbt.cli.main import dbtRunner

    where = ("--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT), "--log-path", str(tmp_path))
    identity.seconds = ALMOST_OVER  # each request is then made with another token
    monkeypatch.setenv("LAKE_CATALOG", "lake_dev")
    monkeypatch.setenv("LAKE_DATABRICKS_WAREHOUSE_ID", "abc123")
    connect, connections = databricks.sql.connect, []

    def to_the_fake(**arguments: Any) -> Any:
        connections.append(arguments)
        return connect(**arguments, _connection_uri=warehouse.address)

    with FakeSqlWarehouse(lambda token: token == identity.newest) as warehouse:
        monkeypatch.setattr("databricks.sql.connect", to_the_fake)
        with signed_in():
            result = dbtRunner().invoke(["debug", "--connection", "--target", "databricks", *where])
        assert result.success, result.exception
    assert len(connections) == 1
    assert len(warehouse.tokens) >= 3  # the session, the statement, the end
    assert len(set(warehouse.tokens)) == len(warehouse.tokens)
    assert set(warehouse.tokens) <= {token.text for token in identity.given}
    assert "DBT_ENV_SECRET_LAKE_TOKEN" not in os.environ


def doctor(**settings: Any) -> list[Finding]:
    return databricks_findings(Settings(**{"engine": "databricks", **settings}))


def test_doctor_says_as_whom_and_by_what(fake: FakeDatabricks) -> None:
    host = fake.environment["DATABRICKS_HOST"]
    assert doctor() == [Finding("ok", "Databricks", f"{host} as dagster, by azure-identity")]
    assert doctor(engine="duckdb") == []


def test_doctor_shows_the_sign_in(fake: FakeDatabricks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_ENGINE", "databricks")
    result = CliRunner().invoke(app, ["--lake", str(tmp_path / "lake"), "doctor"])
    assert "as dagster, by azure-identity" in result.output


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"DATABRICKS_TOKEN": "another", "DATABRICKS_AZURE_RESOURCE_ID": ""}, "by pat: Invalid access token."),
        ({"DATABRICKS_AUTH_TYPE": "azure-msi", "AZURE_CLIENT_ID": "another"}, "No User Assigned identity another"),
        ({"DATABRICKS_HOST": "", "DATABRICKS_AZURE_RESOURCE_ID": ""}, "cannot configure default credentials"),
    ],
)
def test_doctor_says_what_is_wrong_with_the_sign_in(
    fake: FakeDatabricks, environment: dict[str, str], told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    [finding] = doctor()
    assert finding.level == "fail"
    assert told in finding.says
    assert "docs/databricks.md" in finding.remedy


def test_doctor_says_that_a_workspace_does_not_answer(fake: FakeDatabricks, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("databricks.sdk.clock.RealClock.time", iter(range(0, 100, 3)).__next__)
    monkeypatch.setattr("databricks.sdk.clock.RealClock.sleep", lambda _, seconds: None)
    fake.faults = [Fault("GET", "Me")] * 9
    [finding] = doctor()
    assert (finding.level, finding.says) == ("fail", f"{fake.environment['DATABRICKS_HOST']} does not answer")
    assert "DATABRICKS_HOST" in finding.remedy


def test_the_client_is_one_that_anybody_can_use(fake: FakeDatabricks) -> None:
    """As PipesDatabricksClient of dagster-databricks would: docs/databricks.md shows it."""
    assert WorkspaceClient(config=workspace_config()).current_user.me().user_name == "dagster"
