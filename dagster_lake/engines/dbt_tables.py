"""What a dbt run pins of the lake, and what it leaves there, on every engine."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from upath import UPath

from dagster_lake.storage.delta import Pinned, pin
from dagster_lake.storage.paths import Lake

LAYERS = ("gold", "streams", "silver")
"""What dbt sees. What it makes is pinned before silver: whoever writes gold between our pins read silver no older
than we do, and whoever writes it later is noticed when we store."""


@dataclass(frozen=True)
class Written:
    """What storing one model left: the table's new version, and the partitions that were replaced, if not all."""

    pinned: Pinned
    partitions: tuple[str, ...] | None

    def also(self, earlier: tuple[str, ...] | None) -> "Written":
        """The same after another run that had replaced ``earlier``."""
        if self.partitions is None or earlier is None:
            return replace(self, partitions=None)
        return replace(self, partitions=tuple(sorted({*earlier, *self.partitions})))


def pin_lake(lake: Lake) -> dict[str, Pinned]:
    """The newest version of every table that dbt sees, by ``layer.table``."""
    found: dict[str, Pinned] = {}
    for layer in LAYERS:
        found |= pin_tables(lake, (f"{layer}.{uri.name}" for uri in _tables(lake, layer)))
    return found


def pin_tables(lake: Lake, tables: Iterable[str]) -> dict[str, Pinned]:
    """The newest version of each of the named tables that exist."""
    names = list(tables)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda table: pin(lake.table(*table.split("."))), names))
    return {name: pinned for name, pinned in zip(names, found, strict=True) if pinned is not None}


def _tables(lake: Lake, layer: str) -> list[UPath]:
    folder = lake.table(layer, "any").parent
    return sorted(uri for uri in folder.iterdir() if uri.is_dir()) if folder.exists() else []
