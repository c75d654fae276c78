"""Runs ``lake stream`` in this process, until its time is up or somebody stops it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from rich.console import Console

from dagster_lake.cli.shared.dagster_home import at_dagster_home
from dagster_lake.cli.shared.errors import CommandError
from dagster_lake.cli.shared.lake import settings
from dagster_lake.cli.shared.text import path_text
from dagster_lake.cli.stream.status_line import StatusLine, ended

if TYPE_CHECKING:
    from dagster_lake.lake_resource import LakeResource
    from dagster_lake.live.landing import Landing
    from dagster_lake.live.plan import Plan

ONCE = 0.0
"""So many seconds let it look once, and end."""
UNSENT = 3
"""The exit code when alerts were not delivered, or a sink did not take its rows."""


def run(seconds: float | None, every: float, data_sets: Sequence[str], report: bool) -> None:
    """Streams for ``seconds``, or until SIGINT or SIGTERM. Raises CommandError when the tables could not be made, and
    exits with UNSENT when it looked once and the webhook or a sink did not take everything."""
    from dagster_lake.defs.streams.live_report import report_finished
    from dagster_lake.lake_resource import LakeResource
    from dagster_lake.live.loop import TABLES, Live
    from dagster_lake.live.plan import plan
    from dagster_lake.streams.alerts.channels import said_without_address

    os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
    chosen = settings()
    if chosen.engine == "databricks":
        raise CommandError(
            "lake stream runs where it is started: with LAKE_ENGINE=duckdb, or with LAKE_ENGINE=spark on a Spark of "
            "your own. In a Databricks workspace let the near-real-time sensor run the steps (docs/streams.md)"
        )
    console = Console(highlight=False)
    console.print(f"Streaming into {path_text(chosen.root)}; Ctrl-C ends it.", soft_wrap=True, markup=False)
    with StatusLine(console) as line, _stopped_by_signals(line.say) as stop, ExitStack() as ending:
        if report:
            ending.enter_context(at_dagster_home())
        resource = LakeResource()
        wanted = plan(resource.lake, chosen, data_sets)
        for missing in said_without_address(chosen, wanted.kinds):
            line.say(missing)
        landing = _landing(resource, wanted, None if seconds == ONCE else every, ending)
        live = Live(resource, wanted, landing, line.say, report_finished if report else lambda hours: None)
        live.run(stop, every, seconds, line.show)
        line.say(ended(live.status))
    why = live.status.failures
    # A hub that is not there yet is waited for; that none was there is a failure.
    failed = [what for what in why if what.startswith(TABLES)]
    if not failed and why.keys() >= wanted.contracts.keys():
        failed = list(wanted.contracts)
    if failed:
        raise CommandError("; ".join(f"{what}: {why[what]}" for what in failed))
    if seconds == ONCE and (live.status.alerts_waiting or live.status.sinks_waiting):
        raise SystemExit(UNSENT)


def _landing(resource: "LakeResource", wanted: "Plan", every: float | None, ending: ExitStack) -> "Landing":
    from dagster_lake.live.landing import LiveLanding

    if resource.settings.engine != "spark":
        return LiveLanding(resource.lake, wanted.contracts.values(), resource.sources)
    from dagster_lake.engines.spark.session import spark_session
    from dagster_lake.live.spark_landing import SparkLanding, read_event_hubs

    landing = SparkLanding(
        resource.lake,
        wanted.contracts.values(),
        spark_session(resource.settings),
        read_event_hubs(resource.settings),
        every,
        resource.sources.event_hub,
    )
    ending.callback(landing.close)
    return landing


@contextmanager
def _stopped_by_signals(say: Callable[[str], None]) -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second signal does what it always did."""
    stop = threading.Event()

    def stopping(number: int, _: object) -> None:
        stop.set()
        for one, handler in before.items():
            signal.signal(one, handler)
        say("Stopping when what is being written is whole ... (once more: at once)")

    before = {one: signal.signal(one, stopping) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
