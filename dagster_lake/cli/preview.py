"""``lake preview``: the columns and first rows of one table."""

from bisect import bisect
from typing import TYPE_CHECKING, Annotated

import typer

from dagster_lake.cli.shared.errors import readable_errors

if TYPE_CHECKING:
    from dagster_lake.storage.delta.write import Pinned


@readable_errors
def preview(
    table: str,
    rows: Annotated[int, typer.Option(min=0, help="How many rows.")] = 10,
    hour: Annotated[
        str | None, typer.Option(metavar="HOUR", help="Only this lake hour (2026-01-05T12) or snapshot.")
    ] = None,
) -> None:
    """Show the columns and the first rows of one table.

    TABLE is `silver/users` or `silver.users`, or `users` where only one layer has the name.

    Rows too wide for the terminal are written one below the other. Nested and long values are cut.

    **Examples**

        lake preview gold/engagements
        lake preview silver/users --rows 3
        lake preview bronze/pageviews --hour 2026-01-05T12
    """
    from rich.console import Console

    from dagster_lake.cli.shared.first_rows import print_columns, print_rows
    from dagster_lake.cli.shared.lake import find_table, settings, wanted_lake
    from dagster_lake.storage.delta.write import pin
    from dagster_lake.storage.listing import tables

    console = Console(highlight=False)
    lake = wanted_lake(settings())
    wanted = find_table(tables(lake), table)
    pinned = pin(wanted.uri)
    assert pinned is not None
    partitions = None if hour is None else [_partition(pinned, wanted.name, hour)]
    size = f"{pinned.rows(partitions):,} rows" + (f" in {hour}" if hour else "")
    note = ", may hold personal data in clear" if wanted.sensitive else ""
    console.print(f"[bold]{wanted.name}[/], {size}, version {pinned.version}{note}", soft_wrap=True)
    if description := pinned.table.metadata().description:
        console.print(description, markup=False)
    print_columns(console, pinned)
    print_rows(console, pinned, rows, partitions)


def _partition(pinned: "Pinned", name: str, hour: str) -> str:
    from dagster_lake.cli.shared.errors import CommandError

    held = pinned.partitions()
    if pinned.partition_column is None:
        raise CommandError(f"{name} is not kept by hour or snapshot; leave --hour out")
    if hour in held:
        return hour
    if not held:
        raise CommandError(f"{name} holds no rows yet")
    place = bisect(held, hour)  # hours and snapshots sort by time
    near = [*held[place - 1 : place], *held[place : place + 1]] if place else held[:1]
    raise CommandError(
        f"{name} has nothing for --hour {hour}; nearest: {', '.join(near)}; it holds {held[0]} to {held[-1]}"
    )
