"""What Unity Catalog must hold, from the YAML, the contracts and dbt's manifest. Pure: no network, no storage."""

from collections.abc import Iterator, Mapping
from typing import Any

from upath import UPath

from dagster_lake.contract.columns import DESCRIPTIONS
from dagster_lake.contract.model import Contract
from dagster_lake.operations.health.status_table import COLUMNS, LAYER, TABLE, status_table
from dagster_lake.settings.project import ProjectSettings
from dagster_lake.sql.spark import literal
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.tables import (
    accepted_table,
    bronze_table,
    deletions_table,
    has_newest,
    newest_table,
    quarantine_table,
    quarantined_keys_table,
    silver_table,
)
from dagster_lake.unity_catalog.access import catalog_grants, location_grants, schema_grants, volume_grants
from dagster_lake.unity_catalog.config import CatalogConfig
from dagster_lake.unity_catalog.model import Column, Securable, State, state_of

# Where tables lie is asked of a lake at the root of nowhere, and the real root put before it.
_LAYOUT = Lake(UPath("/"))

_ZONES = {
    "landing": "Files as they arrive, before they land in raw; may hold personal data.",
    "raw": "Bytes as they landed, of data sets that hold no personal data for certain.",
    "sensitive": "Raw, bronze and quarantine of data sets that hold personal data in clear, or may.",
    "bronze": "Delta tables: what arrived, as text.",
    "silver": "Delta tables: valid rows, typed and masked.",
    "quarantine": "Delta tables: rows kept out of silver.",
    "managed": "What Unity Catalog manages itself: steps and checkpoints.",
}
_SCHEMAS = {
    "bronze": "What arrived, as text, with what was rescued.",
    "silver": "Valid rows, typed, trimmed, masked and without duplicates.",
    "quarantine": "Rows kept out of silver, with their reasons.",
    "sensitive": "Bronze and quarantine of data sets that hold personal data in clear, or may.",
    "operations": "Files that running the lake needs; no data of its own.",
    "masks": "The functions that hide personal data in clear.",
}
_VOLUMES = {
    "bronze.raw": ("raw", "What landed, of data sets that hold no personal data for certain."),
    "sensitive.landing": ("landing", "Where files are dropped."),
    "sensitive.raw": ("sensitive/raw", "What landed, of data sets that hold personal data in clear, or may."),
    "operations.steps": ("", "Steps that Dagster hands to Databricks, and what they report."),
    "operations.checkpoints": ("", "How far Auto Loader and streams have come."),
}


def desired_state(config: CatalogConfig, contracts: Mapping[str, Contract], manifest: Mapping[str, Any]) -> State:
    """Everything that ``lake catalog apply`` makes true, by kind and name."""
    models = _models(manifest)
    layers = tuple(dict.fromkeys(_layer(model) for model in models))
    return state_of(
        [
            _credential(config),
            *_locations(config, layers),
            _catalog(config),
            *_schemas(config, layers),
            *_functions(config),
            *_volumes(config),
            *(table for contract in contracts.values() for table in _contract_tables(config, contract)),
            *(_model_table(config, model) for model in models),
            _status_table(config),
        ]
    )


def _credential(config: CatalogConfig) -> Securable:
    settings = {"access_connector_id": config.access_connector_id}
    if config.managed_identity_id:
        settings["managed_identity_id"] = config.managed_identity_id
    return Securable(
        "storage credential", f"{config.catalog}_lake", settings, f"The lake of {config.domain}: its managed identity."
    )


def _locations(config: CatalogConfig, layers: tuple[str, ...]) -> Iterator[Securable]:
    for zone, comment in {**_ZONES, **dict.fromkeys(layers, "Delta tables that dbt makes.")}.items():
        yield Securable(
            "external location",
            f"{config.catalog}_{zone}",
            {"url": f"{config.storage_root}/{zone}", "credential": f"{config.catalog}_lake"},
            comment,
            grants=location_grants(config, zone, layers),
        )


def _catalog(config: CatalogConfig) -> Securable:
    return Securable(
        "catalog",
        config.catalog,
        {"storage_root": f"{config.storage_root}/managed"},
        f"The lake of {config.domain}.",
        {"domain": config.domain},
        catalog_grants(config),
    )


def _schemas(config: CatalogConfig, layers: tuple[str, ...]) -> Iterator[Securable]:
    for schema, comment in {**_SCHEMAS, **dict.fromkeys(layers, "Tables that dbt makes of silver.")}.items():
        yield Securable(
            "schema",
            f"{config.catalog}.{schema}",
            comment=comment,
            tags={"layer": schema},
            grants=schema_grants(config, schema, layers),
        )


