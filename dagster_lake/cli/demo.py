"""``lake demo``: a day of generated data, from the sources to gold."""

from typing import Annotated

import typer

from dagster_lake.cli.errors import readable_errors

DAY = "2026-01-01"


@readable_errors
def demo(
    day: Annotated[str, typer.Option(metavar="DATE", help="The day to build, UTC; 2026-01-01 is the first.")] = DAY,
    hours: Annotated[int, typer.Option(min=1, max=744, help="How many hours to build, from midnight.")] = 24,
) -> None:
    """Build the demo lake: generate a day of data and materialise every asset to gold.

    The run shows up in Dagster's UI (`make dev`). Building the same day again is quick and changes nothing.

    **Examples**

        lake demo
        lake demo --day 2026-02-14 --hours 6
        lake --lake /tmp/other-lake demo
    """
    from rich.console import Console

    from dagster_lake.cli.catalog import existing_lake, settings
    from dagster_lake.cli.demo_report import print_report
    from dagster_lake.cli.demo_run import build, wanted_hours
    from dagster_lake.cli.text import path_text

    wanted = wanted_hours(day, hours)
    chosen = settings()
    existing_lake(chosen)  # a lake of another format is told before anything runs
    console = Console(highlight=False)
    console.print(
        f"Building {wanted.keys[0]} to {wanted.keys[-1]} in {path_text(chosen.root)}", soft_wrap=True, markup=False
    )
    print_report(console, chosen, build(wanted, console))
