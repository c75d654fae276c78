"""`python -m generators database`: fill a database with the shop's orders and their items."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console

from generators.live_target import TargetError
from generators.shop_target import fill, lake_world

HELP = """
Fill a database with the shop's orders and order_items, which are created when absent.

The world is the one that the lake's settings describe. The same hours again change nothing. Nobody else writes to a
database: the lake itself only reads it.

**Examples**

A day of orders in PostgreSQL:

`python -m generators database --url postgresql://shop@localhost/shop --hours 24`

Three hours in a SQLite file:

`python -m generators database --url sqlite:///shop.db --first-hour 2026-01-05T12 --hours 3`
"""


def database(
    url: Annotated[str, typer.Option(help="The database, as sqlite:///file.db or postgresql://user@host/name.")],
    hours: Annotated[int, typer.Option(min=1, help="How many lake hours to write.")],
    first_hour: Annotated[
        datetime, typer.Option(formats=["%Y-%m-%dT%H"], help="The first of them, UTC.", show_default="2026-01-01T00")
    ] = datetime(2026, 1, 1),
) -> None:
    """Fill a database; the help text is in HELP."""
    console = Console(stderr=True, highlight=False)
    try:
        world, dirt = lake_world()
        for hour in fill(url, world, dirt, first_hour.replace(tzinfo=UTC), hours):
            console.print(f"{hour:%Y-%m-%dT%H} written")
    except (TargetError, ValueError, OSError) as problem:
        console.print(f"[red]Error:[/red] {problem}", soft_wrap=True)
        raise typer.Exit(2) from problem
