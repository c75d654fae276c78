"""The regular expressions of contracts on Spark: RE2's, by pyarrow in Spark's Python workers.

Java's own take exponential time for some texts, and a stack frame a character for others: one long row would end the
whole JVM. RE2 takes time in proportion to the text, and is what DuckDB uses. Only columns with a pattern pass through
the workers.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dagster_lake.compile.spark_dialect import FINDS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def offer_patterns(spark: "SparkSession") -> None:
    """Gives the session the function that the dialect's SQL calls for a pattern."""
    spark.udf.register(FINDS, _function())


def _function() -> Any:
    from pyspark.sql import functions as known

    functions: Any = known  # whose types are of decorators
    finds = _finds()
    # Databricks' runtime of Spark 4.0 passes Arrow's columns as pandas' only.
    return (
        functions.arrow_udf(finds, "boolean")
        if hasattr(functions, "arrow_udf")
        else functions.pandas_udf(_of_pandas(finds), "boolean")
    )


# A function inside of one is sent to the workers as it is: they need not have this package.


def _finds() -> Callable[[pa.Array, pa.Array], pa.Array]:
    def finds(texts: pa.Array, patterns: pa.Array) -> pa.Array:
        import pyarrow.compute as pc

        # The pattern is a literal, and the same in every row.
        return pc.match_substring_regex(texts, str(patterns[0])) if len(texts) else texts.is_valid()

    return finds


def _of_pandas(finds: Callable[[pa.Array, pa.Array], pa.Array]) -> Any:
    import pandas as pd  # type: ignore[import-untyped]

    def found(texts: pd.Series, patterns: pd.Series) -> pd.Series:
        import pyarrow as pa

        # Of a series, too, the first pattern is the one at 0.
        return finds(pa.array(texts, pa.string()), patterns).to_pandas()

    return found
