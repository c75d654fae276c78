"""What Unity Catalog holds now, read from the workspace."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dagster_lake.unity_catalog import sql
from dagster_lake.unity_catalog.model import KINDS, Column, Kind, Securable, State, state_of
from dagster_lake.unity_catalog.workspace import StatementFailed, Workspace, explained

if TYPE_CHECKING:
    from databricks.sdk.service.catalog import TableInfo

# Every catalog is born with these.
_NOT_OURS = ("information_schema", "default")
_AT_ONCE = 8
_HOLDS = "Unity Catalog would delete its data with it"


def actual_state(workspace: Workspace, catalog: str, desired: State, tell: Callable[[str], None]) -> State:
    """The objects of ``desired`` that exist, and whatever else is in the catalog; other catalogs are not looked at.

    ``tell`` hears what is being read.
    """
    found: list[Securable] = []
    for kind in KINDS:
        tell(f"reading {kind}s")
        with explained(f"reading {kind}s", kind):
            found += _found(workspace, kind, catalog, desired, found)
    if any(one.kind == "catalog" for one in found):
        tell("reading tags (a SQL warehouse that was stopped takes minutes to start)")
        with explained("reading tags", "catalog"):
            found = _tagged(workspace, catalog, found)
    # One request an object: side by side, or a plan takes longer than people wait.
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        granted = []
        for one in threads.map(lambda one: _granted(workspace, one, desired), found):
            granted.append(one)
            tell(f"reading grants, {len(granted)} of {len(found)}")
    return state_of(granted)


def unbuilt_tables(workspace: Workspace, desired: State, actual: State, tell: Callable[[str], None]) -> frozenset[str]:
    """The wanted tables that only dbt makes, and that have no files yet."""
    missing = [w for key, w in desired.items() if key not in actual and w.kind == "table" and w.spec is None]
    if missing:
        tell("looking for tables that dbt has made")
    return frozenset(w.name for w in missing if not has_files(workspace, w.settings["location"]))


def has_files(workspace: Workspace, location: str) -> bool:
    """Whether a Delta table is at the location, as far as the warehouse can see."""
    try:
        workspace.sql(sql.describe_files(location))
    except StatementFailed:
        # Whatever the reason: a table is then made with its columns named, which fails where another one is.
        return False
    return True


def _found(
    workspace: Workspace, kind: Kind, catalog: str, desired: State, found: list[Securable]
) -> Iterator[Securable]:
    client = workspace.client
    names = [wanted.name for (of_kind, _), wanted in desired.items() if of_kind == kind]
    if kind == "storage credential":
        for one in _existing(client.storage_credentials.get, names):
            identity = one.azure_managed_identity
            settings = {"access_connector_id": identity.access_connector_id if identity else ""}
            if identity and identity.managed_identity_id:
                settings["managed_identity_id"] = identity.managed_identity_id
            yield Securable(kind, one.name, settings, one.comment or "")
    elif kind == "external location":
        for one in _existing(client.external_locations.get, names):
            settings = {"url": _url(one.url), "credential": one.credential_name or ""}
            yield Securable(kind, one.name, settings, one.comment or "")
    elif kind == "catalog":
        for one in _existing(client.catalogs.get, names):
            yield Securable(kind, one.name, {"storage_root": _url(one.storage_root)}, one.comment or "")
    elif kind == "schema":
        if any(one.kind == "catalog" for one in found):
            for schema in client.schemas.list(catalog):
                if schema.name not in _NOT_OURS:
                    stays = "it was made by somebody else, and may hold anything"
                    yield Securable(kind, f"{catalog}.{schema.name}", {}, schema.comment or "", stays=stays)
    else:
        for one in found:
            if one.kind == "schema" and (one.kind, one.name) in desired:
                yield from _in_schema(workspace, kind, catalog, one.name.removeprefix(f"{catalog}."))


def _in_schema(workspace: Workspace, kind: Kind, catalog: str, schema: str) -> Iterator[Securable]:
    client, within = workspace.client, f"{catalog}.{schema}"
    if kind == "function":
        for function in client.functions.list(catalog, schema):
            definition = " ".join((function.routine_definition or "").split())
            yield Securable(kind, f"{within}.{function.name}", {"definition": definition}, function.comment or "")
    elif kind == "volume":
        for volume in client.volumes.list(catalog, schema):
            type_ = volume.volume_type.value if volume.volume_type else ""
            external = type_ == "EXTERNAL"
            settings = {"type": type_} | ({"location": _url(volume.storage_location)} if external else {})
            stays = "" if external else _HOLDS
            yield Securable(kind, f"{within}.{volume.name}", settings, volume.comment or "", stays=stays)
    else:
        for table in client.tables.list(catalog, schema):
            yield _table(f"{within}.{table.name}", table)


def _table(name: str, table: "TableInfo") -> Securable:
    type_ = table.table_type.value if table.table_type else ""
    return Securable(
        "table",
        name,
        {"location": _url(table.storage_location)},
        table.comment or "",
        columns={
            column.name or "": Column(
                column.comment or "", {}, (column.mask.function_name or "") if column.mask else ""
            )
            for column in table.columns or []
        },
        stays={"EXTERNAL": "", "MANAGED": _HOLDS}.get(type_, f"it is a {type_ or 'table of an unknown type'}"),
    )


def _tagged(workspace: Workspace, catalog: str, found: list[Securable]) -> list[Securable]:
    tags: dict[str, dict[str, str]] = {}
    for of in ("catalog", "schema", "table", "column"):
        for *owner, tag, value in workspace.sql(sql.select_tags(catalog, of)):
            tags.setdefault(".".join(owner), {})[tag] = value or ""
    return [
        replace(
            one,
            tags=tags.get(one.name, {}),
            columns={c: replace(column, tags=tags.get(f"{one.name}.{c}", {})) for c, column in one.columns.items()},
        )
        if one.kind in ("catalog", "schema", "table")
        else one
        for one in found
    ]


def _granted(workspace: Workspace, one: Securable, desired: State) -> Securable:
    if (one.kind, one.name) not in desired:
        return one
    with explained(f"reading the grants of {one.kind} {one.name}", one.kind):
        return replace(one, grants=workspace.grants(one.kind, one.name))


def _existing(get: Callable[[str], Any], names: list[str]) -> Iterator[Any]:
    from databricks.sdk.errors import NotFound

    for name in names:
        try:
            yield get(name)
        except NotFound:
            continue


def _url(url: str | None) -> str:
    return (url or "").rstrip("/")
