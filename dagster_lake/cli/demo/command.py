"""``lake demo``: a day of generated data, from the sources to gold."""

from typing import Annotated

import typer

from dagster_lake.cli.shared.errors import CommandError, readable_errors


@readable_errors
def demo(
    day: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="Build this day, UTC, from midnight; 2026-01-01 is the first. [default: the hours that ended last]",
        ),
    ] = None,
    hours: Annotated[int, typer.Option(min=1, max=744, help="How many hours to build.")] = 24,
) -> None:
    """Build the demo lake: generate a day of data and materialise every asset to gold.

    By default that is the 24 hours that ended last, so that everything is fresh and the hourly schedule goes on where
    the demo ends. A new lake begins with the first hour that is built.

    The run shows up in Dagster's UI (`make dev`). Building the same hours again is quick and changes nothing.

    **Examples**

        lake demo
        lake demo --day 2026-01-01 --hours 6
        lake --lake /tmp/other-lake demo
    """
    from rich.console import Console

    from dagster_lake.cli.demo.hours import begin_with, wanted_hours
    from dagster_lake.cli.demo.report import print_report
    from dagster_lake.cli.demo.run import build
    from dagster_lake.cli.doctor.machine import refuse_unfit
    from dagster_lake.cli.shared.lake import existing_lake, settings
    from dagster_lake.cli.shared.text import path_text
    from dagster_lake.settings.project import ProjectSettings

    wanted = wanted_hours(day, hours)
    chosen = settings()
    if not ProjectSettings().has_shop_models:
        raise CommandError(
            "the demo builds the shop's tables, and LAKE_CONTRACTS or LAKE_DBT_PROJECT names other data; "
            "materialise your assets in Dagster (`lake dev`), or unset both"
        )
    refuse_unfit(chosen)
    existing_lake(chosen)  # a lake of another format is told before anything runs
    begin_with(wanted, chosen, day)  # before the definitions are loaded, which ask for the first hour
    console = Console(highlight=False)
    console.print(
        f"Building {wanted.keys[0]} to {wanted.keys[-1]} in {path_text(chosen.root)}", soft_wrap=True, markup=False
    )
    print_report(console, chosen, build(wanted, console))
