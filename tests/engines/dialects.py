"""One way to run what the compiler made, on each engine: rows in memory in, rows in memory out."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa

from dagster_lake.compile.bronze import bronze_select, rescued_select
from dagster_lake.compile.dialect import Dialect
from dagster_lake.compile.duckdb_dialect import DuckDBDialect
from dagster_lake.compile.silver import (
    keys_before_select,
    keys_select,
    losers_select,
    quarantine_select,
    silver_select,
    suspect_partitions_select,
    suspects_select,
)
from dagster_lake.compile.spark_dialect import SparkDialect
from dagster_lake.contract.model import Contract, Property
from dagster_lake.engines.spark.patterns import offer_patterns
from tests.unit import compiled
from tests.unit.compiled import Outcome, Row, lines_table, pads

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Side(Protocol):
    """A dialect and what runs it."""

    name: str
    dialect: Dialect

    def evaluate(self, expression: str, values: Iterable[Any], kind: pa.DataType) -> list[Any]:
        """``expression`` over the column ``x``."""
        ...

    def bronze(self, of: Contract, lines: list[Row]) -> list[Row]:
        """The bronze rows of these lines."""
        ...

    def run(self, of: Contract, lines: list[Row]) -> Outcome:
        """Bronze, silver, quarantine and losers of these lines."""
        ...


class DuckDBSide:
    """The embedded engine's dialect."""

    name = "duckdb"
    dialect = DuckDBDialect()

    def evaluate(self, expression: str, values: Iterable[Any], kind: pa.DataType) -> list[Any]:
        return compiled.evaluate(expression, values, kind)

    def bronze(self, of: Contract, lines: list[Row]) -> list[Row]:
        return compiled.bronze(of, lines)

    def run(self, of: Contract, lines: list[Row]) -> Outcome:
        return compiled.run(of, lines)


class SparkSide:
    """Spark's dialect, in views, and a small local table where a view would be computed time and again."""

    name = "spark"
    dialect = SparkDialect()

    def __init__(self, spark: "SparkSession") -> None:
        self.spark = spark
        offer_patterns(spark)

    def evaluate(self, expression: str, values: Iterable[Any], kind: pa.DataType) -> list[Any]:
        self.offer("given", pa.table({"n": range(len(column := pa.array(list(values), kind))), "x": column}))
        return [row["v"] for row in self.rows(f"SELECT n, {expression} AS v FROM given ORDER BY n")]

    def bronze(self, of: Contract, lines: list[Row]) -> list[Row]:
        self.offer("lines", lines_table(of, lines))
        return self.rows(bronze_select(of, self.dialect))

    def run(self, of: Contract, lines: list[Row]) -> Outcome:
        self.offer("lines", lines_table(of, lines))
        self._table("bronze", bronze_select(of, self.dialect))
        self.spark.sql("SELECT * FROM bronze").createOrReplaceTempView("reach")
        self.spark.sql("SELECT * FROM bronze WHERE false").createOrReplaceTempView("look_back")
        self.offer("masking_key", pa.table({name: [value] for name, value in pads().items()}))
        self._table("keys_here", keys_select(of, self.dialect, "bronze"))
        self._table("keys_before", keys_before_select(of, self.dialect))
        self._table("suspects", suspects_select(of, self.dialect))
        self._table("losers", losers_select(of, self.dialect))
        return Outcome(
            self.rows("SELECT * FROM bronze"),
            self.rows(silver_select(of, self.dialect)),
            self.rows(quarantine_select(of, self.dialect)),
            self.rows("SELECT * FROM losers"),
            [row[next(iter(row))] for row in self.rows(suspect_partitions_select(of, self.dialect))],
            [tuple(row.values()) for row in self.rows(rescued_select(of, self.dialect, "bronze"))],
        )

    def offer(self, name: str, table: pa.Table) -> None:
        """A view of ``table``."""
        self.spark.createDataFrame(table).createOrReplaceTempView(name)

    def rows(self, sql: str) -> list[Row]:
        """What ``sql`` selects."""
        return self.spark.sql(sql).toArrow().to_pylist()

    def _table(self, name: str, sql: str) -> None:
        self.offer(name, self.spark.sql(sql).toArrow())


def casts(side: Side, texts: Iterable[str | None], prop: Property) -> list[Any]:
    """Each text as a value of ``prop``, None where it is not one."""
    return side.evaluate(side.dialect.try_cast("x", prop), texts, pa.string())
