"""What the database systems have in common: the question asked of them, and the SQL they all spell alike."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import pyarrow as pa
import sqlalchemy


@dataclass(frozen=True)
class Fingerprint:
    """What a range of rows looks like: equal for equal rows in any order, and for practical purposes only then."""

    rows: int
    checksum: str

    def __str__(self) -> str:
        return f"{self.rows}:{self.checksum}"


@dataclass(frozen=True)
class Query:
    """The rows with start < updated_at <= end of one table, in a stable order."""

    table: str
    columns: pa.Schema
    updated_at: str
    order: tuple[str, ...]
    start: datetime
    end: datetime

    @property
    def order_by(self) -> str:
        """The order as SQL. Qualified, since a bare name would mean the selected text and put 10 before 9."""
        return ", ".join(f"{quoted(self.table)}.{quoted(name)}" for name in self.order)


class Dialect(Protocol):
    """What differs between database systems. Each call uses a connection of its own."""

    def upsert(self, table: sqlalchemy.Table, batches: Iterator[pa.RecordBatch], cursor: Any) -> None:
        """Writes rows by primary key; an existing row yields only to one at least as new."""
        ...

    def transaction(self) -> Any:
        """A context manager giving an ADBC cursor; commits at its end, rolls back on an error."""
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


def newer_wins(table: sqlalchemy.Table) -> str:
    """The end of an INSERT: an existing row yields only to one with a newer or equal ``updated_at``."""
    keys = [column.name for column in table.primary_key]
    others = [column.name for column in table.columns if column.name not in keys]
    replaced = ", ".join(f"{quoted(name)} = excluded.{quoted(name)}" for name in others)
    return (
        f"ON CONFLICT ({listed(keys)}) DO UPDATE SET {replaced} "
        f"WHERE excluded.updated_at >= {quoted(table.name)}.updated_at"
    )
