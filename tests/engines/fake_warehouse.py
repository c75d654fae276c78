"""A SQL warehouse as dbt-databricks sees one: its connector's calls, answered by the local Spark."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from pyspark.sql import DataFrame, SparkSession


def warehouse(spark: SparkSession, asked: list[dict[str, Any]]) -> Callable[..., "FakeConnection"]:
    """What ``databricks.sql.connect`` is replaced by. The arguments of each connection are put into ``asked``."""

    def connect(**arguments: Any) -> FakeConnection:
        asked.append(arguments)
        return FakeConnection(spark)

    return connect


class FakeConnection:
    """A session of the warehouse."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    def cursor(self) -> "FakeCursor":
        return FakeCursor(self._spark)

    def get_session_id_hex(self) -> str:
        return "0"

    def close(self) -> None:
        """Spark outlives it."""


class FakeCursor:
    """Runs one statement at a time. A warehouse takes no settings but a few: any SET is refused."""

    query_id = "0"
    active_op_handle = None

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark
        self._found: DataFrame | None = None
        self.connection = SimpleNamespace(get_session_id_hex=lambda: "0")

    @property
    def description(self) -> list[tuple[Any, ...]]:
        assert self._found is not None
        return [(f.name, f.dataType.simpleString(), *(None,) * 5) for f in self._found.schema.fields]

    def execute(self, sql: str, parameters: Any = None) -> "FakeCursor":
        assert not parameters
        assert not sql.lower().lstrip().startswith("set "), sql
        self._found = self._spark.sql(sql)
        return self

    def schemas(self, catalog: str, schema: str | None) -> "FakeCursor":
        self._found = self._spark.sql("SELECT 'gold' AS TABLE_SCHEM")
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        assert self._found is not None
        return [tuple(row) for row in self._found.collect()]

    def fetchone(self) -> tuple[Any, ...] | None:
        return next(iter(self.fetchall()), None)

    def fetchmany(self, size: int) -> list[tuple[Any, ...]]:
        return self.fetchall()[:size]

    def cancel(self) -> None:
        """Nothing runs in the background."""

    def close(self) -> None:
        self._found = None
