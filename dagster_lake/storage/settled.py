"""Up to when a silent stream's events are all in silver: what neither raw nor silver says, since nothing lands.

``lake stream`` notes it in ``live/settled.json``, by the hub's own word; see ``live/final.py``. With it stands the
version of silver that held all of them: to who reads an older one it says nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dagster_lake.commit import commit
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.publish import publish


@dataclass(frozen=True)
class Settled:
    """All events that arrived ``until`` then are in silver from its ``version`` on."""

    until: datetime
    version: int


def settled_notes(lake: Lake) -> dict[str, Settled]:
    """What is noted, by data set."""
    file = lake.root / "live" / "settled.json"
    if not file.exists():
        return {}
    noted = json.loads(file.read_text()).items()
    return {name: Settled(datetime.fromisoformat(until), version) for name, (until, version) in noted}


def note_settled(lake: Lake, notes: Mapping[str, Settled]) -> None:
    """Notes these; those of other data sets stay."""
    after = {**settled_notes(lake), **notes}
    with commit("live.settled"):
        publish(
            lake.root / "live" / "settled.json",
            json.dumps({name: [one.until.isoformat(), one.version] for name, one in sorted(after.items())}) + "\n",
        )
