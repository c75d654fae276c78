"""The files that raw's manifests name."""

from collections.abc import Iterable

from dagster_lake.contract.model import Contract
from dagster_lake.engines.landed import LandedFile, LandedPartition
from dagster_lake.landing.land import manifests
from dagster_lake.storage.manifest import Manifest, landed_files
from dagster_lake.storage.paths import Lake


def landed_partitions(lake: Lake, contract: Contract, partitions: Iterable[str]) -> list[LandedPartition]:
    """What raw holds of the named partitions, in the order given.

    Raises LandingError for one that is not landed, ManifestError where files differ from their manifest.
    """
    return [
        LandedPartition(manifest.partition, manifest.rows, tuple(raw_files(lake, contract, [manifest])))
        for manifest in manifests(lake, contract, partitions)
    ]


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
