"""``catalog.yaml``: the one file that says where the catalog is, and who may do what."""

import re
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from dagster_lake.settings.branches import branch_catalog, branch_root
from dagster_lake.settings.lake import PROJECT_ROOT
from dagster_lake.unity_catalog.errors import CatalogError

DEFAULT_FILE = PROJECT_ROOT / "catalog.yaml"

_NIL = "00000000-0000-0000-0000-000000000000"
_CONNECTOR = (
    r"^/subscriptions/[^/]+/resourceGroups/[^/]+/providers/Microsoft\.Databricks/accessConnectors/[A-Za-z0-9_.-]+$"
)


def _is_not_the_example(value: str) -> str:
    if _NIL in value or "CHANGE_ME" in value:
        raise ValueError("is still the example's value")
    return value


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Principal = Annotated[
    str, StringConstraints(min_length=1, max_length=255, strip_whitespace=True), AfterValidator(_is_not_the_example)
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Groups(_Strict):
    """Account groups; each gets what its own layer needs and no more. A person may be in several."""

    readers: Principal = Field(description="give the account group that reads gold")
    analysts: Principal = Field(description="give the account group that reads silver, streams and gold")
    engineers: Principal = Field(description="give the account group that looks into bronze and quarantine")
    sensitive_readers: Principal = Field(description="give the account group that may see personal data in clear")


class CatalogConfig(_Strict):
    """The file's content; see docs/unity-catalog.md."""

    domain: Name = Field(description="name the business domain, in lower_snake_case, such as shop")
    catalog: Name = Field(description="name the catalog, in lower_snake_case, such as shop_dev")
    storage_root: Annotated[
        str,
        StringConstraints(
            pattern=r"^abfss://[a-z0-9-]{3,63}@(CHANGE_ME|[a-z0-9]{3,24})\.dfs\.[a-z.]+(/[A-Za-z0-9_.-]+)*/?$"
        ),
        AfterValidator(_is_not_the_example),
        AfterValidator(lambda url: url.rstrip("/")),
    ] = Field(description="give the lake's root (LAKE_ROOT), such as abfss://lake@account.dfs.core.windows.net/shop")
    access_connector_id: Annotated[str, StringConstraints(pattern=_CONNECTOR), AfterValidator(_is_not_the_example)] = (
        Field(
            description="give the resource id of the Azure Databricks access connector, "
            "/subscriptions/.../resourceGroups/.../providers/Microsoft.Databricks/accessConnectors/..."
        )
    )
    managed_identity_id: str | None = Field(
        None, description="give the resource id of the connector's user-assigned identity, or leave it out"
    )
    groups: Groups = Field(description="give readers, analysts, engineers and sensitive_readers")
    step_principal: Annotated[
        str,
        StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
        AfterValidator(_is_not_the_example),
    ] = Field(description="give the application id (a UUID) of the service principal that runs the lake's steps")
    column_masks: bool = Field(
        description="say true, or false when steps run on Databricks (LAKE_ENGINE=databricks): "
        "it offers no history of a table with masks, and steps need it"
    )
    warehouse_id: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9-]+$",
        description="give the id of the SQL warehouse that runs what REST cannot, or set LAKE_DATABRICKS_WAREHOUSE_ID",
    )

    def of_branch(self, branch: str) -> "CatalogConfig":
        """The same for a branch lake: a catalog of its own, over the branch's folder."""
        own = {
            "catalog": branch_catalog(self.catalog, branch),
            "storage_root": branch_root(self.storage_root, branch),
        }
        return self.model_copy(update=own)


def load_config(file: Path) -> CatalogConfig:
    """The content of ``file``. Raises CatalogError that names the file, the field and the remedy."""
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CatalogError(
            f"there is no {file}; copy the project's catalog.yaml, or name another by --config"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CatalogError(f"{file.name}: not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise CatalogError(f"{file.name}: is empty or not a mapping; copy the project's catalog.yaml")
    try:
        config = CatalogConfig(**data)
    except (ValidationError, TypeError) as error:
        raise CatalogError(f"{file.name}: {_first(error)}") from None
    principals = [*config.groups.model_dump().values(), config.step_principal]
    if twice := next((p for p in principals if principals.count(p) > 1), None):
        raise CatalogError(
            f"{file.name}: groups: {twice!r} is named twice; give each its own group, or grants would add up"
        )
    return config


def _first(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return f"{error}; use only the fields in docs/unity-catalog.md"
    first = error.errors()[0]
    where, path = CatalogConfig, [str(part) for part in first["loc"]]
    for part in path[:-1]:
        where = Groups if part == "groups" else where  # type: ignore[assignment]
    fields: dict[str, Any] = where.model_fields
    if first["type"] == "extra_forbidden":
        near = get_close_matches(path[-1], fields, n=1)
        remedy = f"did you mean {near[0]}?" if near else f"remove it; the fields are {', '.join(fields)}"
        return f"{'.'.join(path)}: is not a field; {remedy}"
    value = repr(first["input"])
    problem = {
        "missing": "is missing",
        "string_pattern_mismatch": f"{value} is not of the form wanted",
        "value_error": f"{value} {re.sub('^Value error, ', '', first['msg'])}",
    }.get(first["type"], f"{value}: {first['msg']}")
    return f"{'.'.join(path)}: {problem}; {fields[path[-1]].description}"
