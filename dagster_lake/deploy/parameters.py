"""What ``lake.yaml`` says, as the parameters of main.bicep.

The file of an environment in infra/bicep/parameters has what makes a dev, a test or a prod, and takes everything else
from the variable LAKE_DEPLOYMENT, which the Bicep compiler reads. So each value is written down in one place. (Values
beside a .bicepparam file on the Azure CLI's command line would be the other way; it compiles the file without them
first, and fails when one is missing.)
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from dagster_lake.deploy.errors import DeployError
from dagster_lake.deploy.lake_file import Environment, LakeFile, Stage, postgresql_tier
from dagster_lake.settings.lake import PROJECT_ROOT

BICEP = PROJECT_ROOT / "infra" / "bicep"
VARIABLE = "LAKE_DEPLOYMENT"

_PYTHON_TYPES: dict[str, type] = {"string": str, "int": int, "bool": bool, "array": list, "object": dict}
_GB_FOR_A_CORE = 2  # the one ratio that Container Apps takes

RUNS_AT_ONCE = 2
"""``max_concurrent_runs`` of deploy/azure/dagster.yaml: they share the memory of the code location."""
_MEMORY_LIMIT = "LAKE_MEMORY_LIMIT"
_SERVER_MIB = 300  # the code server by itself, as measured (docs/production.md)
_RUN_MIB = 400  # a run, beside what DuckDB takes
_LEAST_MIB = 256


def parameters_file(stage: Stage) -> Path:
    """The environment's own file of parameters."""
    return BICEP / "parameters" / f"{stage}.bicepparam"


def parameters(lake: LakeFile, stage: Stage) -> dict[str, Any]:
    """Values for parameters of main.bicep, by name: all that must be said, and of the rest what was said."""
    chosen = lake.environments[stage]
    must = {
        "domain": lake.domain,
        "location": lake.region,
        "owner": lake.owner,
        "costCentre": lake.cost_centre,
        "contacts": chosen.contacts,
        "monthlyBudget": chosen.monthly_budget,
        "budgetStart": chosen.budget_start.isoformat(),
        "administratorsId": chosen.administrators.id,
        "administratorsName": chosen.administrators.name,
        "dagsterUsersId": chosen.dagster_users,
        "dagsterImage": chosen.dagster_image or "",
        "signInClientId": chosen.sign_in_client_id or "",
        "maskingKeyId": masking_key_id(lake, stage),
        "settings": [{"name": name, "value": value} for name, value in sorted(_settings(chosen, stage).items())],
        "secretSettings": [{"name": name, "secret": secret} for name, secret in sorted(chosen.secret_settings.items())],
    }
    may = {
        "engine": chosen.engine,
        "lakeFolder": chosen.lake_folder,
        "addressPrefix": chosen.address_prefix,
        **{_camel(f"deploy_{name}"): wanted for name, wanted in chosen.services.model_dump().items()},
        **{_camel(name): size for name, size in chosen.sizes.model_dump(exclude={"cores"}).items()},
    }
    if (cores := chosen.sizes.cores) is not None:
        may |= {"cores": f"{cores:g}", "memory": f"{cores * _GB_FOR_A_CORE:g}Gi"}
    if size := chosen.sizes.postgresql_size:
        may["postgresqlTier"] = postgresql_tier(size)
    return must | {name: value for name, value in may.items() if value is not None}


def masking_key_id(lake: LakeFile, stage: Stage) -> str:
    """What names the masking key in stored values."""
    return lake.environments[stage].masking_key_id or f"{lake.domain}-{stage}-1"


def _settings(chosen: Environment, stage: Stage) -> dict[str, str]:
    """What is said, and DuckDB's limit by the code location's memory where nothing is said of it."""
    if _MEMORY_LIMIT in chosen.settings or _MEMORY_LIMIT in chosen.secret_settings:
        return chosen.settings
    return {_MEMORY_LIMIT: memory_limit(chosen.sizes.cores, stage), **chosen.settings}


