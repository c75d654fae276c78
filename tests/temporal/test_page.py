"""The page on temporal operators shows what they give."""

from pathlib import Path

from tests.temporal.page import rewritten

PAGE = Path(__file__).parents[2] / "docs" / "temporal.md"


def test_the_examples_give_the_output_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert rewritten(page) == page
    assert page.count("```text\n```") == 0
