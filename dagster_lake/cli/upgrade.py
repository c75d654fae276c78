"""``lake upgrade``: an existing lake in the format that this version reads."""

from typing import Annotated

import typer

from dagster_lake.cli.shared.errors import readable_errors


@readable_errors
def upgrade(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")] = False,
) -> None:
    """Bring a lake that an earlier version made to the format of this one.

    What landed moves to its place and is never read anew from a source; the tables that follow from it are made again
    where the rules have changed. The old tables are kept beside them, in `before_upgrade/` of each zone: remove these
    folders when you are content.

    Stop every run first (schedules, `make dev`, `lake stream`): from the first step to the last the lake is refused by
    every version. It can be interrupted, even killed: the same command goes on from there.

    **Examples**

        lake upgrade --dry-run
        lake upgrade
        lake --lake /data/lake upgrade
    """
    import time

    from rich.console import Console

    from dagster_lake.cli.shared.lake import settings
    from dagster_lake.cli.shared.text import duration_text, path_text
    from dagster_lake.storage.paths import FORMAT_VERSION, Lake
    from dagster_lake.upgrade.versions import steps_left
    from dagster_lake.upgrade.versions import upgrade as carry_out

    console = Console(highlight=False)
    chosen = settings()
    lake = Lake.placed(chosen)
    left = steps_left(lake)
    where = path_text(chosen.root)
    if not left:
        console.print(f"{where} has format {FORMAT_VERSION} already. There is nothing to do.", soft_wrap=True)
        return
    if dry_run:
        console.print(f"To bring {where} to format {FORMAT_VERSION}:", soft_wrap=True)
        for line in (line for step in left for line in step.told(lake, chosen)):
            console.print(f"  {line}", markup=False, soft_wrap=True)
        console.print("Nothing was changed.")
        return
    started = time.monotonic()

    def say(line: str) -> None:
        told = duration_text(time.monotonic() - started)
        console.print(f"{told:>10}  {line}", markup=False, soft_wrap=True)

    carry_out(lake, chosen, say)
    console.print(f"{where} has format {FORMAT_VERSION}. `lake status` shows its tables.", soft_wrap=True)
