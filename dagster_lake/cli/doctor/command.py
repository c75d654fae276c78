"""``lake doctor``: whether this machine and this lake are in order, and what to do where they are not."""

from typing import TYPE_CHECKING, Annotated

import typer

from dagster_lake.cli.shared.errors import readable_errors

if TYPE_CHECKING:
    from rich.console import Console

    from dagster_lake.cli.doctor.finding import Finding
    from dagster_lake.settings.lake import Settings

_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@readable_errors
def doctor(
    deep: Annotated[
        bool,
        typer.Option("--deep", help="Read every file of the lake as well: rows, checksums, logs, hubs, databases."),
    ] = False,
) -> None:
    """Check the environment and the lake, and say what to fix.

    Each line is ok, warn or fail; the exit code is 1 when one failed.

    With `--deep` everything that the lake is made of is read, which takes as long as reading it takes: of each table
    the log and every live file (there, of its size, readable, as many rows as the log says), of raw every checksum, of
    the embedded sources every segment of the event hub and the database's own check. There is a line for each file
    that is not as it was written, with the command that mends it.

    **Examples**

        lake doctor
        lake --lake /data/lake doctor
        lake doctor --deep
    """
    from rich.console import Console

    from dagster_lake.cli.doctor.machine import findings
    from dagster_lake.cli.shared.lake import settings

    console = Console(highlight=False)
    chosen = settings()
    found = findings(chosen)
    for finding in found:
        _tell(finding, console)
    if deep:
        found += _read_everything(chosen, console)
    if any(finding.level == "fail" for finding in found):
        raise typer.Exit(1)


def _read_everything(settings: "Settings", console: "Console") -> "list[Finding]":
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from dagster_lake.cli.doctor.deep import pieces
    from dagster_lake.cli.shared.lake import existing_lake
    from dagster_lake.cli.shared.text import size_text

    lake = existing_lake(settings)
    wanted = pieces(lake, settings) if lake else []
    found: list[Finding] = []
    size = 0
    columns = (MofNCompleteColumn(), BarColumn(bar_width=24), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(wanted))

        def read(more: int) -> None:
            nonlocal size
            size += more
            progress.update(task, description=f"{piece.name}, {size_text(size)} read")

        for piece in wanted:
            progress.update(task, description=piece.name)
            for finding in piece.look(read):
                found.append(finding)
                _tell(finding, console)
            progress.advance(task)
    said = f"{len(found)} faults" if found else "everything is as it was written"
    console.print(f"Read {size_text(size)} of {len(wanted)} tables, raw data sets and sources: {said}.")
    return found


def _tell(finding: "Finding", console: "Console") -> None:
    console.print(f"[{_STYLES[finding.level]}]{finding.level:<4}[/]", end="  ")
    console.print(f"{finding.subject}: {finding.says}", markup=False, soft_wrap=True)
    if finding.remedy:
        console.print(f"      -> {finding.remedy}", markup=False, soft_wrap=True)
