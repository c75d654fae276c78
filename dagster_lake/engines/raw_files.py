"""The files that raw's manifests name, as plain data: what bronze needs of raw, wherever it is computed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dagster_lake.contract import Contract
from dagster_lake.storage.manifest import Manifest, landed_files
from dagster_lake.storage.paths import Lake


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


def raw_files(lake: Lake, contract: Contract, landed: Iterable[Manifest]) -> list[LandedFile]:
    """Every file of the landed partitions. Raises ManifestError for one that is missing or of another size."""
    found = []
    for manifest in landed:
        folder = lake.raw_partition(contract.name, manifest.partition, sensitive=contract.sensitive)
        numbers: dict[int, int] = {}
        for attempt, file, place in landed_files(folder, manifest):
            number = numbers[attempt.number] = numbers.get(attempt.number, 0) + 1
            label = file.source or f"{contract.name}/{manifest.partition}/{attempt.number}-{number}"
            found.append(LandedFile(str(place), manifest.partition, attempt.landed_at, label, file.modified))
    return found
