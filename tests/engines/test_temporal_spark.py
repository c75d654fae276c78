"""The statements of the semantics reference hold on Spark too, each section asked in one query."""

import pytest

from tests.engines.dialects import SparkSide
from tests.temporal.golden import Question, as_json
from tests.temporal.golden_functions import QUESTIONS as FUNCTIONS
from tests.temporal.golden_ingest import QUESTIONS as INGEST
from tests.temporal.golden_joins import QUESTIONS as JOINS
from tests.temporal.golden_windows import QUESTIONS as WINDOWS
from tests.temporal.render import Macros

SECTIONS = {"ingest": INGEST, "windows": WINDOWS, "joins": JOINS, "functions": FUNCTIONS}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_reference_s_statements(spark_side: SparkSide, section: str) -> None:
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
