"""One part of an upgrade."""

from collections.abc import Callable
from dataclasses import dataclass

from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake

Say = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """``name`` stands in ``lake.json`` once it is done, and is never used for another. ``told`` says in a few lines
    what it would do to a lake, and changes nothing. ``run`` does it, and says how it goes; killed at any point and run
    again, it ends the same."""

    name: str
    told: Callable[[Lake, Settings], list[str]]
    run: Callable[[Lake, Settings, Say], None]
