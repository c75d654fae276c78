"""The temporal operators on Spark: the statements of the semantics reference, and DuckDB's own results."""

from collections import Counter
from collections.abc import Callable, Iterator
from random import Random

import pyarrow as pa
import pytest

from tests.engines.dialects import SparkSide
from tests.temporal.duck import ASK, BASE, SECOND, rows, table
from tests.temporal.golden import Question, as_json
from tests.temporal.golden_anomalies import QUESTIONS as ANOMALIES
from tests.temporal.golden_functions import QUESTIONS as FUNCTIONS
from tests.temporal.golden_ingest import QUESTIONS as INGEST
from tests.temporal.golden_joins import QUESTIONS as JOINS
from tests.temporal.golden_windows import QUESTIONS as WINDOWS
from tests.temporal.render import Macros
from tests.temporal.stream_models import COLUMNS, MODELS

SECTIONS = {"ingest": INGEST, "windows": WINDOWS, "joins": JOINS, "functions": FUNCTIONS, "anomalies": ANOMALIES}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_reference_s_statements_in_one_query(spark_side: SparkSide, section: str) -> None:
    questions: list[Question] = SECTIONS[section]
    ask = Macros("spark")
    found: list[list[str]] = [[] for _ in questions]
    together = " union all ".join(as_json("spark", number, q.ask(ask)) for number, q in enumerate(questions))
    for row in spark_side.rows(together):
        found[row["question"]].append(row["found"])
    differing = [
        (q.statement, rows, q.expected)
        for q, texts in zip(questions, found, strict=True)
        if (rows := q.rows(texts)) != q.expected
    ]
    assert differing == []


@pytest.fixture(scope="module", autouse=True)
def small_queries(spark_side: SparkSide) -> Iterator[None]:
    """What pays for large queries costs more than it saves: compiling Java, planning again midway, several tasks."""
    small = {"codegen.wholeStage": "false", "adaptive.enabled": "false", "shuffle.partitions": "1"}
    before = {name: str(spark_side.spark.conf.get(f"spark.sql.{name}")) for name in small}
    for name, value in small.items():
        spark_side.spark.conf.set(f"spark.sql.{name}", value)
    yield
    for name, value in before.items():
        spark_side.spark.conf.set(f"spark.sql.{name}", value)


@pytest.fixture(scope="module")
def events(spark_side: SparkSide) -> pa.Table:
    """Half a day of events, offered to Spark too; some are late, early, out of order or of one instant."""
    draw = Random(4)
    offered = []
    arrival = BASE
    for number in range(1200):
        arrival += draw.choice([0, 0, 1, 7, 40] if number % 100 else [2400]) * SECOND
        behind = draw.choice([0, 0, 1, 3, 45, 52, 58, 60, 61, 90] if draw.random() < 0.99 else [-299, -300, -301, -30])
        offered.append(
            (arrival, str(number % 3), number, arrival - behind * SECOND, draw.choice("ab"), "2026-01-05T08")
        )
    draw.shuffle(offered)
    spark_side.offer("events", found := table(COLUMNS, offered))
    return found


@pytest.mark.parametrize("model", [model for model, _ in MODELS], ids=lambda m: m.__name__)
def test_spark_gives_the_rows_that_duckdb_gives(
    spark_side: SparkSide, events: pa.Table, model: Callable[[Macros], str]
) -> None:
    found = Counter(tuple(row.values()) for row in spark_side.rows(model(Macros("spark"))))
    assert found == Counter(rows(model(ASK), events=events))
    assert len(found) > 10
