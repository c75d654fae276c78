"""Notes, for streams that have fallen silent, up to when silver holds all events: see ``storage.settled``."""

from collections.abc import Mapping
from datetime import datetime

from dagster_lake.contract.model import contracts
from dagster_lake.lake_hour import hour_key, hour_of
from dagster_lake.storage.delta.write import pin
from dagster_lake.storage.paths import Lake
from dagster_lake.storage.settled import Settled, note_settled
from dagster_lake.storage.tables import silver_table
from dagster_lake.storage.unfinished import unfinished


def note_time(lake: Lake, settled: Mapping[str, datetime]) -> bool:
    """Notes what is ``settled``, by data set: up to when its events have all landed. Whether there is anything to note.

    A data set whose silver was not made of all that has landed is left out.
    """
    behind = {(what, hour) for hour, names in unfinished(lake).items() for what in names}
    notes = {}
    for name, until in settled.items():
        if (name, hour_key(hour_of(until))) in behind:
            continue
        silver = pin(silver_table(lake, contracts()[name]).uri)  # after the look at what is unfinished
        if silver is not None:
            notes[name] = Settled(until, silver.version)
    if notes:
        note_settled(lake, notes)
    return bool(notes)
