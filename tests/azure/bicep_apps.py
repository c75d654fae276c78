"""What runs on a lake on Azure: Dagster's three apps, as their programs and the lake's settings would take them."""

import shlex
from collections.abc import Iterator
from typing import Any

import click
from pydantic import ValidationError

from dagster_lake.settings.databricks import DatabricksSettings
from dagster_lake.settings.lake import Settings
from tests.azure.bicep_deployment import Deployment, Resource
from tests.azure.bicep_promises import at

APPS = ("dagster-code", "dagster-daemon", "dagster-webserver")
_SIGN_IN = "override-use-mi-fic-assertion-client-id"
ELSEWHERE = {
    "AZURE_CLIENT_ID": "azure-identity",
    "AZURE_LOGS_CONTAINER": "deploy/azure/dagster.yaml",
    "AZURE_STORAGE_ACCOUNT": "deploy/azure/dagster.yaml",
    "DAGSTER_CODE_HOST": "deploy/workspace.yaml",
    "DAGSTER_CODE_PORT": "deploy/workspace.yaml",
    "DAGSTER_HOME": "dagster",
    "DAGSTER_POSTGRES_DB": "deploy/azure/dagster.yaml",
    "DAGSTER_POSTGRES_HOST": "deploy/azure/dagster.yaml",
    "DAGSTER_POSTGRES_USER": "deploy/azure/dagster.yaml",
    "DATABRICKS_CLIENT_ID": "databricks-sdk",
    "DATABRICKS_CLIENT_SECRET": "databricks-sdk",
    "DATABRICKS_HOST": "databricks-sdk",
}
"""Variables that are no settings of the lake, and who reads them."""


def apps(lake: Deployment) -> Iterator[str]:
    """With an image, the three apps run as they should; without one, none is there."""
    found = {app.name: app for app in lake.of("Microsoft.App/containerApps")}
    image = lake.modules["main"].parameters["dagsterImage"]
    if set(found) != (set(APPS) if image else set()):
        yield f"the apps are {sorted(found)}"
        return
    for app in found.values():
        yield from _app(lake, app, image)
    if image:
        yield from _code(found["dagster-code"])
        yield from _webserver(lake, found["dagster-webserver"])
        if "ingress" in found["dagster-daemon"].properties["configuration"]:
            yield "dagster-daemon: takes calls, and has nothing to say"


def _app(lake: Deployment, app: Resource, image: str) -> Iterator[str]:
    [container] = app.properties["template"]["containers"]
    [registry] = lake.of("Microsoft.ContainerRegistry/registries")
    [environment] = lake.of("Microsoft.App/managedEnvironments")
    if container["image"] != f"{registry.name}.azurecr.io/{image}":
        yield f"{app.name}: its image is {container['image']}"
    if app.properties["environmentId"] != environment.id:
        yield f"{app.name}: runs in {app.properties['environmentId']}"
    profiles = {one["name"] for one in environment.properties["workloadProfiles"]}
    if app.properties["workloadProfileName"] not in profiles:
        yield f"{app.name}: runs on {app.properties['workloadProfileName']}"
    [pull] = app.properties["configuration"]["registries"]
    identities = app.body["identity"]["userAssignedIdentities"]
    if pull["identity"] not in identities or not pull["server"].startswith(registry.id):
        yield f"{app.name}: pulls as {pull}"
    fewest = lake.modules["main"].parameters["minimumWebservers"] if app.name == "dagster-webserver" else 1
    if app.properties["template"]["scale"] != {"minReplicas": fewest, "maxReplicas": 1}:
        yield f"{app.name}: runs {app.properties['template']['scale']} times"
    cores, memory = container["resources"]["cpu"], container["resources"]["memory"]
    if memory != f"{2 * cores:g}Gi":
        yield f"{app.name}: Container Apps gives {cores} cores twice as many Gi, not {memory}"
    if "--log-format json" not in shlex.join(container["args"]):
        yield f"{app.name}: prints lines that no query can read"
    yield from _understood(app, container)
    yield from _environment(lake, app, container)


