"""Sinks in trouble: ``<lake>/sinks/trouble/<sink>``, a note from the first try that failed to the one that does not.

It says why, and when the sink is tried again, so that every process rests alike, and whoever tells of failures knows.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from upath import UPath

from dagster_lake.commit import commit
from dagster_lake.storage.guarded import look
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.publish import publish, withdraw
from dagster_lake.streams.sinks.place import Place
from dagster_lake.streams.sinks.sink import Sink

FIRST_REST, LONGEST_REST = timedelta(seconds=15), timedelta(minutes=15)
TRIED_WITHIN = timedelta(days=1)


@dataclass(frozen=True)
class Trouble:
    """Why a sink does not take its rows, since when, how often it was tried, and when it is tried again."""

    data_sets: tuple[str, ...]
    who: str
    why: str
    since: datetime
    tries: int
    next_try: datetime

    @property
    def why_alone(self) -> str:
        """Why, without the name of the sink, for who says that beside."""
        return self.why.removeprefix(f"{self.who}: ")


def trouble_of(lake: Lake, sink: Sink) -> Trouble | None:
    """What is noted of a sink."""
    return _read(_folder(lake) / sink.id)


def note_trouble(lake: Lake, sink: Sink, why: str, before: Trouble | None, now: datetime) -> Trouble:
    """Notes that a try has failed. The sink rests twice as long each time, for a quarter of an hour at most."""
    tries = 1 if before is None else before.tries + 1
    rest = min(FIRST_REST * 2 ** min(tries - 1, 10), LONGEST_REST)
    trouble = Trouble(sink.data_sets, sink.who, why, now if before is None else before.since, tries, now + rest)
    document = {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in asdict(trouble).items()
    }
    with commit(f"sink.{sink.id}.trouble"):
        publish(_folder(lake) / sink.id, json.dumps(document))
    return trouble


def end_trouble(lake: Lake, sink: Sink) -> None:
    """Forgets the note."""
    with commit(f"sink.{sink.id}.trouble"):
        withdraw(_folder(lake) / sink.id)


def troubles(lake: Lake, now: datetime) -> list[Trouble]:
    """What is noted of any sink that somebody still tries to fill: what nobody tries for a day, no stream declares any
    more."""
    folder = _folder(lake)
    found = (_read(folder / name) for name in Place.names(folder))
    return [trouble for trouble in found if trouble is not None and now - trouble.next_try < TRIED_WITHIN]


def _folder(lake: Lake) -> UPath:
    return lake.root / "sinks" / "trouble"


def _read(note: UPath) -> Trouble | None:
    content = look(note).content
    if content is None:
        return None
    document = json.loads(content)
    for name in ("since", "next_try"):
        document[name] = datetime.fromisoformat(document[name])
    return Trouble(**{**document, "data_sets": tuple(document["data_sets"])})
