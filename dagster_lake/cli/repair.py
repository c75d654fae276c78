"""``lake repair``: what is wrong with a table, and mending it."""

from typing import TYPE_CHECKING, Annotated

import typer

from dagster_lake.cli.shared.errors import readable_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from dagster_lake.storage.damage import Fault
    from dagster_lake.storage.listing import LakeTable
    from dagster_lake.storage.mend import Mending


@readable_errors
def repair(
    table: Annotated[str, typer.Argument(help="silver.users, silver/users, or a name that only one layer has.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Find out what is wrong with a table, show it, and mend it.

    Every row is read. Then, after asking:

    - Files that a table can do without (`_last_checkpoint`, a checkpoint whose commits are all there) are moved aside.
    - The last commits, where a crash cut them off, are replaced by commits that change nothing. What they wrote is to
      be made again.
    - Hours or snapshots of which a data file is missing or damaged are taken out, and are to be made again.
    - Anything else: the whole table is moved aside, and is to be made again.

    Nothing is removed: what was moved aside lies below `damaged/` in the lake. The commands that make the rows again
    are printed. Stop other runs of the table first.

    **Examples**

        lake repair silver.pageviews
        lake repair gold/engagements --yes
    """
    from rich.console import Console

    from dagster_lake.cli.shared.lake import find_table, settings, wanted_lake
    from dagster_lake.cli.shared.made_again import commands
    from dagster_lake.clock import utc_now
    from dagster_lake.storage.listing import tables
    from dagster_lake.storage.mend import carry_out, mending

    console = Console(highlight=False)
    lake = wanted_lake(settings())
    wanted = find_table(tables(lake), table)
    found = _faults(wanted, console)
    if not found:
        console.print(f"{wanted.name}: every file of its log and every row can be read. There is nothing to mend.")
        return
    for fault in found:
        console.print(f"{wanted.name}: {fault.place} {fault.what}", markup=False, soft_wrap=True)
    plan = mending(wanted.uri, found)
    console.print("To mend it:")
    for line in _told(wanted, plan):
        console.print(f"  {line}", markup=False, soft_wrap=True)
    if not yes and not typer.confirm("Do it?"):
        console.print("Nothing was changed.")
        raise typer.Exit(1)
    aside = carry_out(plan, utc_now())
    if not plan.empty or plan.forget or plan.undo:
        console.print(f"What was damaged lies in {aside}", markup=False, soft_wrap=True)
    if plan.makes_rows_go:
        console.print("Mended. Rows are missing until they are made again:")
        for line in commands(lake, wanted, () if plan.whole else (*plan.lost, *plan.empty)):
            console.print(f"  {line}", markup=False, soft_wrap=True)
    else:
        console.print("Mended. No row was lost.")


def _faults(table: "LakeTable", console: "Console") -> "list[Fault]":
    from dagster_lake.storage.delta.write import pin
    from dagster_lake.storage.examine import content_faults, table_faults

    found = [fault for fault in table_faults(table.uri) if fault.kind != "data"]
    if found:
        return found
    pinned = pin(table.uri)
    if pinned is None:
        return []
    with console.status(f"Reading {table.name} ..."):
        return list(content_faults(pinned, lambda read: None))


def _told(table: "LakeTable", plan: "Mending") -> "Iterator[str]":
    from dagster_lake.cli.shared.made_again import only_here

    for place in plan.forget:
        yield f"move {place.name} aside; the table can do without"
    for place in plan.undo:
        yield f"replace the commit {place.name}, which was cut off, by one that changes nothing; what it wrote goes"
    if plan.empty:
        yield f"take out {', '.join(plan.empty)}, of which files are damaged"
    if plan.whole:
        yield f"move {table.uri} aside as a whole"
    if plan.makes_rows_go and (lost := only_here(table)):
        yield f"what no run makes again: {lost}"
