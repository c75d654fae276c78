"""DuckDBs in memory. Making one takes longer than most queries: those that are open at once in a process share it."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count

import duckdb

_Limits = tuple[int, str, int | None]
_open: dict[_Limits, "_Shared"] = {}
_opening = threading.Lock()


@contextmanager
def database(memory_limit: str, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty database in UTC, gone afterwards. Those of the same limits that are open at once keep them together."""
    limits = (os.getpid(), memory_limit, threads)  # a forked process inherits a DuckDB, but none of its threads
    with _opening:
        shared = _open.get(limits) or _Shared(memory_limit, threads)
        _open[limits] = shared
        name, con = shared.add()
    try:
        yield con
    finally:
        with _opening:
            if shared.drop(name, con):
                del _open[limits]


@contextmanager
def own_database(memory_limit: str, threads: int | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database that shares nothing, by DuckDB's own name ``memory``: settings of DuckDB as a whole may be changed."""
    with _duckdb(memory_limit, threads) as con:
        yield _in_utc(con)


class _Shared:
    """One DuckDB."""

    def __init__(self, memory_limit: str, threads: int | None) -> None:
        self._ending = ExitStack()
        self._con = self._ending.enter_context(_duckdb(memory_limit, threads))
        self._names = (f"lake_{number}" for number in count())
        self._used: set[str] = set()

    def add(self) -> tuple[str, duckdb.DuckDBPyConnection]:
        """A new database, and a connection that uses it."""
        name = next(self._names)
        con = _in_utc(self._con.cursor())
        con.execute(f"ATTACH ':memory:' AS {name}; USE {name}")
        self._used.add(name)
        return name, con

    def drop(self, name: str, con: duckdb.DuckDBPyConnection) -> bool:
        """Ends the database; whether it was the last one, so that DuckDB has ended with it."""
        con.close()
        self._used.discard(name)
        if self._used:
            self._con.execute(f"DETACH {name}")
            return False
        self._ending.close()
        return True


@contextmanager
def _duckdb(memory_limit: str, threads: int | None) -> Iterator[duckdb.DuckDBPyConnection]:
    # What spills may be personal data in clear: a folder that only this user can enter, gone when the work is done.
    with tempfile.TemporaryDirectory(prefix="lake-") as spill:
        config: dict[str, str | bool | int | float | list[str]] = {
            "memory_limit": memory_limit,
            "temp_directory": spill,
            **({"threads": threads} if threads else {}),
        }
        with closing(duckdb.connect(":memory:", config=config)) as con:
            yield con


def _in_utc(con: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    # A progress bar would go to whatever stdout is.
    return con.execute("SET TimeZone = 'UTC'; SET enable_progress_bar = false")
