"""What the database systems have in common: the question asked of them, and the SQL they all spell alike."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa
import sqlalchemy
from sqlalchemy.engine import URL

from dagster_lake.errors import LakeError

WRITTEN = "_written"
"""The column of a dialect's rows that holds when each was written: the first of the query's times that is not null."""

MISFIT = "_misfit "
"""Before a column's name: the text of a value that the column's own type has and the lake's has not."""


class DatabaseError(LakeError):
    """The database cannot do what was asked; the message names the table and the remedy."""


@dataclass(frozen=True)
class Fingerprint:
    """What a range of rows looks like: equal for equal rows in any order, and for practical purposes only then."""

    rows: int
    checksum: str

    def __str__(self) -> str:
        return f"{self.rows}:{self.checksum}"


@dataclass(frozen=True)
class Query:
    """Rows of one table, by the time they were written.

    That is the first of the columns ``times`` that is not null. ``start`` < time <= ``end``; without them every row.
    Times without a zone are in ``time_zone``. ``kinds`` are the types that the table's columns have in the database,
    and ``indexed`` its columns by whose order rows are found.
    """

    table: str
    columns: pa.Schema
    times: tuple[str, ...]
    time_zone: str
    kinds: Mapping[str, sqlalchemy.types.TypeEngine]
    indexed: frozenset[str] = frozenset()
    start: datetime | None = None
    end: datetime | None = None


class Dialect(Protocol):
    """What differs between database systems. Each call uses a connection of its own, which can only read."""

    def engine(self, url: URL) -> sqlalchemy.Engine:
        """SQLAlchemy's way to the same database, read-only too; it answers what tables there are."""
        ...

    def read(self, query: Query) -> Iterator[pa.RecordBatch]:
        """The rows, and perhaps some of other times, with the query's columns and ``WRITTEN``.

        A column comes in its own type where every value fits the lake's, else as text; see ``MISFIT``.
        """
        ...

    def untimed(self, query: Query) -> Iterator[pa.RecordBatch]:
        """As ``read``: the rows of any time, and perhaps others, of which nobody can say when they were written."""
        ...

    def fingerprint(self, query: Query) -> Fingerprint:
        """The fingerprint of the rows that ``read`` would give, computed by the database, so that no row travels."""
        ...


def quoted(identifier: str) -> str:
    """``identifier`` as SQL, whatever characters it has."""
    return '"' + identifier.replace('"', '""') + '"'


def listed(identifiers: Iterable[str]) -> str:
    """``identifiers`` as a SQL list."""
    return ", ".join(quoted(name) for name in identifiers)
