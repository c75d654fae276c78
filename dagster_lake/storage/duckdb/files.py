"""DuckDB reads files in ADLS Gen2 through Python, because its own Azure extension is not bundled with it."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import IO, Any

import duckdb
from fsspec import AbstractFileSystem
from upath import UPath

from dagster_lake.storage.adls.blobs import read_blob
from dagster_lake.storage.adls.errors import reaching
from dagster_lake.storage.adls.path import AdlsPath, is_adls
from dagster_lake.storage.duckdb.shared import database, own_database

WHOLE_BYTES = 8 * 1024 * 1024
"""A file up to this size is fetched in one request; of a larger one, the blocks that are asked for."""

_BLOCK_BYTES = 4 * 1024 * 1024


def let_read(con: duckdb.DuckDBPyConnection, root: UPath) -> None:
    """Lets ``con`` read the files below ``root`` by their addresses; nothing to do for a local one."""
    if isinstance(root, AdlsPath):
        con.register_filesystem(_Files(root))


@contextmanager
def reading(place: UPath | None) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database that can read the files of the lake that ``place`` is in, for small work: it may hold 1 GB."""
    # How files in ADLS are read is a setting of DuckDB as a whole, and of one lake.
    if place is not None and is_adls(place):
        with own_database("1GB") as con:
            let_read(con, place)
            yield con
    else:
        with database("1GB") as con:
            yield con


class _Files(AbstractFileSystem):
    """What DuckDB asks of a file system, for files that are listed one by one and known to exist."""

    protocol = "abfss"
    cachable = False

    def __init__(self, root: AdlsPath) -> None:
        super().__init__()
        self._root = root
        self._sizes: dict[str, int] = {}

    def glob(self, path: str, **options: Any) -> list[str]:
        """The path itself: the files come from a table's log or a manifest, and none has wildcards in its name."""
        return [path]

    def exists(self, path: str, **options: Any) -> bool:
        """Always true, by the same reason."""
        return True

    def size(self, path: str) -> int:
        """The size in bytes of a file that was opened, which is when DuckDB asks."""
        return self._sizes[path]

    def modified(self, path: str) -> Any:
        """When the file was written."""
        return self._root.fs.modified(self._root.beside(path).path)

    def open(self, path: str, mode: str = "rb", **options: Any) -> IO[bytes]:
        """The file, to read from."""
        if mode != "rb":
            raise PermissionError(f"{path}: files in the lake are written through Delta only")
        file = self._root.beside(path)
        found = read_blob(file, WHOLE_BYTES)
        if found is None:
            raise FileNotFoundError(f"{path} went away; a table is read at one version for at most a week")
        content, size, _ = found
        self._sizes[path] = size
        if size <= len(content):
            return BytesIO(content)
        with reaching(self._root):
            return file.open("rb", block_size=_BLOCK_BYTES, cache_type="blockcache")
