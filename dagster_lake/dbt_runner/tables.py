"""What a dbt run pins of the lake, and what it leaves there, on every engine."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from upath import UPath

from dagster_lake.storage.damage import TableDamaged
from dagster_lake.storage.delta.write import DeltaWriteError, Pinned, pin
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
    """The newest version of every table that dbt sees, by ``layer.table``; not of those that ``damaged_tables`` tells:
    what does not read them goes on."""
    found: dict[str, Pinned] = {}
    for layer in LAYERS:
        names = [f"{layer}.{uri.name}" for uri in _tables(lake, layer)]
        damaged = damaged_tables(lake, names)
        found |= pin_tables(lake, (name for name in names if name not in damaged))
    return found


def damaged_tables(lake: Lake, tables: Iterable[str]) -> dict[str, str]:
    """Those of the named tables whose log cannot be read, and why."""

    def damage(table: str) -> str | None:
        try:
            pin(lake.table(*table.split(".")))
        except (TableDamaged, DeltaWriteError) as error:
            return str(error)
        return None

    names = list(tables)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(damage, names))
    return {name: why for name, why in zip(names, found, strict=True) if why is not None}


def pin_tables(lake: Lake, tables: Iterable[str]) -> dict[str, Pinned]:
    """The newest version of each of the named tables that exist."""
    names = list(tables)
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda table: pin(lake.table(*table.split("."))), names))
    return {name: pinned for name, pinned in zip(names, found, strict=True) if pinned is not None}


def _tables(lake: Lake, layer: str) -> list[UPath]:
    folder = lake.table(layer, "any").parent
    return sorted(uri for uri in folder.iterdir() if uri.is_dir()) if folder.exists() else []
