"""Which columns a model's table gets: those its YAML declares, and where it declares no type, those its query gives."""

from dataclasses import dataclass

import duckdb
import pyarrow as pa

from dagster_lake.storage.delta.write import DeltaWriteError
from dagster_lake.storage.duckdb.scan import sql_type


@dataclass(frozen=True)
class Declared:
    """What a model's files say of its columns.

    ``typed`` are those with a ``data_type``, which the query must give; ``untyped`` those without, whose type here is
    null. ``files`` name the model's SQL and its YAML, for errors.
    """

    typed: pa.Schema
    untyped: pa.Schema
    files: str

    def columns(self, table: str, query: duckdb.DuckDBPyRelation) -> pa.Schema:
        """The table's columns. With no type declared, there is no contract, and the query says what they are.

        Raises DeltaWriteError where query and YAML differ, and for a type that no table of the lake has.
        """
        found = pa.schema(
            [
                pa.field(f.name, pa.int64()) if str(kind) == "HUGEINT" else f  # a sum of bigint, as Spark has it
                for f, kind in zip(query.limit(0).to_arrow_reader(1).schema, query.types, strict=True)
            ]
        )
        missing = [name for name in self.untyped.names if name not in found.names]
        if missing:
            raise DeltaWriteError(
                f"{self.files}: {table} has no column {', '.join(missing)}, which its YAML describes; "
                "select it, or remove it from the YAML"
            )
        if self.typed.names:
            self._refuse_others(table, found)
        wanted = [*self.typed, *self.untyped] if self.typed.names else found
        return pa.schema([self._column(table, column.name, found) for column in wanted])

    def _refuse_others(self, table: str, found: pa.Schema) -> None:
        untyped = {*self.untyped.names}
        wanted = {column.name: sql_type(column.type) for column in self.typed}
        actual = {column.name: _told(column.type) for column in found if column.name not in untyped}
        if wanted != actual:
            differing = sorted(n for n in {*wanted, *actual} if wanted.get(n) != actual.get(n))
            told = "; ".join(
                f"{n}: declared {wanted.get(n, 'not')}, selected {actual.get(n, 'not')}" for n in differing
            )
            raise DeltaWriteError(
                f"{self.files}: {table} differs from the columns declared in its YAML: {told}; "
                "cast the column in the SELECT, or correct the YAML"
            )

    def _column(self, table: str, name: str, found: pa.Schema) -> pa.Field:
        if name in self.typed.names:
            return self.typed.field(name)
        kind = found.field(name).type
        if pa.types.is_timestamp(kind):
            kind = pa.timestamp("us", kind.tz)
        try:
            sql_type(kind)
        except ValueError:
            raise DeltaWriteError(
                f"{self.files}: {table}.{name} is of type {kind}, which no table of the lake has; "
                "cast it to another, such as bigint, double or varchar"
            ) from None
        return self.untyped.field(name).with_type(kind) if name in self.untyped.names else pa.field(name, kind)


def _told(kind: pa.DataType) -> str:
    try:
        return sql_type(kind)
    except ValueError:
        return str(kind)
