"""Finds what ``lake reset`` may remove, and removes it without ever leaving the lake's folder."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from dagster_lake.cli.shared.errors import CommandError
from dagster_lake.storage.marker import ASIDE, HISTORY, MARKER
from dagster_lake.storage.paths import LAYERS

FOLDERS = (
    *(*LAYERS, "raw", "landing", "sensitive", "sources", "stream_analytics", "live", "reports", "notices"),
    *("withheld", "unfinished", "sinks", "drops", "damaged", "before_upgrade", HISTORY),
)


@dataclass(frozen=True)
class LakeContents:
    """The entries of a lake's folder: what makes the lake, its marker last, and what somebody else put there."""

    root: Path
    wanted: tuple[Path, ...]
    foreign: tuple[Path, ...]


def lake_contents(root: str) -> LakeContents:
    """What the local lake at ``root`` consists of.

    Raises CommandError for a folder without the marker of a lake, and for a link to one.
    """
    folder = Path(root)
    if folder.is_symlink():
        raise CommandError(f"{folder} is a link to {os.readlink(folder)}; name that folder itself with --lake")
    if not (folder / MARKER).is_file():
        raise CommandError(f"{folder} is not a lake (it has no {MARKER}), so nothing was removed; name one with --lake")
    entries = sorted(folder.iterdir())
    parts = [entry for entry in entries if entry.name in (*FOLDERS, *ASIDE)]
    foreign = [entry for entry in entries if entry.name not in (*FOLDERS, *ASIDE, MARKER)]
    # The marker goes last: an interrupted reset leaves a lake that can be reset again.
    return LakeContents(folder, (*parts, folder / MARKER), tuple(foreign))


def remove(contents: LakeContents) -> None:
    """Removes them. A link is removed itself, and what it points at stays."""
    for path in contents.wanted:
        remove_path(path)
    if not contents.foreign:
        contents.root.rmdir()


def remove_path(path: Path) -> None:
    """Removes a file or a folder; of a link the link itself."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
