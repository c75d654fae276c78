"""``lake reset``: start again from nothing."""

from typing import TYPE_CHECKING, Annotated

import typer

from dagster_lake.cli.shared.errors import CommandError, readable_errors

if TYPE_CHECKING:
    from pathlib import Path


@readable_errors
def reset(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove the lake and Dagster's history of its runs, after showing what will go; other lakes stay as they are.

    Only what a lake is made of is removed, files that you dropped into its landing folder included; anything else
    in the folder stays. Stop `make dev` first.

    A lake in ADLS Gen2 is removed only with `--yes`, and only when it has a folder of its own in its container. Its
    embedded sources, which are on this machine, stay.

    **Examples**

        lake reset
        lake reset --yes
        lake --lake /tmp/other-lake reset
    """
    from rich.console import Console

    from dagster_lake.cli.dev.serve import open_at
    from dagster_lake.cli.reset.local import lake_contents, remove
    from dagster_lake.cli.shared.lake import settings
    from dagster_lake.cli.shared.text import path_text, size_text
    from dagster_lake.storage.paths import is_remote

    console = Console(highlight=False)
    if is_remote(settings().root):
        from dagster_lake.cli.reset.adls import reset_remote

        reset_remote(settings(), console, yes=yes)
        return
    if where := open_at(settings()):
        raise CommandError(f"`lake dev` is open on this lake, {where}: stop it first; nothing was removed")
    contents = lake_contents(settings().root)
    console.print("This removes:")
    for path in contents.wanted:
        console.print(f"  {path_text(path)}  [dim]{size_text(_bytes(path))}[/]", soft_wrap=True)
    for path in contents.foreign:
        console.print(f"[yellow]Stays, because it is no part of a lake:[/] {path_text(path)}", soft_wrap=True)
    if not yes and not typer.confirm("Remove them?"):
        console.print("Nothing was removed.")
        raise typer.Exit(1)
    remove(contents)
    console.print("Removed. Build a new lake with:  lake demo")


def _bytes(path: "Path") -> int:
    return path.lstat().st_size if not path.is_dir() else sum(f.lstat().st_size for f in path.rglob("*"))
