"""Where everything in the lake lives: one class knows the layout, local or remote."""

import json
import re
from dataclasses import dataclass
from pathlib import Path

from upath import UPath

FORMAT_VERSION = 1
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
_PARTITION = re.compile(r"^[0-9A-Za-z][0-9A-Za-z_.-]{0,62}$")
LAYERS = ("bronze", "silver", "gold", "quarantine")


class LakeFormatError(Exception):
    """The folder holds a lake of another format than this version of dagster_lake reads."""


@dataclass(frozen=True)
class Lake:
    """The layout of one lake below ``root``.

    ``sensitive`` data (raw, bronze and quarantine of a data set with PII) lives below ``sensitive/``; every other
    zone holds masked values only. Names are checked, so that no path can leave the lake.
    """

    root: UPath

    @classmethod
    def at(cls, root: str) -> "Lake":
        """The lake at ``root``, created when absent.

        Raises LakeFormatError when the folder holds a lake of another format, or cannot hold one by its name.
        """
        if set(root) & set("*?[]"):
            raise LakeFormatError(
                f"{root!r} cannot hold a lake: engines read *, ?, [ and ] as patterns; rename the folder"
            )
        lake = cls(UPath(root))
        marker = lake.marker
        if not marker.exists():
            marker.parent.mkdir(parents=True, exist_ok=True)
            marker.write_text(json.dumps({"format_version": FORMAT_VERSION}) + "\n")
            return lake
        found = json.loads(marker.read_text()).get("format_version")
        if found != FORMAT_VERSION:
            raise LakeFormatError(
                f"{marker} says format_version {found}; this version of dagster_lake reads {FORMAT_VERSION}. "
                "Move the folder away and build it anew (`lake reset`, `lake demo`), or install the version it names."
            )
        return lake

    @property
    def marker(self) -> UPath:
        """The file that carries the lake's format version."""
        return self.root / "lake.json"

    def table(self, layer: str, name: str, *, sensitive: bool = False) -> UPath:
        """The folder of one Delta table."""
        if layer not in LAYERS:
            raise ValueError(f"{layer!r} is not a layer of the lake; the layers are {', '.join(LAYERS)}")
        return self._zone(sensitive) / layer / _checked(name, _NAME)

    def raw(self, data_set: str, *, sensitive: bool = False) -> UPath:
        """The folder of a data set's raw partitions."""
        return self._zone(sensitive) / "raw" / _checked(data_set, _NAME)

    def raw_partition(self, data_set: str, partition: str, *, sensitive: bool = False) -> UPath:
        """The folder of one raw partition: a lake hour or a snapshot."""
        return self.raw(data_set, sensitive=sensitive) / _checked(partition, _PARTITION)

    def landing(self, data_set: str) -> UPath:
        """The drop folder of a data set that arrives as files."""
        return self.root / "landing" / _checked(data_set, _NAME)

    @property
    def sources(self) -> UPath:
        """Where the embedded source systems live; they stand in for the outside world."""
        return self.root / "sources"

    @property
    def reports(self) -> UPath:
        """Where rendered reports are kept."""
        return self.root / "reports"

    def _zone(self, sensitive: bool) -> UPath:
        return self.root / "sensitive" if sensitive else self.root


def local_path(path: UPath) -> Path:
    """``path`` as an ordinary path. Raises ValueError for a remote one, which has none."""
    if path.protocol not in ("", "file"):
        raise ValueError(f"{path} is remote; the embedded sources, the landing folder and raw need a local lake so far")
    return Path(path.path)


def _checked(name: str, pattern: re.Pattern[str]) -> str:
    if not pattern.match(name):
        raise ValueError(f"{name!r} cannot name a folder of the lake; it must match {pattern.pattern}")
    return name