def memory_limit(cores: float | None, stage: Stage) -> str:
    """What DuckDB may take in each of the runs that share a code location of so many cores, as DuckDB writes it.

    Without ``cores`` the memory is that of the environment's own file. A tenth of what the processes leave stays free,
    for what DuckDB takes beyond its limit. Raises DeployError where the memory holds no two runs.
    """
    gib = cores * _GB_FOR_A_CORE if cores is not None else _own_memory(stage)
    limit = int((gib * 1024 - _SERVER_MIB - RUNS_AT_ONCE * _RUN_MIB) * 0.9 / RUNS_AT_ONCE)
    if limit < _LEAST_MIB:
        raise DeployError(
            f"{parameters_file(stage).name}: {gib:g} GB of memory hold no {RUNS_AT_ONCE} runs at once; give the code "
            f"location one core or more, or say {_MEMORY_LIMIT} in the settings"
        )
    return f"{limit}MiB"


def _own_memory(stage: Stage) -> float:
    """The memory of the code location in GiB, where lake.yaml leaves it to the environment's file."""
    found = re.search(r"^param memory = .*'([\d.]+)Gi'$", _text_of(parameters_file(stage)), re.M)
    if found is None:
        raise DeployError(f"{parameters_file(stage).name}: memory is to be a number of Gi, such as '4Gi'")
    return float(found[1])


def check_parameters(values: dict[str, Any], stage: Stage) -> None:
    """Holds the values against main.bicep and the environment's file, before a compiler or Azure would.

    Raises DeployError that names the file and the parameter.
    """
    file = parameters_file(stage)
    text = _text_of(file)
    declared = dict(re.findall(r"^param (\w+) (\w+)", (BICEP / "main.bicep").read_text(encoding="utf-8"), re.M))
    given = re.findall(r"^param (\w+) =", text, re.M)
    if missing := sorted(set(declared) - set(given)):
        raise DeployError(f"{file.name}: gives no {', '.join(missing)}, which main.bicep wants; add it")
    if unknown := sorted(set(given) - set(declared)):
        raise DeployError(f"{file.name}: gives {', '.join(unknown)}, which main.bicep does not declare; remove it")
    wanted = set(re.findall(r"\byours\.(\w+)", text))
    optional = set(re.findall(r"\byours\.\?(\w+)", text))
    if unread := sorted(set(values) - wanted - optional):
        raise DeployError(f"{file.name}: does not read yours.{unread[0]}, which lake.yaml gives; read it there")
    if ungiven := sorted(wanted - set(values)):
        raise DeployError(f"{file.name}: reads yours.{ungiven[0]}, which lake.yaml has no field for; give it a value")
    for name, value in values.items():
        if type(value) is not _PYTHON_TYPES[declared[name]]:
            raise DeployError(f"{file.name}: {name} would be {value!r}, and main.bicep wants a {declared[name]}")
    _check_settings(values)


def _text_of(file: Path) -> str:
    if not file.is_file():
        raise DeployError(f"there is no {file}; lake deploy runs in a checkout of the project, which holds infra/bicep")
    return file.read_text(encoding="utf-8")


def _check_settings(values: dict[str, Any]) -> None:
    """Azure refuses a container with a setting twice, after a quarter of an hour."""
    sources = [BICEP / "main.bicep", BICEP / "modules" / "dagster.bicep"]
    taken = {name for one in sources for name in re.findall(r"\bname: '([A-Z][A-Z0-9_]+)'", one.read_text("utf-8"))}
    for setting in [*values["settings"], *values["secretSettings"]]:
        if setting["name"] in taken:
            raise DeployError(f"lake.yaml: {setting['name']} is set by infra/bicep itself; remove it from the settings")


def encoded(values: dict[str, Any]) -> str:
    """What VARIABLE holds."""
    return json.dumps(values, sort_keys=True)


def fingerprint(values: dict[str, Any]) -> str:
    """Eight hexadecimal digits that change with the values and with any file of infra/bicep."""
    digest = hashlib.sha256(encoded(values).encode())
    for file in sorted(path for path in BICEP.rglob("*") if path.is_file()):
        digest.update(f"\0{file.relative_to(BICEP).as_posix()}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:8]


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