def _understood(app: Resource, container: dict[str, Any]) -> Iterator[str]:
    """Whether the program takes these arguments: it is asked, and not run."""
    [program], arguments = container["command"], list(container["args"])
    command = _programs()[program]
    try:
        while isinstance(command, click.Group):
            _, inner, arguments = command.resolve_command(click.Context(command), arguments)
            assert inner is not None  # an unknown one is a ClickException
            command = inner
        command.make_context(program, arguments)
    except click.ClickException as problem:
        yield f"{app.name}: {shlex.join(container['args'])}: {problem.format_message()}"


def _programs() -> dict[str, click.Command]:
    from dagster._cli import create_dagster_cli
    from dagster._daemon.cli import create_dagster_daemon_cli
    from dagster_webserver.cli import dagster_webserver

    return {
        "dagster": create_dagster_cli(),
        "dagster-daemon": create_dagster_daemon_cli(),
        "dagster-webserver": dagster_webserver,
    }


def _environment(lake: Deployment, app: Resource, container: dict[str, Any]) -> Iterator[str]:
    """Every variable is one that somebody reads, and the lake's settings take their values."""
    secrets = {one["name"]: one for one in app.properties["configuration"].get("secrets", [])}
    values: dict[str, str] = {}
    for one in container["env"]:
        if one["name"] in values:
            yield f"{app.name}: {one['name']} is set twice"
        if "secretRef" in one and one["secretRef"] not in secrets:
            yield f"{app.name}: there is no secret {one['secretRef']}"
        values[one["name"]] = one.get("value") or "k" * 32
    for name in values:
        field = name.removeprefix("LAKE_").lower()
        own = field.removeprefix("databricks_")
        if name not in ELSEWHERE and field not in Settings.model_fields and own not in DatabricksSettings.model_fields:
            yield f"{app.name}: nobody reads {name}"
    yield from _as_whom(lake, app, values)
    try:
        given: dict[str, Any] = {n[5:].lower(): value for n, value in values.items() if n.startswith("LAKE_")}
        settings = Settings(**given)
    except ValidationError as problem:
        yield f"{app.name}: {problem}"
        return
    yield from _settings(lake, app, settings)


def _as_whom(lake: Deployment, app: Resource, values: dict[str, str]) -> Iterator[str]:
    """Every app comes to Azure and Databricks as the identity that it has: see databricks/sign_in.py."""
    [identity] = app.body["identity"]["userAssignedIdentities"]
    if values.get("AZURE_CLIENT_ID") != f"{identity}.properties.clientId":
        yield f"{app.name}: comes as {values.get('AZURE_CLIENT_ID')}"
    on_databricks = lake.modules["main"].parameters["engine"] == "databricks"
    workspaces = lake.of("Microsoft.Databricks/workspaces") if on_databricks else []
    host = f"https://{workspaces[0].id}.properties.workspaceUrl" if workspaces else None
    if values.get("DATABRICKS_HOST") != host:
        yield f"{app.name}: looks for Databricks at {values.get('DATABRICKS_HOST')}"


def _settings(lake: Deployment, app: Resource, settings: Settings) -> Iterator[str]:
    wanted = lake.modules["main"].parameters
    [account] = [one for one in lake.of("Microsoft.Storage/storageAccounts") if one.module == "storage"]
    [namespace] = lake.of("Microsoft.EventHub/namespaces")
    folder = f"/{wanted['lakeFolder']}" if wanted["lakeFolder"] else ""
    found = {
        "root": settings.root,
        "event_hubs": settings.event_hubs,
        "event_hubs_consumer_group": settings.event_hubs_consumer_group,
        "engine": settings.engine,
        "pii_key_id": settings.pii_key_id,
        "stream_analytics": settings.stream_analytics,
    }
    right = {
        "root": f"abfss://lake@{account.name}.dfs.core.windows.net{folder}",
        "event_hubs": f"{namespace.name}.servicebus.windows.net",
        "event_hubs_consumer_group": "lake",
        "engine": wanted["engine"],
        "pii_key_id": wanted["maskingKeyId"],
        "stream_analytics": wanted["deployStreamAnalytics"],
    }
    if found != right:
        yield f"{app.name}: is given {found}, not {right}"
    if (settings.pii_key is not None) != (app.name == "dagster-code"):
        yield f"{app.name}: only the code location needs the masking key"
    if found["root"] != lake.outputs["lakeRoot"]:
        yield f"lakeRoot is {lake.outputs['lakeRoot']}"


