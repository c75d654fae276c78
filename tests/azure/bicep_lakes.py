"""The deployments that tests look at, and everything that must hold of each."""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dagster_lake.contract.model import contracts
from dagster_lake.deploy.lake_file import Stage, load_lake_file
from dagster_lake.deploy.parameters import VARIABLE, encoded, parameters
from dagster_lake.settings.lake import PROJECT_ROOT
from tests.azure.bicep_access import access
from tests.azure.bicep_apps import apps
from tests.azure.bicep_data import captured, kept
from tests.azure.bicep_deployment import Deployment
from tests.azure.bicep_guards import GUARDS
from tests.azure.bicep_promises import ALWAYS, closed
from tests.azure.bicep_syntax import BicepError
from tests.azure.lake_yaml import write_lake_yaml

BICEP = PROJECT_ROOT / "infra" / "bicep"
RUNNING: dict[str, Any] = {
    "dagsterImage": "dagster-lake@sha256:" + "0" * 64,
    "signInClientId": "33333333-3333-3333-3333-333333333333",
    "dagsterUsersId": "44444444-4444-4444-4444-444444444444",
}
_ALL = {f"deploy{service}": True for service in ("StreamAnalytics", "Databricks", "Sql", "DataFactory")}
EVERYTHING: dict[str, Any] = {
    **RUNNING,
    **_ALL,
    "deployMachineLearning": True,
    "deployPurview": True,
    "engine": "databricks",
    "lakeFolder": "shop",
    "secretSettings": [{"name": "LAKE_DATABASE_URL", "secret": "database-url"}],
    "settings": [{"name": "LAKE_MEMORY_LIMIT", "value": "6GB"}],
    "domain": "abcdefgh",  # as long as one may be
}
LEAST: dict[str, Any] = {name: False for name in EVERYTHING if name.startswith("deploy")}
KINDS: dict[str, dict[str, Any]] = {"first": {}, "running": RUNNING, "everything": EVERYTHING, "least": LEAST}
"""A parameters file as it is, with an image, with every service, with none that can be left out."""

Promise = Callable[[Deployment], Iterator[str]]


def kept_as_contracts_say(lake: Deployment) -> Iterator[str]:
    """See bicep_data.kept."""
    yield from kept(lake, contracts())


def captured_as_contracts_say(lake: Deployment) -> Iterator[str]:
    """See bicep_data.captured."""
    yield from captured(lake, contracts())


PROMISES: tuple[Promise, ...] = (
    *ALWAYS,
    access,
    *GUARDS,
    apps,
    kept_as_contracts_say,
    captured_as_contracts_say,
)


def deployed(stage: Stage, kind: str, changes: Mapping[str, str] | None = None, **values: Any) -> Deployment:
    """What lake.yaml and the parameters file of a stage deploy, with other values for some parameters.

    Raises BicepError.
    """
    file = f"parameters/{stage}.bicepparam"
    return Deployment(BICEP, file, changes, {VARIABLE: _lake_yaml(stage)}, **{**KINDS[kind], **values})


@lru_cache
def _lake_yaml(stage: Stage) -> str:
    """The project's lake.yaml, filled in, as `lake deploy` hands it to the Bicep compiler."""
    with TemporaryDirectory() as folder:
        return encoded(parameters(load_lake_file(write_lake_yaml(Path(folder)), stage), stage))


def broken(changes: Mapping[str, str]) -> str | None:
    """The first thing that is wrong with the templates when some files are changed; None when nothing is."""
    looked_at: tuple[tuple[Stage, str], ...] = (("prod", "everything"), ("dev", "everything"), ("test", "first"))
    for stage, kind in looked_at:
        try:
            lake = deployed(stage, kind, changes)
        except BicepError as problem:
            return str(problem)
        for promise in (*PROMISES, *([closed] if stage != "dev" else [])):
            for problem_found in promise(lake):
                return problem_found
    return None
