"""`python -m generators stream`: send events to an event hub as they happen."""

import re
import time
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live as RichLive

from generators.dials import Dirt
from generators.live import Progress, live_data_set, send_live
from generators.live_clock import SystemClock, stopped_by_signals
from generators.live_target import TargetError, open_target

_PLAIN_SECONDS = 10
_BEHIND_SECONDS = 2
_UNITS = {"s": 1, "m": 60, "h": 3_600}
_RATE = re.compile(r"^(\d+(?:\.\d+)?)(?:/([smh]))?$")
_SPAN = re.compile(r"^(?:\d+[hms])+$")

HELP = """
Send events to an event hub as they happen, at a steady rate, until the time is up or Ctrl-C.

They go to the event hub of the lake that the settings name (LAKE_ROOT, LAKE_EVENT_HUBS, LAKE_EVENT_HUBS_CONNECTION;
see docs/event-hubs.md), unless an option names another.

**Examples**

A thousand pageviews a second for ten minutes, into the lake's own event hub:

`python -m generators stream pageviews --rate 1000/s --for 10m`

The ratings that go with them, at the same time in another terminal (50 pageviews have one):

`python -m generators stream stars --rate 20/s --for 10m`

A rough hour, with events sent twice and events that happened long ago, to Azure Event Hubs:

`python -m generators stream pageviews --duplicates 0.05 --late 0.05 --namespace shop.servicebus.windows.net`

Go on where a stream ended, as it says; from row 0 again, its events would be the same ones sent twice:

`python -m generators stream pageviews --rate 1000/s --start-row 600_000`
"""


class EventDataSetName(StrEnum):
    """The data sets of events."""

    PAGEVIEWS = "pageviews"
    STARS = "stars"


def rate(text: str) -> float:
    """Events a second, from `1000/s`, `90/m`, `5000/h` or `1000`."""
    found = _RATE.match(text.replace("_", "").replace(",", ""))
    if not found or not (per_second := float(found[1]) / _UNITS[found[2] or "s"]):
        raise typer.BadParameter(f"{text!r} is no rate: write 1000/s, 90/m or 5000/h")
    return per_second


def span(text: str) -> float:
    """Seconds, from `90s`, `10m`, `2h` or `1h30m`."""
    if not _SPAN.match(text):
        raise typer.BadParameter(f"{text!r} is no length of time: write 90s, 10m, 2h or 1h30m")
    return float(sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([hms])", text)))


Dial = Annotated[float, typer.Option(min=0.0, max=1.0, rich_help_panel="Dirt (shares, 0 to 1)")]


def stream(
    dataset: Annotated[EventDataSetName, typer.Argument(help="What to send.")],
    per_second: Annotated[
        float, typer.Option("--rate", parser=rate, metavar="RATE", help="How many, as 1000/s, 90/m or 5000/h.")
    ] = "10/s",  # type: ignore[assignment]  # the parser reads the default too
    seconds: Annotated[
        float | None,
        typer.Option("--for", parser=span, metavar="TIME", help="How long, as 90s, 10m or 2h. [default: until Ctrl-C]"),
    ] = None,
    start_row: Annotated[
        int,
        typer.Option(min=0, help="The first row. A row has the same event id whenever it is sent: the lake keeps one."),
    ] = 0,
    hub: Annotated[str | None, typer.Option(help="The event hub's name. [default: the data set's]")] = None,
    hub_folder: Annotated[
        Path | None, typer.Option(help="The folder of an embedded event hub.", rich_help_panel="Where to")
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            help="An Azure Event Hubs namespace; DefaultAzureCredential lets us in.", rich_help_panel="Where to"
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed, another world. [default: the lake's]")] = None,
    users: Annotated[int | None, typer.Option(min=1, help="How many users there are. [default: the lake's]")] = None,
    products: Annotated[int | None, typer.Option(min=1, help="How many products. [default: the lake's]")] = None,
    duplicates: Dial = 0.0,
    late: Dial = 0.0,
    empty_client_ip: Dial = 0.0,
    malformed: Dial = 0.0,
    unknown_fields: Dial = 0.0,
    invalid_values: Dial = 0.0,
) -> None:
    console = Console(stderr=True, highlight=False)
    dials = {
        "duplicates": duplicates,
        "late": late,
        "empty_client_ip": empty_client_ip,
        "malformed": malformed,
        "unknown_fields": unknown_fields,
        "invalid_values": invalid_values,
    }
    try:
        with open_target(hub or dataset.value, hub_folder, namespace) as target:
            sizes: dict[str, Any] = {"seed": seed, "users": users, "products": products}
            world = replace(target.world, **{name: size for name, size in sizes.items() if size is not None})
            clock = SystemClock()
            live, world = live_data_set(world, dataset.value, per_second, start_row, clock.now())
            rows = None if seconds is None else max(1, round(per_second * seconds))
            with stopped_by_signals(clock), _Teller(console, start_row) as teller:
                console.print(f"{dataset.value}, {per_second:,.6g}/s, to {target.name}; Ctrl-C ends it", soft_wrap=True)
                send_live(live, world, replace(Dirt.none(), **dials), rows, clock, target.send, teller.tell)
    except (TargetError, ValueError, OSError) as problem:
        console.print(f"[red]Error:[/red] {problem}", soft_wrap=True)
        raise typer.Exit(2) from problem


class _Teller:
    """Says how far the stream is: in one line that changes on a terminal, now and then a line elsewhere."""

    def __init__(self, console: Console, start_row: int) -> None:
        self._console = console
        self._start_row = start_row
        self._began = self._told = time.monotonic()
        self._line = RichLive(console=console, transient=True, auto_refresh=False)
        self._progress = Progress(0, 0, 0.0)

    def __enter__(self) -> "_Teller":
        if self._console.is_terminal:
            self._line.start()
        return self

    def tell(self, progress: Progress) -> None:
        """Takes note of what was sent."""
        self._progress = progress
        if self._console.is_terminal:
            self._line.update(self._text(), refresh=True)
        elif time.monotonic() - self._told >= _PLAIN_SECONDS:
            self._told = time.monotonic()
            self._console.print(self._text(), soft_wrap=True)

    def __exit__(self, *_: object) -> None:
        self._line.stop()
        self._console.print(
            f"{self._text()}. To go on: --start-row {self._start_row + self._progress.rows}", soft_wrap=True
        )

    def _text(self) -> str:
        seconds = max(time.monotonic() - self._began, 0.001)
        behind = f", {self._progress.behind:,.0f} s behind" if self._progress.behind > _BEHIND_SECONDS else ""
        sent = f"{self._progress.events:,} events sent in {seconds:,.1f} s, {self._progress.events / seconds:,.0f}/s"
        return f"{sent}, {self._progress.rows:,} rows{behind}"