def _code(app: Resource) -> Iterator[str]:
    configuration = app.properties["configuration"]
    ingress = configuration["ingress"]
    [container] = app.properties["template"]["containers"]
    values = {one["name"]: one.get("value") for one in container["env"]}
    port = container["args"][container["args"].index("--port") + 1]
    wanted = {"external": False, "transport": "tcp", "targetPort": int(port), "exposedPort": int(port)}
    if ingress != wanted:
        yield f"dagster-code: takes calls by {ingress}"
    if (values["DAGSTER_CODE_HOST"], values["DAGSTER_CODE_PORT"]) != (app.name, port):
        yield f"dagster-code: is looked for at {values['DAGSTER_CODE_HOST']}:{values['DAGSTER_CODE_PORT']}"
    if any(probe["tcpSocket"]["port"] != int(port) for probe in container["probes"]):
        yield "dagster-code: is probed elsewhere"
    if values.get("LAKE_METRICS") != "true":
        yield "dagster-code: prints no metrics, which the alerts read"


def _webserver(lake: Deployment, app: Resource) -> Iterator[str]:
    wanted = lake.modules["main"].parameters
    ingress = app.properties["configuration"]["ingress"]
    [container] = app.properties["template"]["containers"]
    port = int(container["args"][container["args"].index("--port") + 1])
    signs_in = bool(wanted["signInClientId"])
    if ingress["external"] is not signs_in or ingress["targetPort"] != port:
        yield f"dagster-webserver: takes calls by {ingress}"
    if any(probe["httpGet"]["port"] != port for probe in container["probes"]):
        yield "dagster-webserver: is probed elsewhere"
    guards = lake.of("Microsoft.App/containerApps/authConfigs")
    if len(guards) != (1 if signs_in else 0):
        yield f"dagster-webserver: has {len(guards)} guards"
    for guard in guards:
        yield from _guard(lake, guard, app)


def _guard(lake: Deployment, guard: Resource, app: Resource) -> Iterator[str]:
    wanted = lake.modules["main"].parameters
    client = wanted["signInClientId"]
    if guard.id != f"{app.id}/authConfigs/current":
        yield f"{guard.id}: guards nothing"
    entra = at(guard.properties, "identityProviders.azureActiveDirectory")
    registration = {
        "clientId": client,
        "clientSecretSettingName": _SIGN_IN,
        "openIdIssuer": "https://login.microsoftonline.com/22222222-2222-2222-2222-222222222222/v2.0",
    }
    if entra["registration"] != registration:
        yield f"the sign-in is {entra['registration']}"
    if at(guard.properties, "globalValidation.redirectToProvider") != "azureactivedirectory":
        yield "the sign-in is not Entra's"
    if entra["validation"]["allowedAudiences"] != [f"api://{client}", client]:
        yield f"the sign-in takes tokens for {entra['validation']['allowedAudiences']}"
    allowed = entra["validation"]["defaultAuthorizationPolicy"]["allowedPrincipals"]
    factories = [f"{factory.id}.identity.principalId" for factory in lake.of("Microsoft.DataFactory/factories")]
    if allowed != {"groups": [wanted["dagsterUsersId"]], "identities": factories}:
        yield f"the webserver lets in {allowed}"
    [secret] = app.properties["configuration"]["secrets"]
    if secret["name"] != _SIGN_IN:
        yield f"the sign-in's secret is {secret['name']}"
