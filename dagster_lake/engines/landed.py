"""What bronze needs to know of raw, as plain data that can travel to where bronze is computed."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class LandedFile:
    """One raw file: where it is, and what its rows are to know of it.

    ``label`` is ``_source_file`` for rows that do not name their own: the dropped file's name, or the data set with
    the number of the attempt and file, so that it says the same however often raw was landed.
    """

    place: str
    partition: str
    landed_at: datetime
    label: str
    modified: datetime | None


@dataclass(frozen=True)
class LandedPartition:
    """What raw holds of one partition: its files, and how many rows their manifest counts."""

    partition: str
    rows: int
    files: tuple[LandedFile, ...]
