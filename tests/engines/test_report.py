"""docs/engines.md says what the suite compared, and lists what there is."""

from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.manifest import manifest
from dagster_lake.settings.lake import PROJECT_ROOT
from tests.engines.report import page
from tests.engines.test_steps import tables

PAGE = PROJECT_ROOT / "docs" / "engines.md"


def test_the_page_lists_every_contract_and_model_and_nothing_that_was_not_compared() -> None:
    text = PAGE.read_text(encoding="utf-8")

    models = [node for node in manifest()["nodes"].values() if node["resource_type"] == "model"]
    wanted = [f"| {name} | {table} |" for name, table in tables()]
    wanted += [f"| {model['name']} | {model['schema']}/{model['name']} |" for model in models]
    assert [line for line in wanted if line not in text] == [], "python -m tests.engines.report docs/engines.md"
    assert "not compared" not in text
    assert len(contracts()) > 0


def test_a_table_that_one_case_did_not_compare_says_so() -> None:
    one = {"kind": "contract", "name": "users", "table": "silver/users", "engine": "spark", "case": "a", "rows": 1_200}
    other = {**one, "table": "bronze/users", "case": "b", "rows": 5}

    text = page([one, other])

    assert "| users | silver/users | 1,200 | not compared |" in text
    assert "| users | bronze/users | not compared | 5 |" in text
