"""Where everything in the lake lives: one class knows the layout, local or remote."""

import errno
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from upath import UPath

from dagster_lake.errors import LakeError
from dagster_lake.settings.lake import PROJECT_ROOT, Settings
from dagster_lake.storage.marker import MARKER, change_marker, read_marker

FORMAT_VERSION = 2
"""2: raw, bronze and quarantine of whatever arrives as text lie below ``sensitive/``. Whoever raises it adds the steps
that lead there to ``upgrade.versions``."""

_CHANGES = {1: "Since 2, raw, bronze and quarantine of all that arrives as text lie below sensitive/. "}
DEFAULT_FIRST_HOUR = "2026-01-01T00"
"""The first hour where no setting says another, and that of a lake whose marker says none."""
_NAME = re.compile(r"^[a-z][a-z0-9_]{0,62}$")
_PARTITION = re.compile(r"^[0-9A-Za-z][0-9A-Za-z_.-]{0,62}$")
LAYERS = ("bronze", "silver", "streams", "gold", "quarantine")


class LakeFormatError(LakeError):
    """The folder holds a lake of another format than this version of dagster_lake reads."""


@dataclass(frozen=True)
class Lake:
    """The layout of one lake below ``root``.

    ``sensitive`` data (raw, bronze and quarantine of a data set that holds PII, or free text from outside, which may)
    lives below ``sensitive/``, a folder that on this machine only its owner enters; every other zone holds masked
    values only. Names are checked, so that no path can leave the lake. ``own_sources`` is where the embedded source
    systems live when not below ``root``.
    """

    root: UPath
    own_sources: Path | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Lake":
        """The lake that the settings name, created when absent; its first hour moves back where the settings say so.

        Raises LakeFormatError as ``at`` does, and StorageError for a remote lake that cannot be reached.
        """
        return cls.placed(settings)._opened(settings.first_hour)

    @classmethod
    def placed(cls, settings: Settings) -> "Lake":
        """The layout of the lake that the settings name, whether or not there is one; nothing is read or written."""
        if not is_remote(settings.root):
            return cls(_local_root(settings.root), settings.sources)
        from dagster_lake.storage.adls.options import adls_root

        return cls(adls_root(settings), settings.sources or PROJECT_ROOT / ".lake-sources")

    @classmethod
    def at(cls, root: str) -> "Lake":
        """The lake in the local folder ``root``, created when absent.

        Raises LakeFormatError when the folder holds a lake of another format, or cannot hold one by its name.
        """
        return cls(_local_root(root))._opened(None)

    def exists(self) -> bool:
        """Whether there is a lake, of whatever format."""
        return self._read_marker() is not None

    def first_hour(self) -> str | None:
        """The key of the first hour, as the lake keeps it; None where there is no lake."""
        text = self._read_marker()
        return None if text is None else _first_hour_of(self.content_of(text))

    def move_first_hour_back(self, to: str) -> None:
        """Stores ``to`` (an hour's key) as the first hour, unless that is as early already: it never moves forward."""
        change_marker(
            self.root, lambda held: {**held, "first_hour": to} if held and to < _first_hour_of(held) else None
        )

    def _opened(self, first_hour: str | None) -> "Lake":
        text = self._read_marker()
        if text is None:
            made = {"format_version": FORMAT_VERSION, "first_hour": first_hour or DEFAULT_FIRST_HOUR}
            change_marker(self.root, lambda held: made if held is None else None)
            text = self._read_marker() or json.dumps(made)
        self._check(text)
        if first_hour is not None and first_hour < _first_hour_of(self.content_of(text)):
            self.move_first_hour_back(first_hour)
        self.shut_sensitive()
        return self

    def shut_sensitive(self) -> None:
        """Makes the sensitive zone of a local lake a folder that only its owner enters."""
        if isinstance(self.root, Path):
            _shut(Path(self._zone(True)))

    def check_format(self) -> None:
        """Raises LakeFormatError when there is a lake of another format."""
        text = self._read_marker()
        if text is not None:
            self._check(text)

    def content_of(self, text: str) -> dict[str, Any]:
        """What a marker's text says. Raises LakeFormatError for one that is damaged."""
        try:
            content: Any = json.loads(text)
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise LakeFormatError(
                f"{self.marker} is damaged; if this is a lake of this version, write "
                f'{{"format_version": {FORMAT_VERSION}, "first_hour": "..."}} into it, with its first hour'
            )
        return content

    def _check(self, text: str) -> None:
        found: Any = self.content_of(text).get("format_version")
        if found != FORMAT_VERSION:
            raise LakeFormatError(
                f"{self.marker} says format_version {found}; this version of dagster_lake reads {FORMAT_VERSION}. "
                f"{_CHANGES.get(found, '')}{_remedy(found)}"
            )

    def _read_marker(self) -> str | None:
        return read_marker(self.root)

    @property
    def marker(self) -> UPath:
        """The file that carries the lake's format version and its first hour."""
        return self.root / MARKER

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

    def drop(self, folder: str) -> UPath:
        """A folder of files that a stream's sink fills, for others to take."""
        return self.root / "drops" / _checked(folder, _NAME)

    @property
    def sources(self) -> Path:
        """Where the embedded source systems live, on this machine; they stand in for the outside world."""
        return self.own_sources or local_path(self.root) / "sources"

    def file(self, address: str) -> UPath:
        """The path of a file of this lake by its address, as ``str`` of its path gives it.

        Raises ValueError for one outside the lake.
        """
        root = f"{str(self.root).rstrip('/')}/"
        if not address.startswith(root):
            raise ValueError(f"{address} is not in the lake {self.root}")
        return self.root / address[len(root) :]

    @property
    def zones(self) -> tuple[tuple[UPath, bool], ...]:
        """The folders of the zones that may be read here, and whether each is the sensitive one."""
        shut = isinstance(self.root, Path) and _is_shut(Path(self._zone(True)))
        return ((self.root, False),) if shut else ((self.root, False), (self._zone(True), True))

    @property
    def reports(self) -> UPath:
        """Where rendered reports are kept."""
        return self.root / "reports"

    def _zone(self, sensitive: bool) -> UPath:
        return self.root / "sensitive" if sensitive else self.root


