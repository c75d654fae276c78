"""``lake load``: the history of a database table, from its first row on."""

from typing import Annotated

import typer

from dagster_lake.cli.shared.errors import readable_errors


@readable_errors
def load(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The data set, as its contract is called: orders.")],
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="DATE", help="Leave out what was written before this day, UTC. [default: all]"),
    ] = None,
    no_gold: Annotated[bool, typer.Option("--no-gold", help="Leave gold to the next hourly run.")] = False,
) -> None:
    """Bring the history of a database table into the lake: raw, bronze, silver, the latest rows, and gold.

    Every closed hour is landed in which the table has rows and the lake has none yet, in a few long reads. The lake's
    first hour moves back to the oldest row; load the definitions again afterwards (`make dev`).

    It can be interrupted, even killed, and run again: what is there stays, the rest follows. Again it changes nothing.

    Only tables have a history to load: an event hub forgets its events, and files are whole snapshots anyway.

    **Examples**

        lake load orders
        lake load orders --from 2024-01-01
        lake load order_items --no-gold
    """
    from rich.console import Console

    from dagster_lake.cli.load.run import load_history
    from dagster_lake.cli.shared.lake import settings

    load_history(name, since, settings(), Console(highlight=False), gold=not no_gold)
