"""``lake doctor``: whether this machine and this lake are in order, and what to do where they are not."""

import typer

from dagster_lake.cli.errors import readable_errors

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@readable_errors
def doctor() -> None:
    """Check the environment and the lake, and say what to fix.

    Each line is ok, warn or fail; the exit code is 1 when one failed.

    **Examples**

        lake doctor
        lake --lake /data/lake doctor
    """
    from rich.console import Console

    from dagster_lake.cli.catalog import settings
    from dagster_lake.cli.checkup import findings

    console = Console(highlight=False)
    found = findings(settings())
    for finding in found:
        console.print(f"[{_STYLES[finding.level]}]{finding.level:<4}[/]", end="  ")
        console.print(f"{finding.subject}: {finding.says}", markup=False, soft_wrap=True)
        if finding.remedy:
            console.print(f"      -> {finding.remedy}", markup=False, soft_wrap=True)
    if any(finding.level == "fail" for finding in found):
        raise typer.Exit(1)
