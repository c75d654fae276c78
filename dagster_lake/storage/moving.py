"""Moves a folder of the lake to another place: by its name on a local disk, blob by blob in ADLS."""

import os
from pathlib import Path

from upath import UPath

from dagster_lake.commit import commit
from dagster_lake.storage.adls.path import is_adls
from dagster_lake.storage.manifest import MANIFEST_NAME


def move_folder(folder: UPath, to: UPath, name: str) -> None:
    """Moves ``folder``, within ``commit(name)``; a folder that is not there has been moved already.

    Killed in between and moved again, it ends the same. In ADLS what says that the rest is there, a log or a manifest,
    comes last and goes first. Raises FileExistsError on a local disk where ``to`` holds something else.
    """
    if is_adls(folder):
        with commit(name):
            _move_blobs(folder, to)
        return
    if not folder.exists():
        return
    with commit(name):
        Path(str(to)).parent.mkdir(parents=True, exist_ok=True)
        os.rename(str(folder), str(to))


def _move_blobs(folder: UPath, to: UPath) -> None:
    from dagster_lake.storage.adls.blobs import copy_blob, list_blobs, remove_blobs

    blobs = list_blobs(folder)
    saying = [blob for blob in blobs if blob.path.name == MANIFEST_NAME or blob.path.parent.name == "_delta_log"]
    rest = [blob for blob in blobs if blob not in saying]
    for blob in (*rest, *saying):
        copy_blob(blob.path, to / str(blob.path).removeprefix(f"{folder}/"))
    remove_blobs(folder, saying)
    remove_blobs(folder, rest)
