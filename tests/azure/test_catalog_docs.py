"""docs/unity-catalog.md shows what the commands print and what the grants are."""

from tests.azure.catalog_docs import PAGE, renewed


def test_the_page_is_as_the_commands_print_it() -> None:
    """If not: python -m tests.azure.catalog_docs"""
    page = PAGE.read_text(encoding="utf-8")
    assert renewed(page) == page
