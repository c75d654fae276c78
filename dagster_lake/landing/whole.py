"""Whether a delivery is whole: nobody is still writing it.

A file's own time does not tell: `mv`, `tar`, `cp -p` and `rsync -t` keep old times, so that a folder which is filled
this very second looks as if it had been quiet for years. So a folder is taken when two looks at it, some seconds apart,
found the same names, sizes and times; or, where the contract names a marker file, when that was written anew.

The first of the two looks is noted beside the data set's raw, so that the second may be another run's or the sensor's.
Who has written files himself, and knows that they are whole, notes it the same way.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from upath import UPath

from dagster_lake import clock
from dagster_lake.commit import commit
from dagster_lake.contract.model import Contract, FileSource
from dagster_lake.landing.dropped import Dropped, look_into
from dagster_lake.landing.result import Unreadable
from dagster_lake.storage.manifest import Manifest
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.publish import publish, published

SETTLED = timedelta(seconds=5)
NOTE_NAME = ".listing.json"


@dataclass(frozen=True)
class _Note:
    """What a folder looked like, and since when; ``whole`` is said by who has written all of it."""

    listing: str
    seen: datetime
    whole: bool


def why_not_whole(contract: Contract, lake: Lake, dropped: Dropped, previous: Manifest | None) -> str | None:
    """Why what was dropped is not taken yet; None when it is whole.

    ``previous`` is the newest snapshot. A look that is the first to find the folder as it is gets noted.
    """
    assert isinstance(contract.source, FileSource)
    if contract.source.marker is not None:
        return _why_not_marked(contract.source.marker, dropped, previous)
    note, now = _read(contract, lake), clock.utc_now()
    if note is not None and note.listing == dropped.listing:
        if note.whole or now - note.seen >= SETTLED:
            return None
    else:
        _write(contract, lake, _Note(dropped.listing, now, whole=False))
    return f"they changed within the last {SETTLED.seconds} s, so that somebody may still be writing"


def look_twice(
    contract: Contract, lake: Lake, dropped: Dropped, previous: Manifest | None, others: Iterable[Contract]
) -> tuple[Dropped, str | None]:
    """What was dropped, and why it is not taken yet: as ``why_not_whole``, after a wait for the second look.

    The first look is at the folders of ``others`` too, so that a run waits once and not for each data set.
    """
    assert isinstance(contract.source, FileSource)
    why = why_not_whole(contract, lake, dropped, previous)
    if why is None or contract.source.marker is not None:
        return dropped, why
    for other in others:
        _note_first_look(other, lake)
    clock.wait(SETTLED)
    again = look_into(lake.landing(contract.name), contract.source)
    if again.listing == dropped.listing:
        return again, None
    return again, why_not_whole(contract, lake, again, previous)


def tell_whole(contract: Contract, lake: Lake, is_own: Callable[[str], bool]) -> None:
    """Notes that the landing folder is whole as it stands, for one who has just written what ``is_own`` says of it.

    Says nothing where files of somebody else lie there too: these may still be growing.
    """
    assert isinstance(contract.source, FileSource)
    dropped = look_into(lake.landing(contract.name), contract.source)
    if all(is_own(file.source) for file in dropped.files):
        _write(contract, lake, _Note(dropped.listing, clock.utc_now(), whole=True))


def _why_not_marked(marker: str, dropped: Dropped, previous: Manifest | None) -> str | None:
    if dropped.marker is None:
        return f"{marker} is not there, which the contract names as the sign that a delivery is whole"
    if previous is not None and dropped.marker == previous.marker:
        return f"{marker} was not written anew since snapshot {previous.partition}"
    return None


def _note_first_look(contract: Contract, lake: Lake) -> None:
    if not isinstance(contract.source, FileSource) or contract.source.marker is not None:
        return
    try:
        dropped = look_into(lake.landing(contract.name), contract.source)
    except Unreadable:
        return  # told by its own landing
    note = _read(contract, lake)
    if dropped.files and (note is None or note.listing != dropped.listing):
        _write(contract, lake, _Note(dropped.listing, clock.utc_now(), whole=False))


def _read(contract: Contract, lake: Lake) -> _Note | None:
    content = published(_place(contract, lake))
    try:
        found = json.loads(content or b"")
        return _Note(found["listing"], datetime.fromisoformat(found["seen"]), found["whole"])
    except (ValueError, KeyError, TypeError):
        return None  # a note that cannot be read costs a look


def _write(contract: Contract, lake: Lake, note: _Note) -> None:
    text = json.dumps({"listing": note.listing, "seen": note.seen.isoformat(), "whole": note.whole}) + "\n"
    with commit(f"raw.{contract.name}.listing"):
        publish(_place(contract, lake), text)


def _place(contract: Contract, lake: Lake) -> UPath:
    return lake.raw(contract.name, sensitive=contract.sensitive) / NOTE_NAME
