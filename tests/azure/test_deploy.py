"""`lake deploy` against a fake Azure CLI: what it shows, does and refuses, and that the second time it does nothing."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dagster_lake.deploy import bicep_inputs
from dagster_lake.deploy.lake_file import LakeFile, fields
from dagster_lake.deploy.preflight import PROVIDERS
from dagster_lake.settings.lake import PROJECT_ROOT
from tests.azure.azure_ids import SUBSCRIPTION, TENANT
from tests.azure.bicep_lakes import BICEP
from tests.azure.deploying import Deploying, deploying
from tests.azure.fake_az import WORLD

IMAGE = "dagster-lake@sha256:" + "ab" * 32
LATER = ("    # dagster_image: dagster-lake@sha256:...", f"    dagster_image: {IMAGE}")


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Deploying]:
    with deploying(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def world_with_dev(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Azure holds once dev was applied."""
    with deploying(tmp_path_factory.mktemp("dev")) as made:
        made.applied()
        return made.azure.world


@pytest.fixture
def dev(fresh: Deploying, world_with_dev: dict[str, Any]) -> Deploying:
    """An environment that another machine has deployed."""
    fresh.azure.change(**world_with_dev)
    return fresh


# ---- plan ----


def test_a_plan_shows_by_resource_group_what_would_be_created_and_changes_nothing(fresh: Deploying) -> None:
    fresh.azure.change(registered=[])
    output = fresh.done("plan")
    assert "lake-shop-dev: subscription Lake dev, as somebody@example.com" in output
    assert re.search(r"^rg-shop-dev-data: \d+ to create$", output, re.M)
    assert re.search(r"^  \+ Microsoft.Storage/storageAccounts  stshopdev\w{6}$", output, re.M)
    assert "  + Microsoft.Consumption/budgets  budget-shop-dev" in output
    assert re.search(r"^Plan: \d+ to create, of 1 Azure cannot tell\.$", output, re.M)
    assert "  ? a resource  [resourceId('Microsoft.DBforPostgreSQL/flexibleServers/administrators', " in output
    assert "Note: apply registers the resource providers Microsoft.App, " in output
    assert "Note: Dagster does not run yet: environments.dev.dagster_image is not given" in output
    assert fresh.azure.world["deployments"] == {}
    assert not fresh.state.exists()


def test_the_exit_code_says_whether_there_is_something_to_do(dev: Deploying) -> None:
    assert dev.run("plan", "--exit-code").exit_code == 0
    dev.write(LATER)
    assert dev.run("plan", "--exit-code").exit_code == 2
    assert dev.run("plan").exit_code == 0


def test_a_change_is_shown_property_by_property(dev: Deploying) -> None:
    dev.write(("    # services:", "    sizes: {throughput_units: 2, log_days: 60}\n    # services:"))
    output = dev.done("plan")
    hubs = r"^  ~ Microsoft.EventHub/namespaces  evhns-shop-dev-\w{6}\n(      .*\n)*      sku.capacity: 1 -> 2$"
    assert re.search(hubs, output, re.M)
    assert re.search(
        r"  ~ Microsoft.OperationalInsights/workspaces  .*\n      properties.retentionInDays: 30 -> 60", output
    )
    assert "2 to change" in output


def test_a_running_stream_analytics_job_is_to_be_stopped_before_it_is_changed(dev: Deploying) -> None:
    on = ("    # services:", "    services: {stream_analytics: true}\n    # services:")
    dev.write(on)
    dev.applied()
    dev.write(on, ("    # sizes:", "    sizes: {streaming_units: 10}\n    # sizes:"))
    assert "Note: Stream Analytics refuses changes to a job that runs; stop it first" in dev.done("plan")


# ---- apply ----


def test_apply_registers_deploys_and_says_what_is_left(fresh: Deploying) -> None:
    fresh.azure.change(registered=[one for one in PROVIDERS if one != "Microsoft.App"])
    output = fresh.applied()
    assert "Registering Microsoft.App\n" in output
    assert fresh.azure.world["registered"] == sorted(PROVIDERS)
    assert re.search(r"^Deploying lake-shop-dev-[0-9a-f]{8}-\d{8}T\d{6}Z; it runs on in Azure", output, re.M)
    assert re.search(r"^\[1/(\d+)\] \S+  1 min 35 s$", output, re.M)
    modules = int(re.findall(r"^\[(\d+)/\1\] ", output, re.M)[0])
    assert len(re.findall(r"^\[\d+/\d+\] ", output, re.M)) == modules > 10
    assert re.search(r"^lakeRoot +abfss://lake@stshopdev\w{6}\.dfs\.core\.windows\.net$", output, re.M)
    assert "Deployed. What is left to be done by hand:" in output
    assert "4. then run lake deploy apply --environment dev again" in output
    assert fresh.begun == 1
    assert json.loads(fresh.state.read_text())["finished"] is True


