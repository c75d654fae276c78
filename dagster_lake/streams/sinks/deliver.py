"""Filling the sinks: each gets the hours that it lacks, and one that fails stops neither another one nor a stream."""

from collections.abc import Collection, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol, assert_never

from dagster_lake import clock
from dagster_lake.settings.lake import Settings
from dagster_lake.settings.secret_text import without_secrets
from dagster_lake.sources.choice import uses_azure
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.guarded import Overtaken
from dagster_lake.storage.paths import Lake, is_remote
from dagster_lake.streams.alerts.shown import shown_text
from dagster_lake.streams.sinks.since import hours_since
from dagster_lake.streams.sinks.sink import Position, Sink, SinkError, SinkRefused
from dagster_lake.streams.sinks.trouble import Trouble, end_trouble, note_trouble, trouble_of

NO_DATABASE = "a lake in ADLS Gen2 has no database of its own for sinks that are tables; set LAKE_SINK_DATABASE_URL"
TOGETHER = 24
"""Hours that are written at once, in one transaction where the sink has such."""


class Target(Protocol):
    """What a kind of sink must be able to do."""

    def opened(self) -> AbstractContextManager[None]:
        """Held open while it is filled. Raises SinkError when it cannot be."""
        ...

    def position(self) -> Position | None:
        """What it has."""
        ...

    def held(self) -> Collection[str]:
        """The hours that it has rows of."""
        ...

    def put(self, hours: Collection[str], then: Position | None) -> int:
        """Makes these hours the ones of the table as it stands now, and notes ``then``; gives the rows of those that
        have changed."""
        ...


@dataclass(frozen=True)
class Filled:
    """What became of a sink: the rows of the hours that it was sent, the version that it has, how many hours it still
    lacks, and why it does not take them, if it does not. One that was ``skipped`` was not asked; ``unset`` says that it
    would be, if a setting said where it is."""

    sink: Sink
    rows: int = 0
    hours: int = 0
    version: int | None = None
    lacking: int = 0
    trouble: Trouble | None = None
    refused: bool = False
    skipped: str | None = None
    unset: bool = False

    @property
    def waits(self) -> bool:
        """Whether it lacks rows that it is to get."""
        return self.trouble is not None or self.lacking > 0


def fill(lake: Lake, settings: Settings, sinks: Iterable[Sink], *, at_once: bool = False) -> list[Filled]:
    """Gives each sink what it lacks of its stream's table. A sink that failed rests first, unless ``at_once``.

    Safe to be killed anywhere, and to be called by several processes at once.
    """
    return [_filled(lake, settings, sink, at_once) for sink in sinks]


def _filled(lake: Lake, settings: Settings, sink: Sink, at_once: bool) -> Filled:
    if why := _apart(settings, sink):
        return Filled(sink, skipped=why)
    if sink.kind == "database_table" and settings.sink_database_url is None and is_remote(settings.root):
        return Filled(sink, skipped=f"not filled: {NO_DATABASE}", unset=True)
    trouble = trouble_of(lake, sink)
    if trouble is not None and clock.utc_now() < trouble.next_try and not at_once:
        return Filled(sink, trouble=trouble)
    progress = _Progress()
    refused, why = False, None
    try:
        _fill(lake, settings, sink, progress)
    except Overtaken as error:
        why = f"{error}; it goes on with the next run"
        return Filled(sink, progress.rows, progress.hours, progress.version, progress.lacking, trouble, skipped=why)
    except SinkError as error:
        refused, why = isinstance(error, SinkRefused), str(error)
    except Exception as error:  # whatever a driver raises is this sink's own
        why = f"{type(error).__name__}: {error}"
    if why is not None:
        trouble = note_trouble(lake, sink, _told(sink, why), trouble, clock.utc_now())
    elif trouble is not None:
        end_trouble(lake, sink)
        trouble = None
    return Filled(sink, progress.rows, progress.hours, progress.version, progress.lacking, trouble, refused)


@dataclass
class _Progress:
    rows: int = 0
    hours: int = 0
    version: int | None = None
    lacking: int = 0


def _fill(lake: Lake, settings: Settings, sink: Sink, progress: _Progress) -> None:
    target = _target(lake, settings, sink)
    with target.opened():
        # The position first: of two at once, none notes that it has more than it has read.
        position = target.position()
        pinned = pin(sink.table(lake))
        progress.version = None if position is None else position.version
        if pinned is None:
            return
        hours = hours_since(position, pinned, target.held)
        progress.lacking = len(hours)
        then = Position.of(pinned)
        if position != then:
            _put(target, hours, then, progress)


def _put(target: Target, hours: list[str], then: Position, progress: _Progress) -> None:
    for first in range(0, max(len(hours), 1), TOGETHER):
        together = hours[first : first + TOGETHER]
        last = progress.lacking == len(together)
        progress.rows += target.put(together, then if last else None)
        progress.hours += len(together)
        progress.lacking -= len(together)
    progress.version = then.version


def _told(sink: Sink, why: str) -> str:
    """Why, on one line that names the sink; a driver may quote rows, at any length."""
    line = " ".join(without_secrets(why).split())
    return shown_text(line if line.startswith(sink.who) else f"{sink.who}: {line}")


def _apart(settings: Settings, sink: Sink) -> str | None:
    """Why a lake that is a branch does not fill a sink outside of it: it would overwrite what the real one wrote."""
    if settings.branch is None:
        return None
    outside = {
        "files": False,
        "database_table": settings.sink_database_url is not None,
        "event_hub": uses_azure(settings) or settings.sources is not None,
    }
    return f"the branch {settings.branch} fills no sink outside of its lake" if outside[sink.kind] else None


def _target(lake: Lake, settings: Settings, sink: Sink) -> Target:
    match sink.kind:
        case "files":
            from dagster_lake.streams.sinks.files import FileSink

            return FileSink(lake, settings, sink)
        case "database_table":
            from dagster_lake.streams.sinks.database import DatabaseSink

            return DatabaseSink(lake, settings, sink)
        case "event_hub":
            from dagster_lake.streams.sinks.hub import HubSink

            return HubSink(lake, settings, sink)
        case _:
            assert_never(sink.kind)
