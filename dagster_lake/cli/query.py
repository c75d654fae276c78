"""``lake query``: SQL over the lake's tables."""

import sys
from typing import Annotated

import typer

from dagster_lake.cli.shared.errors import readable_errors
from dagster_lake.cli.shared.format import Format

ROWS_SHOWN = 50


@readable_errors
def query(
    sql: str,
    form: Annotated[Format, typer.Option("--format", help="How to print the result.")] = Format.TABLE,
    limit: Annotated[
        int | None,
        typer.Option(min=0, help=f"Rows to print, 0 for all. [default: {ROWS_SHOWN}; all with csv and json]"),
    ] = None,
) -> None:
    """Ask the lake's tables a question in SQL.

    SQL is one SELECT as DuckDB writes it; `-` reads it from standard input.

    Tables go by layer and name: `bronze.users`, `silver.orders`, `quarantine.pageviews`, `gold.engagements`; the
    layer may be left out where only one has the name. Queries only read, and only the lake's tables. Times are UTC.

    **Examples**

        lake query "select * from gold.engagements order by total_orders_value desc limit 5"
        lake query "select http_method, count(*) from silver.pageviews group by all"
        lake query --format csv "select * from gold.daily_sales" > sales.csv
        lake query - < question.sql
    """
    from dagster_lake.cli.shared.lake import settings, wanted_lake
    from dagster_lake.cli.shared.reader import ask
    from dagster_lake.cli.shared.render import render
    from dagster_lake.storage.listing import tables

    chosen = settings()
    lake = wanted_lake(chosen)
    statement = sys.stdin.read() if sql == "-" else sql
    if limit is None:
        limit = 0 if form in (Format.CSV, Format.JSON) else ROWS_SHOWN
    with ask(tables(lake), chosen, statement) as result:
        render(result, form, limit)
