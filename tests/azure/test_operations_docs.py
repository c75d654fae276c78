"""docs/operations.md has a section for every alert that there is, with all that it takes to act on it."""

import re

import pytest

from dagster_lake.settings.lake import PROJECT_ROOT
from tests.azure.bicep_lakes import deployed

PAGE = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
PARTS = ("Means", "See", "First", "If that fails", "Who")


def sections(heading: str) -> dict[str, str]:
    """The sections below a heading, by their own."""
    below = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert below, heading
    return dict(re.findall(r"^### ([^\n]+)\n(.*?)(?=^### |\Z)", below[1], re.MULTILINE | re.DOTALL))


def alerts() -> set[str]:
    """The names of all alert rules, and of the budget's."""
    prod = deployed("prod", "everything")
    rules = [*prod.of("Microsoft.Insights/scheduledQueryRules"), *prod.of("Microsoft.Insights/metricAlerts")]
    prefixes = {re.sub(rf"-({'|'.join(sections('Alerts'))})$", "", rule.name) for rule in rules}
    assert len(prefixes) == 1, f"an alert has no section in docs/operations.md: {prefixes}"
    assert prod.of("Microsoft.Consumption/budgets")
    [prefix] = prefixes
    return {rule.name.removeprefix(f"{prefix}-") for rule in rules} | {"cost"}


def test_every_alert_has_its_section_and_no_section_is_of_an_alert_that_is_gone() -> None:
    assert set(sections("Alerts")) == alerts()


@pytest.mark.parametrize("alert", sections("Alerts"))
def test_each_says_what_it_means_where_to_look_what_to_do_and_who_does(alert: str) -> None:
    assert tuple(re.findall(r"^- \*\*([^*]+)\*\*: \S", sections("Alerts")[alert], re.MULTILINE)) == PARTS


def test_every_link_leads_somewhere() -> None:
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", PAGE):
        file = PROJECT_ROOT / "docs" / target if target else PROJECT_ROOT / "docs" / "operations.md"
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, anchor
