"""Of the nodes of a dbt run, those that a damaged table concerns: they fail, and all others run."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from dagster_lake.contract.columns import LAKE_HOUR
from dagster_lake.dbt_runner.tables import damaged_tables
from dagster_lake.storage.damage import TableDamaged
from dagster_lake.storage.delta.write import Pinned
from dagster_lake.storage.duckdb.scan import refuse_changed
from dagster_lake.storage.paths import Lake


def concerned_by_damage(
    select: Sequence[str], manifest: Mapping[str, Any], lake: Lake
) -> tuple[dict[str, str], list[str]]:
    """Those of the selected nodes that write or read a table whose log is damaged, each with why; and those that come
    after them. To run any of them would be to take the table for one that is not there yet, and so for empty."""
    concerned = {id: _tables(id, manifest) for id in select}
    damaged = damaged_tables(lake, sorted({table for tables in concerned.values() for table in tables}))
    return _concerned_by(damaged, concerned, manifest)


def concerned_by_changed_files(
    select: Sequence[str], manifest: Mapping[str, Any], pinned: Mapping[str, Pinned], hours: Collection[str]
) -> tuple[dict[str, str], list[str]]:
    """The same of tables of silver with a file of one of these hours that is not as it was written, by its checksum."""
    concerned = {id: _tables(id, manifest) for id in select}
    changed: dict[str, str] = {}
    for table in sorted({table for tables in concerned.values() for table in tables if table.startswith("silver.")}):
        found = pinned.get(table)
        if found is not None and found.partition_column == LAKE_HOUR.name:
            try:
                refuse_changed(found, found.files(hours))
            except TableDamaged as error:
                changed[table] = str(error)
    return _concerned_by(changed, concerned, manifest)


def _concerned_by(
    damaged: Mapping[str, str], concerned: Mapping[str, set[str]], manifest: Mapping[str, Any]
) -> tuple[dict[str, str], list[str]]:
    refused: dict[str, str] = {}
    for id, tables in concerned.items():
        if told := [damaged[table] for table in tables if table in damaged]:
            refused[id] = told[0]
    select = [*concerned]
    after: list[str] = []
    while later := [id for id in select if id not in {*refused, *after} and _reads(id, manifest, {*refused, *after})]:
        after += later
    return refused, after


def _tables(id: str, manifest: Mapping[str, Any]) -> set[str]:
    """The tables that a node writes or reads itself."""
    nodes, sources = manifest["nodes"], manifest["sources"]
    found = set()
    for one in (id, *nodes[id]["depends_on"]["nodes"]):
        if one in sources:
            found.add(f"{sources[one]['schema']}.{sources[one]['identifier']}")
        elif nodes.get(one, {}).get("resource_type") == "model":
            found.add(f"{nodes[one]['schema']}.{nodes[one]['alias']}")
    return found


def _reads(id: str, manifest: Mapping[str, Any], others: Collection[str]) -> bool:
    return any(one in others for one in manifest["nodes"][id]["depends_on"]["nodes"])
