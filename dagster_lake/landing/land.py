"""Landing: what the rest of the lake uses to bring sources into raw and to find what was landed."""

from collections.abc import Iterable

from dagster_lake.contract.model import Contract
from dagster_lake.lake_hour import HourRange
from dagster_lake.landing.hours import land_hours, late_commits
from dagster_lake.landing.result import Landed, LandingError, Skipped, Unreadable
from dagster_lake.landing.snapshot import holds, land_snapshot, newest_snapshot
from dagster_lake.storage.manifest import Manifest, landed_partitions, read_manifest
from dagster_lake.storage.paths import Lake

__all__ = [
    "Landed",
    "LandingError",
    "Skipped",
    "Unreadable",
    "holds",
    "lacking_hours",
    "land_hours",
    "land_snapshot",
    "landed_among",
    "late_commits",
    "manifests",
    "newest_snapshot",
    "partitions",
]


def manifests(lake: Lake, contract: Contract, partitions: Iterable[str]) -> list[Manifest]:
    """The manifest of each partition (hour or snapshot key), in the order given.

    Raises LandingError for a partition that is not landed.
    """
    found = []
    for partition in partitions:
        manifest = read_manifest(lake.raw_partition(contract.name, partition, sensitive=contract.sensitive))
        if manifest is None:
            raise LandingError(f"{contract.name}, {partition}: is not landed; materialise its raw asset first")
        found.append(manifest)
    return found


def landed_among(lake: Lake, contract: Contract, hours: HourRange) -> list[str]:
    """Those of the hours that are landed, in order."""
    raw = lake.raw(contract.name, sensitive=contract.sensitive)
    days = sorted({key.partition("T")[0] for key in hours.keys})
    landed = {key for day in days for key in landed_partitions(raw, day)}
    return [key for key in hours.keys if key in landed]


def lacking_hours(lake: Lake, contract: Contract, hours: HourRange) -> list[str]:
    """Those of the hours that a data set lacks, since the first one that it ever landed.

    The history is listed only where it decides: when hours lack, and none before them is among ``hours``.
    """
    landed = landed_among(lake, contract, hours)
    lacking = sorted({*hours.keys} - {*landed})
    if lacking and not (landed and landed[0] < lacking[0]):
        landed = partitions(lake, contract)
    return [key for key in lacking if landed and landed[0] < key]


def partitions(lake: Lake, contract: Contract) -> list[str]:
    """The keys of every landed partition, oldest first."""
    return landed_partitions(lake.raw(contract.name, sensitive=contract.sensitive))
