"""What a deployment gives to the steps after it: names and addresses, no secrets."""

from collections.abc import Mapping
from typing import Any

from dagster_lake.deploy.lake_file import LakeFile, Stage
from dagster_lake.deploy.parameters import masking_key_id

_SETTINGS = {"LAKE_ROOT": "lakeRoot", "LAKE_EVENT_HUBS": "eventHubs"}


def settings(lake: LakeFile, stage: Stage, outputs: Mapping[str, Any]) -> dict[str, str]:
    """The lake's settings by which a program works on what was deployed; the masking key itself stays in the vault."""
    return {
        **{setting: str(outputs[output]) for setting, output in _SETTINGS.items()},
        "LAKE_PII_KEY_ID": masking_key_id(lake, stage),
    }


def next_steps(lake: LakeFile, stage: Stage, outputs: Mapping[str, Any]) -> list[str]:
    """What is left to be done by hand, as far as the file tells; docs/azure.md has the commands."""
    chosen = lake.environments[stage]
    steps = []
    if chosen.dagster_image is None:
        steps.append(f"put the masking key into the vault {outputs['vaultName']} as pii-key (docs/azure.md, step 4)")
    if chosen.sign_in_client_id is None:
        steps.append(
            f"register the sign-in that trusts {outputs['dagsterIdentity']}, and give its id as "
            f"environments.{stage}.sign_in_client_id (step 5)"
        )
    if chosen.dagster_image is None:
        steps.append(
            f"build the image, push it to {outputs['registryName']}.azurecr.io, and give its digest as "
            f"environments.{stage}.dagster_image (step 6)"
        )
    if steps:
        steps.append(f"then run lake deploy apply --environment {stage} again: Dagster starts with it")
    if outputs.get("databricksWorkspaceId") and chosen.catalog is None:
        steps.append(
            f"make a SQL warehouse, fill in a catalog.yaml from the outputs, and name it as "
            f"environments.{stage}.catalog (step 8)"
        )
    return steps
