"""The one place where a path of the lake becomes a path of this machine."""

from pathlib import Path

from upath import UPath


def local(path: UPath) -> Path:
    """``path`` for file operations that need a local disk: locks, renames, fsync.

    Raises NotImplementedError for a path elsewhere; there the same promises take leases and conditional writes.
    """
    if path.protocol not in ("", "file", "local"):
        raise NotImplementedError(f"{path}: landing works on a local disk; set LAKE_ROOT to a folder")
    return Path(path.path)
