"""``lake.yaml``: what only people can say about the lake on Azure, for each environment."""

import re
from collections.abc import Iterator
from datetime import date
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, get_args

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from dagster_lake.deploy.errors import DeployError
from dagster_lake.deploy.yaml_problems import first_problem
from dagster_lake.settings.lake import PROJECT_ROOT

DEFAULT_FILE = PROJECT_ROOT / "lake.yaml"

Stage = Literal["dev", "test", "prod"]
STAGES: tuple[Stage, ...] = get_args(Stage)

STREAMING_UNITS = (3, 7, 10, 20, 30, 40, 50, 60)
"""What stream_analytics.bicep allows."""

_TIERS = {"B": "Burstable", "D": "GeneralPurpose", "E": "MemoryOptimized"}
_NIL = "00000000-0000-0000-0000-000000000000"
_HOLDS_A_SECRET = re.compile(
    r"(KEY|PASSWORD|SECRET|TOKEN|SAS|WEBHOOK|CHANNELS|CONNECTION|CONNECTION_STRING|DATABASE_URL)$"
)
_MASKING_KEY = "pii-key"


def _is_said(value: object) -> object:
    if isinstance(value, str) and ("CHANGE_ME" in value or value == _NIL or value.lower().startswith("change-me@")):
        raise ValueError("is still the example's value")
    return value


def _is_first_of_month(day: date) -> date:
    if day.day != 1:
        raise ValueError("is not the first day of a month")
    return day


def _is_private(prefix: str) -> str:
    if any(int(part) > 255 for part in prefix.split(".")) or not ip_network(f"{prefix}.0.0/16").is_private:
        raise ValueError("is not the beginning of private addresses")
    return prefix


def _is_quarter_cores(cores: float) -> float:
    if cores * 4 != int(cores * 4):
        raise ValueError("is not a number of quarter cores")
    return cores


def _is_allowed(units: int) -> int:
    if units not in STREAMING_UNITS:
        raise ValueError("is not one of them")
    return units


