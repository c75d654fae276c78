"""What the database systems have in common: the question asked of them, and the SQL they all spell alike."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import pyarrow as pa
import sqlalchemy
from sqlalchemy.engine import URL


class DatabaseError(Exception):
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
    """The rows with start < updated_at <= end of one table, in a stable order; or all its rows, in any order, where
    there is no range."""

    table: str
    columns: pa.Schema
    updated_at: str
    order: tuple[str, ...]
    start: datetime | None = None
    end: datetime | None = None

    @property
    def order_by(self) -> str:
        """The order as SQL, with its words; nothing for a whole table, which the database need not sort.

        Qualified, since a bare name would mean the selected text and put 10 before 9."""
        if self.start is None:
            return ""
        return "ORDER BY " + ", ".join(f"{quoted(self.table)}.{quoted(name)}" for name in self.order)


class Dialect(Protocol):
    """What differs between database systems. Each call uses a connection of its own, which can only read."""

    def engine(self, url: URL) -> sqlalchemy.Engine:
        """SQLAlchemy's way to the same database, read-only too; it answers what tables there are."""
        ...

    def read(self, query: Query) -> Iterator[pa.RecordBatch]:
        """The rows, in batches of exactly ``query.columns``."""
        ...

    def fingerprint(self, query: Query) -> Fingerprint:
        """The fingerprint of the rows; computed by the database, so no row travels."""
        ...


def quoted(identifier: str) -> str:
    """``identifier`` as SQL, whatever characters it has."""
    return '"' + identifier.replace('"', '""') + '"'


def listed(identifiers: Iterable[str]) -> str:
    """``identifiers`` as a SQL list."""
    return ", ".join(quoted(name) for name in identifiers)
