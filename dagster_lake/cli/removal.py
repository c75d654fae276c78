"""Finds what ``lake reset`` may remove, and removes it without ever leaving the lake's folder."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from dagster_lake.cli.errors import CommandError
from dagster_lake.settings import PROJECT_ROOT
from dagster_lake.storage.marker import ASIDE, MARKER
from dagster_lake.storage.paths import LAYERS

FOLDERS = (
    *(*LAYERS, "raw", "landing", "sensitive", "sources", "stream_analytics", "live", "reports", "notices"),
    *("withheld", "unfinished", "damaged", "before_upgrade"),
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


def history_folder() -> Path | None:
    """The project's folder of Dagster's runs and logs, where there is one."""
    folder = PROJECT_ROOT / ".dagster"
    return folder if folder.is_dir() and not folder.is_symlink() else None


def remove(contents: LakeContents, history: Path | None) -> None:
    """Removes them. A link is removed itself, and what it points at stays."""
    for path in contents.wanted:
        _remove(path)
    if not contents.foreign:
        contents.root.rmdir()
    if history is not None:
        _remove(history)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