_Said = BeforeValidator(_is_said)
Guid = Annotated[str, _Said, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", to_lower=True)]
Text = Annotated[str, _Said, StringConstraints(min_length=1, max_length=200, strip_whitespace=True)]
Email = Annotated[str, _Said, StringConstraints(pattern=r"^[^@\s]+@[^@\s.]+(\.[^@\s.]+)+$")]
SettingName = Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$")]
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,127}$")]
MachineSize = Annotated[str, StringConstraints(pattern=r"^Standard_[A-Z]{1,3}[0-9]+[a-z]*(_v[0-9]+)?$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Administrators(_Strict):
    """The Entra group that administers databases and puts secrets into the key vault."""

    name: Text = Field(description="give the group's display name")
    id: Guid = Field(description="give the group's object id: az ad group show --group NAME --query id --output tsv")


class Services(_Strict):
    """What is deployed and can be left out; unless said, as in the environment's parameters file."""

    databricks: bool | None = Field(None, description="say true or false")
    stream_analytics: bool | None = Field(None, description="say true or false")
    sql: bool | None = Field(None, description="say true or false")
    data_factory: bool | None = Field(None, description="say true or false")
    machine_learning: bool | None = Field(None, description="say true or false")
    purview: bool | None = Field(None, description="say true or false")


class Sizes(_Strict):
    """Sizes other than those in the environment's parameters file."""

    cores: Annotated[float, AfterValidator(_is_quarter_cores)] | None = Field(
        None, ge=1, le=4, description="give the code location 1 to 4 cores; it gets 2 GB of memory for each"
    )
    minimum_webservers: int | None = Field(None, ge=0, le=1, description="say 0 (it sleeps) or 1")
    slow_minutes: int | None = Field(None, ge=1, description="say after how many minutes an hour's run is too slow")
    postgresql_size: Annotated[str, StringConstraints(pattern=r"^Standard_[BDE][0-9]+[a-z]*(_v[0-9]+)?$")] | None = (
        Field(None, description="give a size of Azure Database for PostgreSQL, such as Standard_B1ms, Standard_D2ds_v5")
    )
    postgresql_storage_gb: Literal[32, 64, 128, 256, 512, 1024, 2048] | None = Field(
        None, description="give the disk of PostgreSQL, 32 to 2048 GB; never less than it has grown to by itself"
    )
    throughput_units: int | None = Field(None, ge=1, le=40, description="give Event Hubs 1 to 40 throughput units")
    maximum_throughput_units: int | None = Field(None, ge=1, le=40, description="let Event Hubs grow to 1 to 40")
    partitions: int | None = Field(None, ge=2, le=32, description="give each hub 2 to 32; it cannot be changed later")
    event_hours: int | None = Field(None, ge=1, le=168, description="have hubs keep events 1 to 168 hours")
    streaming_units: Annotated[int, AfterValidator(_is_allowed)] | None = Field(
        None, description=f"give Stream Analytics one of {', '.join(map(str, STREAMING_UNITS))}"
    )
    machine_size: MachineSize | None = Field(None, description="give a size of virtual machines: Standard_D4ds_v5")
    maximum_machines: int | None = Field(None, ge=1, le=100, description="say how many machines at most")
    log_days: int | None = Field(None, ge=30, le=730, description="keep logs 30 to 730 days")
    daily_log_quota_gb: int | None = Field(None, ge=-1, description="say how many GB a day, or -1 for no limit")
    soft_delete_days: int | None = Field(None, ge=1, le=365, description="say 1 to 365 days")

    @model_validator(mode="after")
    def _grows(self) -> "Sizes":
        first, most = self.throughput_units, self.maximum_throughput_units
        if first and most and most < first:
            raise ValueError(f"maximum_throughput_units {most} is less than throughput_units {first}")
        return self


class Environment(_Strict):
    """One environment on Azure."""

    subscription: Guid = Field(description="give the subscription's id: az account list --output table")
    contacts: list[Email] = Field(min_length=1, description="give e-mail addresses that alerts go to")
    monthly_budget: int = Field(ge=1, description="say what a month may cost, in the currency of the bill")
    budget_start: Annotated[date, AfterValidator(_is_first_of_month)] = Field(
        description="give the first day of the month of the first deployment, such as 2026-12-01; it stays the same"
    )
    administrators: Administrators = Field(description="give the name and the id of an Entra group")
    dagster_users: Guid = Field(
        description="give the object id of the Entra group that may use Dagster's pages: az ad group show"
    )
    dagster_image: (
        Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([._/-][a-z0-9]+)*@sha256:[0-9a-f]{64}$")] | None
    ) = Field(
        None,
        description="give the image in the environment's registry by its digest, dagster-lake@sha256:..., or leave it "
        "out while there is none",
    )
    sign_in_client_id: Guid | None = Field(
        None, description="give the application id of the app registration, or leave it out while there is none"
    )
    masking_key_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,32}$")] | None = Field(
        None, description="name the masking key, such as shop-dev-1"
    )
    engine: Literal["duckdb", "databricks"] | None = Field(None, description="say duckdb or databricks")
    lake_folder: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*$")] | None = Field(
        None, description="name a folder in the container, such as shop"
    )
    address_prefix: (
        Annotated[str, StringConstraints(pattern=r"^[0-9]{1,3}\.[0-9]{1,3}$"), AfterValidator(_is_private)] | None
    ) = Field(None, description="give the first two numbers of the network's private addresses, such as '10.20'")
    settings: dict[SettingName, str] = Field(
        {}, description="give settings of the lake that are no secrets, such as LAKE_MEMORY_LIMIT: 6GB"
    )
    secret_settings: dict[SettingName, SecretName] = Field(
        {},
        repr=False,  # who takes it for the place of the secrets themselves must not find one in a log
        description="name the key vault's secret of each, such as LAKE_DATABASE_URL: database-url",
    )
    services: Services = Field(Services(), description="say which services are deployed")
    sizes: Sizes = Field(Sizes(), description="give sizes")
    catalog: Text | None = Field(
        None, description="name the file for `lake catalog`, such as catalog.yaml, once it is filled in"
    )

    @model_validator(mode="after")
    def _fits_together(self) -> "Environment":
        for name in self.settings:
            if _HOLDS_A_SECRET.search(name):
                raise ValueError(f"settings has {name}, which holds a secret; put it into secret_settings")
        if both := sorted({*self.settings} & {*self.secret_settings}):
            raise ValueError(f"{both[0]} is in settings and in secret_settings; remove one")
        # Container Apps takes each secret once, and refuses the rest after a quarter of an hour.
        secrets = [_MASKING_KEY, *self.secret_settings.values()]
        if twice := next((secret for secret in secrets if secrets.count(secret) > 1), None):
            raise ValueError(f"secret_settings takes the secret {twice} for two settings; give each one of its own")
        if self.engine == "databricks" and self.services.databricks is False:
            raise ValueError("engine is databricks, and services.databricks is false; change one")
        return self