def test_without_agreement_nothing_is_begun(fresh: Deploying) -> None:
    result = fresh.run("apply", answer="n\n")
    assert result.exit_code == 1
    assert "Deploy this? [y/N]: n" in result.output
    assert result.output.endswith("Nothing was changed.\n")
    assert fresh.begun == 0
    assert not fresh.state.exists()


def test_providers_are_registered_only_when_one_agrees(fresh: Deploying) -> None:
    fresh.azure.change(registered=["Microsoft.Storage"])
    assert fresh.run("apply", answer="n\n").output.endswith(
        "Register them? It costs nothing. [y/N]: n\nNothing was changed.\n"
    )
    assert fresh.azure.called("provider register") == []


def test_the_second_apply_deploys_nothing_and_does_not_ask(dev: Deploying) -> None:
    resources = dev.azure.world["resources"]
    output = dev.done("apply")
    assert re.search(r"Nothing to deploy: everything is as lake-shop-dev-\S+ left it", output)
    assert "lakeRoot" in output
    assert dev.begun == 0
    assert dev.azure.world["resources"] == resources


def test_what_azure_cannot_tell_of_is_deployed_when_something_else_was_deployed_last(dev: Deploying) -> None:
    [(name, last)] = dev.azure.world["deployments"].items()
    dev.azure.change(deployments={re.sub("dev-[0-9a-f]{8}-", "dev-00000000-", name): last})
    assert dev.run("plan", "--exit-code").exit_code == 2
    dev.applied()
    assert dev.begun == 1


def test_what_somebody_changed_by_hand_is_put_right(dev: Deploying) -> None:
    resources = dev.azure.world["resources"]
    vault = next(id_ for id_, body in resources.items() if body["type"] == "Microsoft.KeyVault/vaults")
    opened = json.loads(json.dumps(resources))
    opened[vault]["properties"]["enableSoftDelete"] = False
    dev.azure.change(resources=opened)
    assert "      properties.enableSoftDelete: false -> true" in dev.applied()
    assert dev.azure.world["resources"] == resources


def test_the_image_and_the_sign_in_are_deployed_with_the_second_apply(dev: Deploying) -> None:
    users = "    # sign_in_client_id: 44444444-4444-4444-4444-444444444444"
    dev.write(LATER, (users, users.replace("# ", "")))
    output = dev.applied()
    assert "  + 3 of Microsoft.App/containerApps  dagster-code, dagster-daemon, dagster-webserver" in output
    assert "dagster_image" not in output
    assert "sign_in_client_id" not in output
    [app] = [body for id_, body in dev.azure.world["resources"].items() if id_.endswith("containerApps/dagster-code")]
    assert app["properties"]["template"]["containers"][0]["image"].endswith(f".azurecr.io/{IMAGE}")


def test_what_is_in_lake_yaml_reaches_the_templates(fresh: Deploying) -> None:
    fresh.write(
        LATER,
        (
            "    # services:",
            "    settings: {LAKE_MEMORY_LIMIT: 3GB}\n    secret_settings: {LAKE_DATABASE_URL: database-url}\n"
            "    lake_folder: shop\n"
            "    sizes: {cores: 2, postgresql_size: Standard_D2ds_v5, postgresql_storage_gb: 64}\n    # services:",
        ),
    )
    fresh.applied()
    resources = fresh.azure.world["resources"]
    [code] = [body for id_, body in resources.items() if id_.endswith("containerApps/dagster-code")]
    [container] = code["properties"]["template"]["containers"]
    assert container["resources"] == {"cpu": 2, "memory": "4Gi"}
    settings = {one["name"]: one for one in container["env"]}
    assert settings["LAKE_MEMORY_LIMIT"]["value"] == "3GB"
    assert settings["LAKE_ROOT"]["value"].endswith(".dfs.core.windows.net/shop")
    assert "LAKE_DATABASE_URL" in settings
    [server] = [body for body in resources.values() if body["type"] == "Microsoft.DBforPostgreSQL/flexibleServers"]
    assert server["sku"] == {"name": "Standard_D2ds_v5", "tier": "GeneralPurpose"}
    assert server["properties"]["storage"]["storageSizeGB"] == 64


def test_an_environment_that_is_filled_in_does_not_wait_for_the_others(fresh: Deploying) -> None:
    text = (fresh.folder / "lake.yaml").read_text()
    dev, prod = text.split("  prod:")
    (fresh.folder / "lake.yaml").write_text(f"{dev}  prod:{prod.replace('somebody', 'CHANGE_ME')}")
    fresh.done("plan")
    assert "environments.prod.administrators.name: 'CHANGE_ME' is still the example's value" in fresh.refused(
        "plan", stage="prod"
    )


# ---- outputs ----


