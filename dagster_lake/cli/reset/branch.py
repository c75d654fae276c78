"""Finds and removes the lakes of branches, and nothing but these."""

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dagster_lake.cli.reset.local import MARKER
from dagster_lake.cli.shared.errors import CommandError
from dagster_lake.operations.instance.place import history_folder
from dagster_lake.settings.branches import FOLDER, NAME, branch_catalog, branch_root
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake, is_remote


@dataclass(frozen=True)
class BranchLake:
    """What a branch has: its folder and, where the lake has one, its catalog."""

    root: str
    catalog: str | None

    def __str__(self) -> str:
        return f"{self.root} with everything in it" + (f", and the catalog {self.catalog}" if self.catalog else "")


def trunk_of(settings: Settings) -> Settings:
    """The settings of the lake that branches stand beside, also where LAKE_BRANCH is set."""
    if settings.branch is None:
        return settings
    own = {
        "branch": None,
        "root": settings.root.removesuffix(branch_root("", settings.branch)),
        "catalog": settings.catalog and settings.catalog.removesuffix(branch_catalog("", settings.branch)),
    }
    return settings.model_copy(update=own)


def branches(trunk: Settings) -> list[str]:
    """The names of the branches that have a lake beside the one of ``trunk``."""
    folder = Lake.placed(trunk).root / FOLDER
    if not folder.exists():
        return []
    # By the marker: in ADLS Gen2 folders outlast what was in them.
    names = [entry.name for entry in folder.iterdir() if re.fullmatch(NAME, entry.name)]
    return sorted(name for name in names if (folder / name / MARKER).exists())


def branch_lake(trunk: Settings, name: str) -> BranchLake:
    """The lake of the branch called ``name``, whether or not it is there.

    Raises CommandError for a name that no branch can have.
    """
    if not re.fullmatch(NAME, name):
        raise CommandError(f"{name!r} cannot be a branch: small letters, digits and _, such as pr_12, 31 at most")
    return BranchLake(branch_root(trunk.root, name), trunk.catalog and branch_catalog(trunk.catalog, name))


def remove_branch_lake(trunk: Settings, branch: BranchLake, told: Callable[[str], None]) -> None:
    """Removes it, the catalog first, since that may look into the folder; ``told`` hears of each thing that went.

    Raises CommandError for a folder that is a link or holds something without being a lake, and CatalogError when
    Databricks refuses.
    """
    if branch.catalog:
        from dagster_lake.unity_catalog.remove import remove_branch_catalog
        from dagster_lake.unity_catalog.workspace import workspace_client

        remove_branch_catalog(workspace_client(), branch.catalog, branch.root, told)
    remove = _remove_remote if is_remote(branch.root) else _remove_local
    if remove(trunk, branch.root):
        told(branch.root)


def _remove_local(_: Settings, root: str) -> bool:
    folder = Path(root)
    if folder.is_symlink():
        raise CommandError(f"{folder} is a link, which `lake branch remove` does not follow; remove it by hand")
    if not folder.is_dir():
        return False
    if not (folder / MARKER).is_file() and any(folder.iterdir()):
        raise _no_lake(root)
    for entry in folder.iterdir():
        # The marker goes last: a removal that was interrupted can be repeated.
        if entry.name != MARKER:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    shutil.rmtree(folder)
    return True


def _remove_remote(trunk: Settings, root: str) -> bool:
    from dagster_lake.storage.adls.blobs import list_blobs, remove_blobs

    of_branch = trunk.model_copy(update={"root": root})
    if (history := history_folder(of_branch)).is_dir():
        shutil.rmtree(history)
    lake = Lake.placed(of_branch)
    blobs = list_blobs(lake.root)
    if not blobs:
        return False
    marker = [blob for blob in blobs if blob.path == lake.marker]
    if not marker:
        raise _no_lake(root)
    remove_blobs(lake.root, [blob for blob in blobs if blob.path != lake.marker])
    remove_blobs(lake.root, marker)
    return True


def _no_lake(root: str) -> CommandError:
    return CommandError(f"{root} is not a lake (it has no {MARKER}), so it was left alone; remove it by hand")