def _remedy(found: object) -> str:
    if isinstance(found, str) and found.endswith(f" to {FORMAT_VERSION}"):
        return "An upgrade was begun and has not ended: `lake upgrade` goes on with it."
    if isinstance(found, int) and 1 <= found < FORMAT_VERSION:
        return "`lake upgrade --dry-run` says what it takes to bring it to that, and `lake upgrade` does it."
    return "Install the version of dagster_lake that made it, or use another folder with --lake."


def _first_hour_of(marker: dict[str, Any]) -> str:
    return str(marker.get("first_hour", DEFAULT_FIRST_HOUR))


def _shut(folder: Path) -> None:
    """Makes ``folder`` one that only its owner enters, so that whatever any engine writes below is out of reach."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
    except OSError as error:
        # Somebody who only reads the other zones, or a disk that nobody writes to.
        if error.errno not in (errno.EPERM, errno.EACCES, errno.EROFS):
            raise


def _is_shut(folder: Path) -> bool:
    try:
        with os.scandir(folder):
            return False
    except FileNotFoundError:
        return False
    except PermissionError:
        return True


def is_remote(root: str) -> bool:
    """Whether ``root`` is a URL rather than a folder on this machine."""
    return "://" in root


def local_path(path: UPath) -> Path:
    """``path`` as an ordinary path. Raises ValueError for a remote one, which has none."""
    if path.protocol not in ("", "file"):
        raise ValueError(f"{path} is remote, and only a folder on this machine or in ADLS Gen2 can hold this")
    return Path(path.path)


def _local_root(root: str) -> UPath:
    if set(root) & set("*?[]"):
        raise LakeFormatError(f"{root!r} cannot hold a lake: engines read *, ?, [ and ] as patterns; rename the folder")
    return UPath(root)


def _checked(name: str, pattern: re.Pattern[str]) -> str:
    if not pattern.match(name):
        raise ValueError(f"{name!r} cannot name a folder of the lake; it must match {pattern.pattern}")
    return name
