"""Columns and first rows of a table, laid out for the terminal at hand."""

from collections.abc import Collection

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from dagster_lake.cli.shared.render import Row, all_rows, print_laid_out
from dagster_lake.storage.delta.write import Pinned
from dagster_lake.storage.duckdb.files import reading
from dagster_lake.storage.duckdb.scan import quoted, scan_sql, sql_type


def print_columns(console: Console, pinned: Pinned) -> None:
    """Prints the name and type of each column."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("column")
    table.add_column("type")
    for column in pinned.schema:
        partition = "  [dim](partition)[/]" if column.name == pinned.partition_column else ""
        table.add_row(column.name, f"{sql_type(column.type).lower()}{partition}")
    console.print(table)


def print_rows(
    console: Console,
    pinned: Pinned,
    rows: int,
    partitions: Collection[str] | None = None,
    order_by: str | None = None,
) -> None:
    """Prints the first ``rows`` rows: as a table where it fits the terminal, else one row below the other."""
    names, found = _first(pinned, rows, partitions, order_by)
    if not found:
        console.print("No rows." if rows else "")
        return
    print_laid_out(console, names, found)


def _first(
    pinned: Pinned, rows: int, partitions: Collection[str] | None, order_by: str | None
) -> tuple[list[str], list[Row]]:
    order = f" ORDER BY {quoted(order_by)} DESC" if order_by else ""
    with reading(pinned.uri) as con:
        sql = f"SELECT * FROM ({scan_sql(pinned, partitions)}){order} LIMIT {rows:d}"
        return all_rows(con.sql(sql).to_arrow_reader(rows or 1))
