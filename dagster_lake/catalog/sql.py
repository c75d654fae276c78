"""The SQL for what Unity Catalog's REST has no verb for. Every name is quoted, every text a literal."""

from collections.abc import Mapping

import pyarrow as pa

from dagster_lake.catalog.model import Kind, Securable
from dagster_lake.storage.spark_delta import sql_type
from dagster_lake.storage.table_spec import TableSpec


def quoted(full_name: str) -> str:
    """A name of one or more parts, such as catalog.schema.table; no part holds a period."""
    return ".".join("`" + part.replace("`", "``") + "`" for part in full_name.split("."))


def literal(text: str) -> str:
    """A text literal; Databricks reads escapes in it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def create_empty_table(table: Securable, spec: TableSpec) -> str:
    """The table as the engines make it, so that the first write finds what it would have made."""
    columns = ", ".join(
        f"{quoted(c.name)} {sql_type(c.type)}{'' if c.nullable else ' NOT NULL'}"
        + (f" COMMENT {literal(table.columns[c.name].comment)}" if table.columns[c.name].comment else "")
        for c in spec.schema
    )
    partitioned = f" PARTITIONED BY ({quoted(spec.partition_by)})" if spec.partition_by else ""
    # Delta keeps no statistics of booleans.
    statistics = [name for name in spec.statistics if not pa.types.is_boolean(spec.schema.field(name).type)]
    properties = {
        # Read by delta-rs and DuckDB too, which know neither.
        "delta.enableDeletionVectors": "false",
        "delta.columnMapping.mode": "none",
        **(
            {"delta.dataSkippingStatsColumns": ",".join(statistics)}
            if statistics
            else {"delta.dataSkippingNumIndexedCols": "0"}
        ),
    }
    return (
        f"CREATE TABLE {quoted(table.name)} ({columns}) USING DELTA{partitioned}"
        f" LOCATION {literal(table.settings['location'])} COMMENT {literal(table.comment)}"
        f" TBLPROPERTIES ({', '.join(f'{literal(k)} = {literal(v)}' for k, v in properties.items())})"
    )


def register_table(table: Securable) -> str:
    """Puts the Delta table at the location into the catalog, with the columns that its log names."""
    return f"CREATE TABLE {quoted(table.name)} USING DELTA LOCATION {literal(table.settings['location'])}"


def describe_files(location: str) -> str:
    """Fails where no Delta table is."""
    return f"DESCRIBE DETAIL delta.`{location.replace('`', '``')}`"


def create_function(function: Securable) -> str:
    """A masking function, from text to text; replaces the one of its name."""
    return (
        f"CREATE OR REPLACE FUNCTION {quoted(function.name)}(value STRING) RETURNS STRING"
        f" COMMENT {literal(function.comment)} RETURN {function.settings['definition']}"
    )


def comment_on_table(name: str, comment: str) -> str:
    """Sets the comment of a table."""
    return f"COMMENT ON TABLE {quoted(name)} IS {literal(comment)}"


def comment_on_column(table: str, column: str, comment: str) -> str:
    """Sets the comment of a column."""
    return f"ALTER TABLE {quoted(table)} ALTER COLUMN {quoted(column)} COMMENT {literal(comment)}"


def set_mask(table: str, column: str, function: str) -> str:
    """Has the column go through the function; with no function, shows it in clear again."""
    change = f"SET MASK {quoted(function)}" if function else "DROP MASK"
    return f"ALTER TABLE {quoted(table)} ALTER COLUMN {quoted(column)} {change}"


def set_tags(kind: Kind, name: str, column: str, tags: Mapping[str, str]) -> str:
    """Sets tags of a catalog, schema, table or column; others stay."""
    pairs = ", ".join(f"{literal(key)} = {literal(value)}" for key, value in tags.items())
    return f"{_altered(kind, name, column)} SET TAGS ({pairs})"


def unset_tags(kind: Kind, name: str, column: str, tags: list[str]) -> str:
    """Removes tags of a catalog, schema, table or column."""
    return f"{_altered(kind, name, column)} UNSET TAGS ({', '.join(literal(tag) for tag in tags)})"


def select_tags(catalog: str, of: str) -> str:
    """Every tag ``of`` the catalog's schemas, tables or columns, or of the catalog itself: owner's name, tag, value."""
    parts = {
        "catalog": ["catalog_name"],
        "schema": ["catalog_name", "schema_name"],
        "table": ["catalog_name", "schema_name", "table_name"],
        "column": ["catalog_name", "schema_name", "table_name", "column_name"],
    }[of]
    return (
        f"SELECT {', '.join(parts)}, tag_name, tag_value FROM {quoted(catalog)}.information_schema.{of}_tags"
        f" WHERE catalog_name = {literal(catalog)}"
    )


def _altered(kind: Kind, name: str, column: str) -> str:
    return f"ALTER {kind.upper()} {quoted(name)}" + (f" ALTER COLUMN {quoted(column)}" if column else "")
