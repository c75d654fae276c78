"""The statements of the semantics reference, on the embedded engine."""

import pytest

from tests.temporal.duck import ASK, rows
from tests.temporal.golden import Question, as_json
from tests.temporal.golden_anomalies import QUESTIONS as ANOMALIES
from tests.temporal.golden_functions import QUESTIONS as FUNCTIONS
from tests.temporal.golden_ingest import QUESTIONS as INGEST
from tests.temporal.golden_joins import QUESTIONS as JOINS
from tests.temporal.golden_windows import QUESTIONS as WINDOWS
from tests.temporal.render import CompilerError


@pytest.mark.parametrize("question", [*INGEST, *WINDOWS, *JOINS, *FUNCTIONS, *ANOMALIES], ids=lambda q: q.statement)
def test_the_reference_says_that(question: Question) -> None:
    found = rows(as_json("duckdb", 0, question.ask(ASK)))
    assert question.rows([text for _, text in found]) == question.expected


@pytest.mark.parametrize("macro", ["spikes_and_dips", "change_points"])
def test_anomalies_are_refused_with_parameters_out_of_range(macro: str) -> None:
    for history, confidence in ((9, 95), (20, 0), (20, 101)):
        with pytest.raises(CompilerError, match="confidence is from 1 to 100, history 10 or more"):
            getattr(ASK, macro)("events", "v", "ts", 1000, history, confidence)
