"""The file ``lake.json``, which says that a folder is a lake: made once, and afterwards replaced whole."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock
from upath import UPath

from dagster_lake.commit import commit

MARKER = "lake.json"
ASIDE = (".lake.json.lock", ".lake.json.tmp")
"""What lies beside a local marker: the lock of those who write it, and what a crash may leave of a new one."""
HISTORY = ".dagster"
"""The folder of Dagster's history of a lake, below the lake; of a remote one, below the project."""
_LOCK_SECONDS = 60
Content = dict[str, Any]


def read_marker(root: UPath) -> str | None:
    """What the marker says, as it stands there; None where there is no lake."""
    return _read(root)[0]


def change_marker(root: UPath, change: Callable[[Content | None], Content | None]) -> None:
    """Writes what ``change`` makes of the marker's content (None: there is no lake yet); None leaves it as it is.

    Two processes at once: the second one's ``change`` gets what the first one wrote.
    """
    if isinstance(root, Path):
        with _locked(root):
            if (content := _changed(_read(root)[0], change)) is not None:
                _replace(root / MARKER, content)
        return
    from dagster_lake.storage.adls.blobs import BlobChanged, put_blob

    while True:
        text, etag = _read(root)
        if (content := _changed(text, change)) is None:
            return
        try:
            with commit(MARKER):
                put_blob(root / MARKER, content.encode(), replacing=etag)
            return
        except BlobChanged:
            continue


def _changed(text: str | None, change: Callable[[Content | None], Content | None]) -> str | None:
    content = change(None if text is None else json.loads(text))
    return None if content is None else json.dumps(content) + "\n"


def _read(root: UPath) -> tuple[str | None, str | None]:
    """The marker's text, and its etag where it is in ADLS."""
    marker = root / MARKER
    if isinstance(root, Path):
        return (marker.read_text(), None) if marker.exists() else (None, None)
    from dagster_lake.storage.adls.blobs import read_blob
    from dagster_lake.storage.adls.errors import reaching
    from dagster_lake.storage.adls.options import require_libraries, require_token

    require_libraries()
    # The first thing that anybody asks of a lake: a wrong address is to be told at once.
    with reaching(marker):
        require_token(marker)
    found = read_blob(marker, patient=False)
    return (None, None) if found is None else (found[0].decode(), found[2])


def _replace(marker: Path, text: str) -> None:
    temporary = marker.with_name(ASIDE[1])
    with commit(MARKER):
        with open(temporary, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, marker)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(os.path.join(root, ASIDE[0]), timeout=_LOCK_SECONDS):
        yield
