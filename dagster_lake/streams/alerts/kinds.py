"""Which streams give alerts: those that declare ``config.meta.stream.alert``."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from dagster_lake.streams.declarations import StreamDeclaration

CHANNELS = "_channels"
"""The column by which rows of failures say to whom they go."""
FAILURE_SHOWS = ("what", "to_do", "owner")
"""What is told of a failure of the lake itself."""


@dataclass(frozen=True)
class AlertKind:
    """A stream whose rows are alerts.

    ``key`` are the columns that tell one row from another: of two with the same key, only one is ever told. ``inputs``
    are the event data sets that it follows from, ``look_back`` is the model's, in hours. ``worst`` is the number by
    which the worst comes first, ``shows`` are the only columns that leave the lake. A row is told once all events are
    known that arrived up to ``told_after`` after its ``_time``, for a window may still change until then; at once
    where that is None. ``channels`` are its own; without any it goes to those of its inputs' contracts.

    A failure of the lake itself is never too old to be told, goes alone, and its rows say themselves to whom, in
    ``CHANNELS``.
    """

    stream: str
    key: tuple[str, ...]
    inputs: tuple[str, ...]
    look_back: int
    worst: str
    shows: tuple[str, ...]
    told_after: timedelta | None
    happened: str | None = None
    channels: tuple[str, ...] = ()
    is_failure: bool = False


def alert_kinds(streams: Iterable[StreamDeclaration]) -> list[AlertKind]:
    """Those of the streams that give alerts."""
    return [
        AlertKind(
            stream=stream.name,
            key=tuple(stream.key),
            inputs=tuple(stream.inputs),
            look_back=stream.look_back_hours,
            worst=stream.alert.worst,
            shows=tuple(stream.alert.shows),
            told_after=None if (after := stream.alert.told_after_ms) is None else timedelta(milliseconds=after),
            happened=_happened(stream),
            channels=tuple(stream.alert.channels),
        )
        for stream in streams
        if stream.alert is not None
    ]


def _happened(stream: StreamDeclaration) -> str | None:
    """The column that holds the own time of the one event that a row is of: it is called as the input's."""
    [*times] = stream.inputs.values()
    return times[0] if len(times) == 1 and times[0] in stream.columns else None