class LakeFile(_Strict):
    """The file's content; ``environments`` has the one that was asked for."""

    domain: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{2,7}$")] = Field(
        description="name the business domain in 3 to 8 lower-case letters and digits, such as shop; it stays the same"
    )
    region: Annotated[str, StringConstraints(pattern=r"^[a-z]+[0-9]?$")] = Field(
        description="name an Azure region as in `az account list-locations`, such as westeurope"
    )
    tenant: Guid = Field(description="give the Entra tenant's id: az account show --query tenantId --output tsv")
    owner: Text = Field(description="say who answers for the lake; a tag of every resource")
    cost_centre: Text = Field(description="say where the cost goes; a tag of every resource")
    environments: dict[Stage, Environment] = Field(description="describe dev, test or prod")

    @model_validator(mode="after")
    def _prod_has_a_standby(self) -> "LakeFile":
        size = self.environments["prod"].sizes.postgresql_size if "prod" in self.environments else None
        if size and postgresql_tier(size) == "Burstable":
            raise ValueError(
                f"environments.prod.sizes.postgresql_size {size} has no standby, and prod has one; "
                "give a size such as Standard_D2ds_v5"
            )
        return self


def load_lake_file(file: Path, stage: Stage) -> LakeFile:
    """The content of ``file`` that matters to ``stage``; other environments may still have the example's values.

    Raises DeployError that names the file, the line, the field and the remedy.
    """
    try:
        text = file.read_text(encoding="utf-8")
        document = yaml.safe_load(text)
    except FileNotFoundError:
        raise DeployError(f"there is no {file}; copy the project's lake.yaml, or name another by --file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DeployError(f"{file.name}: not valid YAML: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("environments"), dict):
        raise DeployError(f"{file.name}: has no mapping named environments; copy the project's lake.yaml")
    if others := sorted(map(str, set(document["environments"]) - set(STAGES))):
        raise DeployError(f"{file.name}: environments.{others[0]}: there are only {', '.join(STAGES)}")
    if stage not in document["environments"]:
        raise DeployError(f"{file.name}: environments has no {stage}; add it as the project's lake.yaml shows")
    wanted = {**document, "environments": {stage: document["environments"][stage]}}
    try:
        return LakeFile.model_validate(wanted)
    except ValidationError as error:
        raise DeployError(f"{file.name}:{first_problem(error, text, LakeFile)}") from None


def postgresql_tier(size: str) -> str:
    """The tier that Azure has a size of server in."""
    return _TIERS[size.removeprefix("Standard_")[0]]


def fields(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, bool, str]]:
    """(name, whether it must be given, what to say) of each field, those within fields included."""
    for name, field in model.model_fields.items():
        place = f"{path}{name}"
        yield place, field.is_required(), field.description or ""
        for inner in _models(field.annotation):
            yield from fields(inner, f"{place}.<environment>." if name == "environments" else f"{place}.")


def _models(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
