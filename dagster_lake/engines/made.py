"""Whether the tables of an hour were made of what raw holds: its note of being unfinished goes and comes by that."""

from collections.abc import Collection

from dagster_lake.contract.model import Contract
from dagster_lake.engines.judged import raw_of, raw_read
from dagster_lake.storage import unfinished
from dagster_lake.storage.paths import Lake


def tables_made(lake: Lake, contract: Contract, hours: Collection[str]) -> None:
    """To be called when all tables of a data set's ``hours`` were made, from bronze to the newest rows."""
    for hour in unfinished.end(lake, contract.name, hours):
        # Looked at when the note is gone: whoever lands after that writes it anew.
        note_unmade(lake, contract, [hour])


def note_unmade(lake: Lake, contract: Contract, hours: Collection[str]) -> None:
    """Notes as unfinished those of a data set's ``hours`` of which raw holds something that bronze was not made of.

    For a landing that leaves no notes itself. It does not matter how long ago that was, or what died since.
    """
    for hour in hours:
        landed = raw_of(lake, contract, hour)
        if landed is not None and raw_read(lake, contract, hour) is None:
            unfinished.begin(lake, contract.name, [hour])
