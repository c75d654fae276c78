"""``lake reset``: start again from nothing."""

from typing import TYPE_CHECKING, Annotated

import typer

from dagster_lake.cli.errors import readable_errors

if TYPE_CHECKING:
    from pathlib import Path


@readable_errors
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove the lake and Dagster's local history of runs, after showing what will go.

    Only what a lake is made of is removed, files that you dropped into its landing folder included; anything else
    in the folder stays. Stop `make dev` first.

    **Examples**

        lake reset
        lake reset --yes
        lake --lake /tmp/other-lake reset
    """
    from rich.console import Console

    from dagster_lake.cli.catalog import settings
    from dagster_lake.cli.removal import history_folder, lake_contents, remove
    from dagster_lake.cli.text import path_text, size_text

    console = Console(highlight=False)
    contents = lake_contents(settings().root)
    history = history_folder()
    console.print("This removes:")
    for path in [*contents.wanted, *([history] if history else [])]:
        console.print(f"  {path_text(path)}  [dim]{size_text(_bytes(path))}[/]", soft_wrap=True)
    for path in contents.foreign:
        console.print(f"[yellow]Stays, because it is no part of a lake:[/] {path_text(path)}", soft_wrap=True)
    if not yes and not typer.confirm("Remove them?"):
        console.print("Nothing was removed.")
        raise typer.Exit(1)
    remove(contents, history)
    console.print("Removed. Build a new lake with:  lake demo")


def _bytes(path: "Path") -> int:
    return path.lstat().st_size if not path.is_dir() else sum(f.lstat().st_size for f in path.rglob("*"))
