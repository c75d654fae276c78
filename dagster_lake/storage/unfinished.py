"""Which hours are not finished: ``<lake>/unfinished/<what>/<hour>``, a note from before the first change to the last.

``what`` is a data set, from its landing until its tables are made, or STREAMS or GOLD. A run that fails or is killed in
between leaves its note, and the hourly schedule takes the hour up again. There are as many notes as such hours, so that
looking for them costs the same however long the lake is.
"""

import os
from collections.abc import Collection, Iterable
from pathlib import Path

from upath import UPath

from dagster_lake.commit import commit
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.paths import Lake, local_path
from dagster_lake.storage.publish import publish, withdraw

STREAMS, GOLD = "streams.models", "gold.models"
"""What is made of silver: no data set has a point in its name."""

TAKEN_UP_HOURS = 48
"""How many hours before the one that just ended the hourly schedule takes up."""


def begin(lake: Lake, what: str, hours: Iterable[str]) -> None:
    """Notes that these hours are not finished; those that are noted stay as they are."""
    for hour in hours:
        note = _folder(lake) / what / hour
        if not _is_there(note):
            with commit(f"unfinished.{what}"):
                publish(note, "")


def end(lake: Lake, what: str, hours: Collection[str]) -> list[str]:
    """Forgets the notes of these hours; gives the hours that had one."""
    noted = {hour for _, hour in _notes(_folder(lake) / what)} if hours else set()
    ended = sorted(noted.intersection(hours))
    for hour in ended:
        note = _folder(lake) / what / hour
        with commit(f"unfinished.{what}"):
            withdraw(note)
    return ended


def unfinished(lake: Lake) -> dict[str, list[str]]:
    """What is not finished, by hour, oldest first."""
    found: dict[str, list[str]] = {}
    for what, hour in sorted(_notes(_folder(lake))):
        found.setdefault(hour, []).append(what)
    return dict(sorted(found.items()))


def _folder(lake: Lake) -> UPath:
    return lake.root / "unfinished"


def _notes(folder: UPath) -> list[tuple[str, str]]:
    if is_adls(folder):
        from dagster_lake.storage.adls.blobs import list_blobs

        return [(blob.path.parent.name, blob.path.name) for blob in list_blobs(folder)]
    return [
        (Path(place).name, name)
        for place, _, names in os.walk(local_path(folder))
        for name in names
        if not name.startswith(".")  # one that is just being written
    ]


def _is_there(note: UPath) -> bool:
    if is_adls(note):
        from dagster_lake.storage.adls.blobs import etag_of

        return etag_of(note) is not None
    return note.exists()
