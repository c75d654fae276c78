"""The tables that a lake's folders hold, found by looking, so that a lake is readable without its contracts."""

from collections.abc import Iterator
from dataclasses import dataclass

from upath import UPath

from dagster_lake.storage.manifest import landed_partitions
from dagster_lake.storage.paths import LAYERS, Lake

ONLY_HERE = {
    "streams.alert_notices": "which alerts were told, so that they are told once",
    "streams.alert_deliveries": "which alerts the webhook got",
}
"""Tables that are made from no other layer, and what is known through them alone."""


@dataclass(frozen=True)
class LakeTable:
    """One Delta table. ``sensitive`` tables hold PII in clear, or may."""

    layer: str
    plain_name: str
    uri: UPath
    sensitive: bool

    @property
    def name(self) -> str:
        """The name that SQL and messages use: ``silver.users``."""
        return f"{self.layer}.{self.plain_name}"


@dataclass(frozen=True)
class RawDataSet:
    """The landed partitions of one data set: lake hours or snapshots, oldest first. ``uri`` is their folder."""

    name: str
    uri: UPath
    partitions: tuple[str, ...]


def tables(lake: Lake) -> list[LakeTable]:
    """Every Delta table of the lake that may be read, by layer and name."""
    return [table for layer in LAYERS for table in sorted(_layer(lake, layer), key=lambda t: t.plain_name)]


def raw_data_sets(lake: Lake) -> list[RawDataSet]:
    """What has landed in raw, by data set; a partition without its manifest has not landed."""
    found = []
    for zone, _ in lake.zones:
        for folder in _folders(zone / "raw"):
            found.append(RawDataSet(folder.name, folder, tuple(landed_partitions(folder))))
    return sorted(found, key=lambda data_set: data_set.name)


def _layer(lake: Lake, layer: str) -> Iterator[LakeTable]:
    for zone, sensitive in lake.zones:
        for folder in _folders(zone / layer):
            if (folder / "_delta_log").exists():
                yield LakeTable(layer, folder.name, folder, sensitive)


def _folders(parent: UPath) -> list[UPath]:
    return [entry for entry in parent.iterdir() if entry.is_dir()] if parent.exists() else []