def test_outputs_are_printed_for_people_for_programs_and_for_a_dotenv_file(dev: Deploying) -> None:
    outputs = json.loads(dev.done("outputs", "--json"))
    assert outputs["computeGroup"] == "rg-shop-dev-compute"
    assert set(outputs) == set(re.findall(r"^output (\w+)", (BICEP / "main.bicep").read_text(), re.M))
    assert f"lakeRoot               {outputs['lakeRoot']}\n" in dev.done("outputs")
    assert dev.done("outputs", "--env").splitlines() == [
        f"LAKE_ROOT={outputs['lakeRoot']}",
        f"LAKE_EVENT_HUBS={outputs['eventHubs']}",
        "LAKE_PII_KEY_ID=shop-dev-1",
    ]
    assert "give one" in dev.refused("outputs", "--env", "--json")


def test_the_outputs_are_settings_that_the_lake_reads(dev: Deploying) -> None:
    from dagster_lake.settings.lake import Settings

    lines = dict(line.split("=", 1) for line in dev.done("outputs", "--env").splitlines())
    names = {name.removeprefix("LAKE_").lower() for name in lines}
    assert names <= set(Settings.model_fields)


def test_without_a_deployment_there_are_no_outputs(fresh: Deploying) -> None:
    assert "no deployment of dev has succeeded yet" in fresh.refused("outputs")


def test_outputs_are_of_the_environment_that_was_asked_for(dev: Deploying) -> None:
    assert "no deployment of test has succeeded yet" in dev.refused("outputs", stage="test")


# ---- what is looked at first ----


@pytest.mark.parametrize(
    ("world", "told"),
    [
        ({"accounts": {}}, r"Please run 'az login' to setup account\.\n-> log in: az login"),
        (
            {"accounts": {"9": WORLD["accounts"][SUBSCRIPTION]}},
            rf"lake\.yaml: environments\.dev\.subscription: this login has no subscription {SUBSCRIPTION}; log in with "
            rf"`az login --tenant {TENANT}`",
        ),
        (
            {"accounts": {SUBSCRIPTION: {"tenantId": "7", "name": "Lake", "state": "Enabled"}}},
            rf"lake\.yaml: tenant is {TENANT}, and the subscription is in 7; correct one of them",
        ),
        (
            {"accounts": {SUBSCRIPTION: {"tenantId": TENANT, "name": "Lake", "state": "Disabled"}}},
            r"subscription Lake is Disabled",
        ),
        ({"version": "2.47.1"}, r"the Azure CLI is 2\.47\.1, and 2\.60\.0 is needed; az upgrade"),
        ({"bicep": None}, r"Bicep CLI not found.*\n-> install Bicep: az bicep install"),
        (
            {"bicep": "Bicep CLI version 0.22.6 (x)"},
            r"Bicep CLI version 0\.22\.6 \(x\), and 0\.30\.3 is needed; az bicep",
        ),
        ({"regions": ["westus", "westeurop"]}, r"region: the subscription has no westeurope; did you mean westeurop"),
    ],
    ids=["no login", "other login", "other tenant", "disabled", "old az", "no bicep", "old bicep", "no such region"],
)
def test_what_is_not_as_it_must_be_is_told_before_azure_is_asked_to_do_anything(
    fresh: Deploying, world: dict[str, Any], told: str
) -> None:
    fresh.azure.change(**world)
    assert re.search(told, fresh.refused("apply", "--yes"))
    assert fresh.azure.called("deployment") == []
    assert fresh.azure.called("provider") == []


def test_without_the_azure_cli_one_is_told_to_install_it(fresh: Deploying, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(fresh.folder))
    assert "the Azure CLI (az) is not on the PATH; install it" in fresh.refused("plan")


def test_templates_that_the_contracts_have_left_behind_are_not_deployed(
    fresh: Deploying, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {file: text + " " for file, text in bicep_inputs.generated().items()}
    monkeypatch.setattr("dagster_lake.deploy.preflight.generated", lambda: files)
    told = fresh.refused("apply", "--yes")
    assert "retention.json is not what the contracts say; run python -m dagster_lake.deploy.bicep_inputs" in told
    assert fresh.azure.calls == []


# ---- what the lists hold ----


def test_the_providers_are_those_of_the_templates() -> None:
    used = {
        match
        for file in BICEP.rglob("*.bicep")
        for match in re.findall(r"'(Microsoft\.\w+)/[\w/]+@\d{4}-", file.read_text())
    }
    assert set(PROVIDERS) == used - {"Microsoft.Resources"}  # which every subscription has


def test_the_docs_explain_every_field() -> None:
    text = (PROJECT_ROOT / "docs" / "azure.md").read_text()
    table = text.partition("<!-- fields -->")[2].partition("<!-- end -->")[0]
    rows = [line.strip("| ").split(" | ", 1) for line in table.strip().splitlines()[2:]]
    assert rows == [
        [f"`{name}`" if required else f"`{name}` (optional)", said.replace("|", "\\|")]
        for name, required, said in fields(LakeFile)
    ]
