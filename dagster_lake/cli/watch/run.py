"""Runs ``lake watch`` in this process, until somebody stops it."""

import os
import socket
import time

from rich.console import Console

from dagster_lake.cli.shared.dagster_home import at_dagster_home, without_telemetry
from dagster_lake.cli.shared.lake import settings, wanted_lake
from dagster_lake.cli.shared.text import path_text

UNSENT = 3
"""The exit code when a channel did not take everything."""


def run(every: float, once: bool) -> None:
    """Looks ``every`` so many seconds; with ``once`` a single time, and exits with UNSENT when something waits."""
    from dagster import DagsterInstance

    from dagster_lake.operations.failures.watch import Watch
    from dagster_lake.streams.alerts.channels import addresses, said_without_address

    chosen = settings()
    lake = wanted_lake(chosen)
    without_telemetry()
    console = Console(highlight=False)

    def say(line: str) -> None:
        console.print(line, markup=False, soft_wrap=True)

    for missing in said_without_address(chosen, []):
        say(missing)
    if not addresses(chosen):
        say("No channel is set: failures are noted in streams.alert_notices alone (docs/alerts.md).")
    with at_dagster_home(), DagsterInstance.get() as instance:
        watch = Watch(lake, chosen, instance, f"lake watch {socket.gethostname()} {os.getpid()}", say)
        if once:
            if watch.look().waiting:
                raise SystemExit(UNSENT)
            return
        say(f"Watching {path_text(chosen.root)}; Ctrl-C ends it.")
        while True:
            try:
                watch.look()
            except Exception as error:  # a look that fails is no reason to see no more
                say(f"the look failed: {type(error).__name__}: {error}")
            time.sleep(every)
