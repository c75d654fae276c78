"""Who may do what: the whole table of grants, least privilege, in one place."""

from collections.abc import Iterable, Mapping

from dagster_lake.unity_catalog.config import CatalogConfig

Grants = Mapping[str, frozenset[str]]

_READ = ("USE_SCHEMA", "SELECT")
_WRITE = ("USE_SCHEMA", "SELECT", "MODIFY")
_FILES = ("READ_VOLUME", "WRITE_VOLUME")


def catalog_grants(config: CatalogConfig) -> Grants:
    """Everybody may enter; what they find inside is said by the schemas."""
    return {
        principal: frozenset({"USE_CATALOG"}) for principal in (*config.groups.model_dump().values(), _step(config))
    }


def schema_grants(config: CatalogConfig, schema: str, dbt_layers: Iterable[str]) -> Grants:
    """Privileges on a schema, which its tables inherit.

    The service principal writes rows and adds columns, and makes tables only where dbt does: the others are made by
    ``lake catalog apply``, so that what governs a table stands before its first row.
    """
    groups = config.groups
    if schema in dbt_layers:
        # What customers did one by one is not for everybody who reads totals.
        readers = [(groups.readers, _READ)] if schema == "gold" else []
        return _grants(*readers, (groups.analysts, _READ), (_step(config), (*_WRITE, "CREATE_TABLE")))
    return {
        "bronze": _grants((groups.engineers, _READ), (_step(config), _WRITE)),
        "quarantine": _grants((groups.engineers, _READ), (_step(config), _WRITE)),
        "silver": _grants((groups.analysts, _READ), (_step(config), _WRITE)),
        "sensitive": _grants((groups.sensitive_readers, _READ), (_step(config), _WRITE)),
        "operations": _grants((_step(config), ("USE_SCHEMA",))),
        # Reading a masked column needs no privilege on its function.
        "masks": {},
    }[schema]


def volume_grants(config: CatalogConfig, volume: str) -> Grants:
    """Privileges on a volume, by its name without the catalog."""
    groups = config.groups
    return {
        "bronze.raw": _grants((groups.engineers, ("READ_VOLUME",)), (_step(config), _FILES)),
        "sensitive.raw": _grants((groups.sensitive_readers, ("READ_VOLUME",)), (_step(config), _FILES)),
        "sensitive.landing": _grants((_step(config), ("READ_VOLUME",))),
        "operations.steps": _grants((_step(config), _FILES)),
        "operations.checkpoints": _grants((_step(config), _FILES)),
    }[volume]


def location_grants(config: CatalogConfig, zone: str, dbt_layers: Iterable[str]) -> Grants:
    """Privileges on an external location: nobody gets its files, which tables and volumes stand for."""
    return _grants((_step(config), ("CREATE_EXTERNAL_TABLE",))) if zone in dbt_layers else {}


def _step(config: CatalogConfig) -> str:
    return config.step_principal


def _grants(*grants: tuple[str, tuple[str, ...]]) -> Grants:
    return {principal: frozenset(privileges) for principal, privileges in grants}
