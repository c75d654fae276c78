"""What dbt declares of columns, as Dagster metadata."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator


def column_schema(node: Mapping[str, Any]) -> dg.TableSchema:
    """The declared columns with types, descriptions and whether they are required."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name=column["name"],
                type=column["data_type"] or "",
                description=column["description"] or None,
                constraints=dg.TableColumnConstraints(
                    nullable=not any(c["type"] == "not_null" for c in column.get("constraints") or [])
                ),
            )
            for column in node["columns"].values()
        ]
    )


def column_lineage(
    manifest: Mapping[str, Any], node: Mapping[str, Any], translator: DagsterDbtTranslator
) -> dg.TableColumnLineage:
    """Which columns of its inputs each column is made from, as the column's ``meta.from`` says.

    A column without ``from`` comes from the columns of the same name.
    """
    inputs = {
        props["name"]: props
        for unique_id in node["depends_on"]["nodes"]
        if (props := manifest["sources"].get(unique_id) or manifest["nodes"].get(unique_id))
        and unique_id != node["unique_id"]
    }
    lineage = {}
    for column in node["columns"].values():
        meta = column.get("config", {}).get("meta") or column.get("meta") or {}
        named = meta.get("from") or [
            f"{name}.{column['name']}" for name, props in inputs.items() if column["name"] in props["columns"]
        ]
        keys = [(translator.get_asset_key(inputs[t]), source) for t, source in (text.split(".") for text in named)]
        # Each once: of two tables that one step makes, both columns are that asset's.
        lineage[column["name"]] = [dg.TableColumnDep(asset_key=k, column_name=c) for k, c in dict.fromkeys(keys)]
    return dg.TableColumnLineage(deps_by_column=lineage)
