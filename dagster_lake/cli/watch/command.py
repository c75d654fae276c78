"""``lake watch``: a process beside Dagster that tells when Dagster itself is dead."""

from typing import Annotated

import typer

from dagster_lake.cli.shared.durations import seconds
from dagster_lake.cli.shared.errors import readable_errors


@readable_errors
def watch(
    every: Annotated[float, typer.Option(parser=seconds, metavar="TIME", help="How often to look.")] = "30s",  # type: ignore[assignment]  # typer passes the text through the parser
    once: Annotated[bool, typer.Option("--once", help="Look once, send what is due, and end.")] = False,
) -> None:
    """Watch over Dagster's daemon, its sensors, missed hours and deliveries, and tell their owners of failures.

    Dagster cannot tell that it is dead, so run this beside it, best on another machine or in another container with the
    same settings. A daemon that was not heard for three minutes is told to the default channel; what the sensor
    failures_told tells as well is told once. It also sends what channels have not taken yet.

    With --once, the exit code is 3 when a channel did not take everything.

    **Examples**

        lake watch
        lake watch --every 1m
        lake watch --once
    """
    from dagster_lake.cli.watch.run import run

    run(every, once)
