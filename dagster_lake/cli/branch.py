"""``lake branch``: the lakes of branches, which LAKE_BRANCH makes, found and taken away again."""

from typing import TYPE_CHECKING, Annotated

import typer

from dagster_lake.cli.shared.errors import readable_errors

if TYPE_CHECKING:
    from dagster_lake.settings.lake import Settings

branch = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="""Look after the lakes of branches, which stand below `branches/` of the lake.

    `LAKE_BRANCH=pr_12` makes every command, and Dagster, use the lake of that branch; see docs/delivery.md.

    **Examples**

        lake branch list
        lake branch remove pr_12
    """,
)


@branch.command("list")
@readable_errors
def list_command() -> None:
    """Print the names of the branches that have a lake, one a line.

    **Examples**

        lake branch list
    """
    from dagster_lake.cli.reset.branch import branches

    for name in branches(_trunk()):
        typer.echo(name)


@branch.command("remove")
@readable_errors
def remove_command(
    name: Annotated[str, typer.Argument(metavar="BRANCH", help="The branch, as LAKE_BRANCH names it.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove the lake of a branch: its folder with everything in it and, where LAKE_CATALOG is set, its catalog.

    The lake that the branch stands beside, and other branches', stay. What is gone already is no error.

    **Examples**

        lake branch remove pr_12
        lake branch remove --yes pr_12
    """
    from rich.console import Console

    from dagster_lake.cli.reset.branch import branch_lake, remove_branch_lake

    console = Console(highlight=False)
    trunk = _trunk()
    found = branch_lake(trunk, name)
    console.print(f"This removes {found}.", markup=False, soft_wrap=True)
    if not yes and not typer.confirm("Remove it?"):
        console.print("Nothing was removed.")
        raise typer.Exit(1)
    remove_branch_lake(trunk, found, lambda what: console.print(f"removed {what}", markup=False, soft_wrap=True))


def _trunk() -> "Settings":
    from dagster_lake.cli.reset.branch import trunk_of
    from dagster_lake.cli.shared.lake import settings

    return trunk_of(settings())
