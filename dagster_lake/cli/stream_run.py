"""Runs ``lake stream`` in this process, until its time is up or somebody stops it."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from dagster_lake.cli.catalog import settings
from dagster_lake.cli.errors import CommandError
from dagster_lake.cli.stream_status import StatusLine, ended
from dagster_lake.cli.text import path_text
from dagster_lake.settings import Settings


def run(seconds: float | None, every: float, data_sets: Sequence[str], report: bool) -> None:
    """Streams for ``seconds``, or until SIGINT or SIGTERM. Raises CommandError when the tables could not be made."""
    os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"
    chosen = settings()
    console = Console(highlight=False)
    console.print(f"Streaming into {path_text(chosen.root)}; Ctrl-C ends it.", soft_wrap=True, markup=False)
    with StatusLine(console) as line, _stopped_by_signals(line.say) as stop:
        _by_duckdb(chosen, stop, seconds, every, data_sets, report, line)


def _by_duckdb(
    settings: Settings,
    stop: threading.Event,
    seconds: float | None,
    every: float,
    data_sets: Sequence[str],
    report: bool,
    line: StatusLine,
) -> None:
    from dagster_lake.live.loop import TABLES, Live
    from dagster_lake.live.plan import plan
    from dagster_lake.live.report import report_finished
    from dagster_lake.resources.lake import LakeResource

    resource = LakeResource()
    wanted = plan(resource.lake, settings, data_sets)
    live = Live(resource, wanted, line.say, report_finished if report else lambda hours: None)
    live.run(stop, every, seconds, line.show)
    line.say(ended(live.status, stopped=stop.is_set()))
    why = live.status.failures
    # A hub that is not there yet is waited for; that none was there is a failure.
    failed = [TABLES] if TABLES in why else list(wanted.contracts) if why.keys() >= wanted.contracts.keys() else []
    if failed:
        raise CommandError("; ".join(f"{what}: {why[what]}" for what in failed))


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
