"""The line by which ``lake stream`` says how it goes: kept in place on a terminal, now and then elsewhere."""

import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.text import Text

from dagster_lake.cli.shared.text import age_text
from dagster_lake.live.status import Status

LINE_SECONDS = 10


class StatusLine:
    """Shows the status below whatever else is said."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None
        self._said_at = float("-inf")
        self._said = ""

    def __enter__(self) -> "StatusLine":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, line: str) -> None:
        """A line that stays."""
        self._console.print(line, markup=False, soft_wrap=True)

    def show(self, status: Status) -> None:
        """The status as it is now."""
        text = status_text(status)
        if self._live:
            self._live.update(Text(text, overflow="ellipsis", no_wrap=True), refresh=True)
        elif time.monotonic() - self._said_at >= LINE_SECONDS and text[9:] != self._said:
            self._said_at, self._said = time.monotonic(), text[9:]
            self.say(text)


def status_text(status: Status) -> str:
    """One line: the time, which hours are landed how fast, how old the tables are, how quickly alerts are told."""
    parts = [" to ".join(dict.fromkeys([status.hours[0], status.hours[-1]]))] if status.hours else []
    parts += [f"{name} {rate:,.0f}/s" for name, rate in status.rates.items()]
    parts.append(f"{status.total:,} landed")
    if status.tables_at is not None:
        parts.append(f"tables {age_text(status.tables_at, status.now)} old, made in {status.tables_seconds:.1f} s")
    if status.alert_seconds is not None:
        parts.append(f"{status.alerts:,} alerts, the last {status.alert_seconds:.1f} s after its event")
    parts += [f"{what} fails" for what in status.failures]
    return f"{status.now:%H:%M:%S} {'  '.join(parts)}"


def ended(status: Status) -> str:
    """What was done in the end, and what is left."""
    left = (
        "Some are in raw only so far: run it again, or the hourly job."
        if status.behind
        else "The tables hold them all."
    )
    return f"{status.total:,} events landed, {status.alerts:,} alerts told. {left}{_unsent(status)}"


def _unsent(status: Status) -> str:
    waiting = f" {status.alerts_waiting:,} alerts wait for the webhook." if status.alerts_waiting else ""
    aside = f" {status.alerts_set_aside:,} are set aside: lake alerts list." if status.alerts_set_aside else ""
    sinks = f" {status.sinks_waiting:,} sinks lack rows: lake status." if status.sinks_waiting else ""
    return waiting + aside + sinks
