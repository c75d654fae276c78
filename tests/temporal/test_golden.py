"""The statements of the semantics reference, on the embedded engine."""

import pytest

from tests.temporal.duck import ASK, rows
from tests.temporal.golden import Question, as_json
from tests.temporal.golden_anomalies import QUESTIONS as ANOMALIES
from tests.temporal.golden_functions import QUESTIONS as FUNCTIONS
from tests.temporal.golden_ingest import QUESTIONS as INGEST
from tests.temporal.golden_joins import QUESTIONS as JOINS
from tests.temporal.golden_windows import QUESTIONS as WINDOWS


@pytest.mark.parametrize("question", [*INGEST, *WINDOWS, *JOINS, *FUNCTIONS, *ANOMALIES], ids=lambda q: q.statement)
def test_the_reference_says_that(question: Question) -> None:
    found = rows(as_json("duckdb", 0, question.ask(ASK)))
    assert question.rows([text for _, text in found]) == question.expected