def _volumes(config: CatalogConfig) -> Iterator[Securable]:
    for name, (folder, comment) in _VOLUMES.items():
        settings = (
            {"type": "EXTERNAL", "location": f"{config.storage_root}/{folder}"} if folder else {"type": "MANAGED"}
        )
        yield Securable("volume", f"{config.catalog}.{name}", settings, comment, grants=volume_grants(config, name))


# ---- masks ----

_HIDDEN = {
    "first_letter": ("substring(value, 1, 1) || '***'", "The first letter only, as silver keeps it of partial masking"),
    "hide": ("'***'", "Nothing but that there is a value"),
}


def _functions(config: CatalogConfig) -> Iterator[Securable]:
    if not config.column_masks:
        return
    allowed = (
        f"is_account_group_member({literal(config.groups.sensitive_readers)})"
        f" OR session_user() = {literal(config.step_principal)}"
    )
    for name, (hidden, comment) in _HIDDEN.items():
        yield Securable(
            "function",
            f"{config.catalog}.masks.{name}",
            {"definition": f"CASE WHEN value IS NULL OR {allowed} THEN value ELSE {hidden} END"},
            f"{comment}; in clear for sensitive_readers and the lake's steps.",
        )


# ---- tables ----


def _contract_tables(config: CatalogConfig, contract: Contract) -> Iterator[Securable]:
    yield _table(config, contract, "bronze", bronze_table(_LAYOUT, contract), in_clear=contract.sensitive)
    yield _table(config, contract, "quarantine", quarantine_table(_LAYOUT, contract), in_clear=contract.sensitive)
    yield _table(config, contract, "silver", silver_table(_LAYOUT, contract), in_clear=False)
    if has_newest(contract):
        yield _table(config, contract, "silver", newest_table(_LAYOUT, contract), in_clear=False)
    if contract.cadence == "snapshot":
        yield _table(config, contract, "silver", accepted_table(_LAYOUT, contract), in_clear=False)
    if contract.changing:
        for spec in (deletions_table(_LAYOUT, contract), quarantined_keys_table(_LAYOUT, contract)):
            yield _table(config, contract, "silver", spec, in_clear=False)


def _table(config: CatalogConfig, contract: Contract, layer: str, spec: TableSpec, *, in_clear: bool) -> Securable:
    schema, name = ("sensitive", f"{layer}_{spec.uri.name}") if in_clear else (layer, spec.uri.name)
    pii = "masked" if contract.personal else "none"
    if in_clear:
        pii = "clear" if contract.personal else "possible"
    return Securable(
        "table",
        f"{config.catalog}.{schema}.{name}",
        {"location": f"{config.storage_root}{spec.uri.path}"},
        spec.description,
        {"domain": contract.domain or config.domain, "owner": contract.owner, "layer": layer, "pii": pii},
        columns={
            column: _column(config, contract, column, in_clear and column in spec.without_statistics)
            for column in spec.schema.names
        },
        spec=spec,
    )


def _column(config: CatalogConfig, contract: Contract, name: str, in_clear: bool) -> Column:
    own = {p.name: p for p in contract.properties}.get(name)
    masking = own.masking if own else None
    tags = {"pii": own.classification, "masking": masking} if own and masking else {"pii": "possible"}
    function = "first_letter" if masking == "partial" else "hide"
    return Column(
        own.description if own else DESCRIPTIONS[name],
        tags if in_clear or masking else {},
        f"{config.catalog}.masks.{function}" if in_clear and config.column_masks else "",
    )


def _models(manifest: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [
        node
        for node in manifest["nodes"].values()
        if node["resource_type"] == "model" and node["config"]["materialized"] not in ("ephemeral", "view")
    ]


def _layer(model: Mapping[str, Any]) -> str:
    return str(model["config"]["schema"])


def _model_table(config: CatalogConfig, model: Mapping[str, Any]) -> Securable:
    layer, owners = _layer(model), model["config"].get("meta", {}).get("dagster", {}).get("owners", [])
    tags = {"domain": config.domain, "layer": layer, "pii": "none"} | ({"owner": owners[0]} if owners else {})
    return Securable(
        "table",
        f"{config.catalog}.{layer}.{model['alias']}",
        {"location": f"{config.storage_root}/{layer}/{model['alias']}"},
        _one_line(model["description"]),
        tags,
        columns={name: Column(_one_line(column["description"])) for name, column in model["columns"].items()},
    )


def _status_table(config: CatalogConfig) -> Securable:
    spec = status_table(_LAYOUT)
    return Securable(
        "table",
        f"{config.catalog}.{LAYER}.{TABLE}",
        {"location": f"{config.storage_root}{spec.uri.path}"},
        spec.description,
        {"domain": config.domain, "owner": ProjectSettings().owner, "layer": LAYER, "pii": "none"},
        columns={name: Column(description) for name, description in COLUMNS.items()},
        spec=spec,
    )


def _one_line(text: str) -> str:
    return " ".join(text.split())
