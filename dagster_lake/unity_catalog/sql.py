"""The SQL for what Unity Catalog's REST has no verb for. Every name is quoted, every text a literal."""

from collections.abc import Mapping
from dataclasses import replace

from dagster_lake.sql import spark as spark_quoting
from dagster_lake.sql.spark import literal
from dagster_lake.storage.delta.spark_ddl import table_ddl
from dagster_lake.storage.delta.spec import TableSpec
from dagster_lake.unity_catalog.model import Kind, Securable


def quoted(full_name: str) -> str:
    """A name of one or more parts, such as catalog.schema.table; no part holds a period."""
    return ".".join(spark_quoting.quoted(part) for part in full_name.split("."))


def create_empty_table(table: Securable, spec: TableSpec) -> str:
    """The table as the engines make it, so that the first write finds what it would have made."""
    described = replace(spec, description=table.comment)
    comments = {name: column.comment for name, column in table.columns.items() if column.comment}
    ddl = table_ddl(quoted(table.name), described, str(table.settings["location"]), comments)
    return f"CREATE TABLE {ddl}"


def register_table(table: Securable) -> str:
    """Puts the Delta table at the location into the catalog, with the columns that its log names."""
    return f"CREATE TABLE {quoted(table.name)} USING DELTA LOCATION {literal(table.settings['location'])}"


def describe_files(location: str) -> str:
    """Fails where no Delta table is."""
    return f"DESCRIBE DETAIL delta.{spark_quoting.quoted(location)}"


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
