"""The tables that a lake folder holds, found by looking, so that a lake is readable without its contracts."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import ValidationError
from upath import UPath

from dagster_lake.cli.errors import CommandError
from dagster_lake.cli.text import path_text
from dagster_lake.settings import Settings
from dagster_lake.storage.manifest import landed_partitions
from dagster_lake.storage.paths import LAYERS, Lake

EMPTY = "The lake is empty. Build one with:  lake demo"


@dataclass(frozen=True)
class LakeTable:
    """One Delta table. ``sensitive`` tables hold PII in clear."""

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
    """The landed partitions of one data set: lake hours or snapshots, oldest first."""

    name: str
    partitions: tuple[str, ...]


def settings() -> Settings:
    """The settings. Raises CommandError, naming the variable, for a value that cannot be used."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "_".join(str(part) for part in first["loc"]).upper()
        raise CommandError(f"LAKE_{name}: {first['msg']}; correct it in the environment or in .env") from None


def existing_lake(settings: Settings) -> Lake | None:
    """The lake at ``settings.root``; None when there is none yet, and none is made.

    Raises LakeFormatError for a lake of another format.
    """
    return Lake.of(settings) if Lake.placed(settings).exists() else None


def wanted_lake(settings: Settings) -> Lake:
    """The lake at ``settings.root``. Raises CommandError when there is none."""
    lake = existing_lake(settings)
    if lake is None:
        raise CommandError(
            f"there is no lake at {path_text(settings.root)}; build one with `lake demo`, or name one with --lake"
        )
    return lake


def tables(lake: Lake) -> list[LakeTable]:
    """Every Delta table of the lake, by layer and name."""
    return [table for layer in LAYERS for table in sorted(_layer(lake, layer), key=lambda t: t.plain_name)]


def find_table(catalog: list[LakeTable], name: str) -> LakeTable:
    """The table called ``silver.users``, ``silver/users``, or ``users`` where only one layer has it.

    Raises CommandError that lists near names.
    """
    wanted = name.replace("/", ".").lower()
    found = [t for t in catalog if wanted in (t.name, t.plain_name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise CommandError(f"{name!r} is in several layers; write one of: {', '.join(t.name for t in found)}")
    raise CommandError(f"there is no table {name!r}; {near_names(catalog, wanted)}")


def near_names(catalog: list[LakeTable], wanted: str) -> str:
    """The advice for a name that no table has: those that come near, or where to find them all."""
    if not catalog:
        return "the lake has no tables yet: build them with `lake demo`"
    near = get_close_matches(wanted, [t.name for t in catalog], n=3, cutoff=0.75)
    plain = get_close_matches(wanted.split(".")[-1], {t.plain_name for t in catalog}, n=1, cutoff=0.75)
    near += [t.name for t in catalog if t.plain_name in plain and t.name not in near]
    if near:
        return f"did you mean {' or '.join(near)}?"
    return "`lake status` lists the tables"


def raw_data_sets(lake: Lake) -> list[RawDataSet]:
    """What has landed in raw, by data set; a partition without its manifest has not landed."""
    found = []
    for zone in (lake.root, lake.root / "sensitive"):
        for folder in _folders(zone / "raw"):
            found.append(RawDataSet(folder.name, tuple(landed_partitions(folder))))
    return sorted(found, key=lambda data_set: data_set.name)


def _layer(lake: Lake, layer: str) -> Iterator[LakeTable]:
    for zone, sensitive in ((lake.root, False), (lake.root / "sensitive", True)):
        for folder in _folders(zone / layer):
            if (folder / "_delta_log").exists():
                yield LakeTable(layer, folder.name, folder, sensitive)


def _folders(parent: UPath) -> list[UPath]:
    return [entry for entry in parent.iterdir() if entry.is_dir()] if parent.exists() else []
