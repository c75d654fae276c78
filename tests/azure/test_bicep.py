"""What infra/bicep deploys, for each environment: worked out without Azure, and held against what it promises."""

import json
import re

import pytest

from dagster_lake.deploy.lake_file import STAGES, Stage
from dagster_lake.settings.lake import PROJECT_ROOT
from tests.azure.bicep_access import Access, expected
from tests.azure.bicep_deployment import Deployment, names_in
from tests.azure.bicep_guards import LOG_ALERTS, METRIC_ALERTS
from tests.azure.bicep_lakes import BICEP, KINDS, PROMISES, Promise, deployed
from tests.azure.bicep_promises import closed
from tests.azure.bicep_syntax import Statement, read

FILES = sorted(path.relative_to(BICEP).as_posix() for path in BICEP.rglob("*.bicep"))
LAKES: list[tuple[Stage, str]] = [(stage, kind) for stage in STAGES for kind in KINDS]


@pytest.fixture(scope="module")
def lakes() -> dict[tuple[str, str], Deployment]:
    return {lake: deployed(*lake) for lake in LAKES}


@pytest.mark.parametrize("lake", LAKES, ids="-".join)
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_a_deployment_keeps_what_it_promises(
    lakes: dict[tuple[str, str], Deployment], lake: tuple[str, str], promise: Promise
) -> None:
    assert list(promise(lakes[lake])) == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", ["test", "prod"])
def test_test_and_prod_have_no_public_network(lakes: dict[tuple[str, str], Deployment], stage: str, kind: str) -> None:
    assert lakes[stage, kind].modules["main"].parameters["privateNetwork"] is True
    assert list(closed(lakes[stage, kind])) == []


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_private_network_nothing_of_it_is_there(lakes: dict[tuple[str, str], Deployment], kind: str) -> None:
    lake = lakes["dev", kind]
    assert lake.modules["main"].parameters["privateNetwork"] is False
    assert [resource.id for resource in lake.resources if resource.type.startswith("Microsoft.Network/")] == []
    assert list(closed(lake)) != []


@pytest.mark.parametrize("lake", LAKES, ids="-".join)
def test_deploying_again_asks_for_the_same(lakes: dict[tuple[str, str], Deployment], lake: tuple[str, str]) -> None:
    assert deployed(*lake).resources == lakes[lake].resources
    assert deployed(*lake).outputs == lakes[lake].outputs


def test_nothing_depends_on_the_clock_or_on_chance() -> None:
    for file in FILES:
        assert not re.search(r"\b(utcNow|newGuid|dateTimeAdd)\(", (BICEP / file).read_text()), file


def test_prod_is_spread_over_zones_and_locked(lakes: dict[tuple[str, str], Deployment]) -> None:
    prod = lakes["prod", "everything"]
    assert {account.body["sku"]["name"] for account in prod.of("Microsoft.Storage/storageAccounts")} == {"Standard_ZRS"}
    [postgresql] = prod.of("Microsoft.DBforPostgreSQL/flexibleServers")
    assert postgresql.properties["highAvailability"] == {"mode": "ZoneRedundant"}
    assert postgresql.body["sku"]["tier"] == "GeneralPurpose"  # the tier Burstable has no standby
    [environment] = prod.of("Microsoft.App/managedEnvironments")
    assert environment.properties["zoneRedundant"] is True
    locked = {lock.scope.rpartition("/")[2] for lock in prod.of("Microsoft.Authorization/locks")}
    holding = {resource.name for resource in prod.resources if resource.type in _LOCKED}
    [passing] = [one for one in prod.of("Microsoft.Storage/storageAccounts") if one.module == "machine-learning"]
    assert locked == holding - {passing.name}  # what is in there can be made again


_LOCKED = ("Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults")


def test_a_lake_without_databricks_has_nothing_of_databricks(lakes: dict[tuple[str, str], Deployment]) -> None:
    least = lakes["prod", "least"]
    assert [resource.id for resource in least.resources if "atabricks" in resource.type] == []
    assert least.outputs["accessConnectorId"] == ""


def test_the_outputs_fit_the_file_of_the_catalogue(lakes: dict[tuple[str, str], Deployment]) -> None:
    from dagster_lake.unity_catalog.config import CatalogConfig

    outputs = lakes["prod", "everything"].outputs
    CatalogConfig(
        domain="shop",
        catalog="shop_prod",
        storage_root=outputs["lakeRoot"],
        access_connector_id=outputs["accessConnectorId"],
        managed_identity_id=outputs["databricksIdentityId"],
        groups={"readers": "a", "analysts": "b", "engineers": "c", "sensitive_readers": "d"},
        step_principal="66666666-6666-6666-6666-666666666666",
        column_masks=False,
    )
    deployed_ids = {resource.id for resource in lakes["prod", "everything"].resources}
    assert {outputs["accessConnectorId"], outputs["databricksIdentityId"]} <= deployed_ids


@pytest.mark.parametrize("file", FILES)
def test_every_parameter_is_described_and_used(file: str) -> None:
    found = statements(file)
    used = {name for statement in found for name in names_in(statement.value)}
    for statement in found:
        if statement.kind in ("param", "output"):
            assert "description" in statement.decorators, statement.name
        if statement.kind in ("param", "var"):
            assert statement.name in used


@pytest.mark.parametrize("file", FILES)
def test_a_template_says_what_it_is_and_takes_no_secret(file: str) -> None:
    found = statements(file)
    assert "metadata" in {statement.kind for statement in found}
    assert [statement.name for statement in found if "secure" in statement.decorators] == []
    assert not re.search(r"\blist(Keys|Secrets|Credentials|AccountSas)?\(|getSecret", (BICEP / file).read_text())


def test_every_module_is_used() -> None:
    used = {statement.ref for statement in statements("main.bicep") if statement.kind == "module"}
    assert used == {file for file in FILES if file.startswith("modules/")}


def test_every_name_of_the_convention_is_used_and_every_name_is_one_of_it() -> None:
    convention = json.loads((BICEP / "names.json").read_text())
    used = set(re.findall(r"\bnames\.(\w+)", (BICEP / "main.bicep").read_text())) - {"json"}
    assert used == set(convention)


@pytest.mark.parametrize("stage", STAGES)
def test_a_parameters_file_gives_every_parameter_and_no_other(stage: str) -> None:
    wanted = {s.name for s in statements("main.bicep") if s.kind == "param"}
    given = [s.name for s in statements(f"parameters/{stage}.bicepparam") if s.kind == "param"]
    assert sorted(given) == sorted(wanted)


def statements(file: str) -> list[Statement]:
    return read((BICEP / file).read_text(), file)


def test_the_docs_say_who_may_do_what() -> None:
    table = (
        (PROJECT_ROOT / "docs" / "azure.md").read_text().partition("<!-- access -->")[2].partition("<!-- end -->")[0]
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()[2:]]
    told = {Access(who, role, what, tuple(re.findall(r"`([^`]+)`", below))) for who, role, what, below in rows}
    assert told == expected(deployed("dev", "everything", lakeFolder=""))


def test_the_docs_name_every_alert() -> None:
    text = (PROJECT_ROOT / "docs" / "operations.md").read_text()
    for alert in (*LOG_ALERTS, *METRIC_ALERTS):
        assert re.search(rf"^### {alert}$", text, re.M), alert


def test_every_finding_of_checkov_that_is_accepted_has_a_reason() -> None:
    accepted = (BICEP / ".checkov.yaml").read_text().partition("skip-check:\n")[2].splitlines()
    for line in accepted:
        assert re.fullmatch(r"  (# .+|- CKV2?_AZURE_\d+ # .{20,})", line), line
