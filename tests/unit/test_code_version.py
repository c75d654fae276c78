"""After a change Dagster shows as stale what the change concerns, and nothing else."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.manifest import manifest
from dagster_lake.definitions import defs
from dagster_lake.defs.code_version import of_model, of_raw, of_tables

USERS = contracts()["users"]


def changed(name: str, **to: Any) -> Any:
    """The contract of users with one property that differs."""
    return replace(USERS, properties=tuple(replace(p, **to) if p.name == name else p for p in USERS.properties))


def test_another_masking_makes_the_tables_stale_and_not_raw() -> None:
    contract = changed("city", masking="redact")
    assert of_tables(contract) != of_tables(USERS)
    assert of_raw(contract) == of_raw(USERS)


def test_another_source_makes_raw_and_the_tables_stale() -> None:
    contract = replace(USERS, source=contracts()["products"].source)
    assert of_raw(contract) != of_raw(USERS)
    assert of_tables(contract) != of_tables(USERS)


def test_another_description_version_or_owner_makes_nothing_stale() -> None:
    contract = replace(changed("city", description="Where they live."), version="9.0.0", owner="team:other")
    assert (of_raw(contract), of_tables(contract)) == (of_raw(USERS), of_tables(USERS))


MODELS = {node["name"]: node for node in manifest()["nodes"].values() if node["resource_type"] == "model"}
MACROS = manifest()["macros"]


def model_with(name: str, **to: Any) -> str:
    return of_model({**deepcopy(MODELS[name]), **to}, MACROS)


def test_other_sql_columns_or_numbers_make_a_model_stale_and_other_words_do_not() -> None:
    name = "low_star_pageviews"
    now = of_model(MODELS[name], MACROS)
    assert model_with(name, raw_code="select 1") != now
    columns = deepcopy(MODELS[name]["columns"])
    next(iter(columns.values()))["data_type"] = "varchar(1)"
    assert model_with(name, columns=columns) != now
    config = deepcopy(MODELS[name]["config"])
    config["meta"]["stream"] = {**config["meta"]["stream"], "window": "another"}
    assert model_with(name, config=config) != now
    assert model_with(name, description="Other words.") == now


def test_another_macro_makes_stale_the_models_that_reach_it_and_no_other() -> None:
    reached = "macro.dagster_lake.money_of_nobody"
    with_macro = {**MACROS, reached: {"macro_sql": "1", "depends_on": {"macros": []}}}
    between = next(iter(MODELS["daily_sales"]["depends_on"]["macros"]))
    with_macro[between] = {**MACROS[between], "depends_on": {"macros": [reached]}}
    without = {name: {**macro} for name, macro in with_macro.items()}
    without[reached] = {"macro_sql": "2", "depends_on": {"macros": []}}
    stale = {name for name, model in MODELS.items() if of_model(model, with_macro) != of_model(model, without)}
    assert "daily_sales" in stale
    assert stale == {name for name, model in MODELS.items() if between in _all_macros(model, with_macro)}


def _all_macros(model: dict[str, Any], macros: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    waiting = [*model["depends_on"]["macros"]]
    while waiting:
        name = waiting.pop()
        if name not in found and name in macros:
            found.add(name)
            waiting += macros[name]["depends_on"]["macros"]
    return found


@pytest.mark.parametrize("group", ["raw", "bronze", "silver", "quarantine"])
def test_every_asset_of_a_contract_or_model_has_a_code_version(group: str) -> None:
    specs = [spec for spec in defs.resolve_all_asset_specs() if spec.group_name == group]
    assert specs
    assert all(spec.code_version for spec in specs)


def test_dagster_shows_a_table_as_stale_when_its_contract_has_changed(tmp_path: Path) -> None:
    def table(version: str) -> dg.AssetsDefinition:
        @dg.asset(key=["bronze", "users"], code_version=version)
        def users() -> None: ...

        return users

    def status(asset: dg.AssetsDefinition, instance: dg.DagsterInstance) -> StaleStatus:
        graph = dg.Definitions([asset]).resolve_asset_graph()
        resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
        return resolver.get_status(dg.AssetKey(["bronze", "users"]))

    before = table(of_tables(USERS))
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        dg.materialize([before], instance=instance)
        assert status(table(of_tables(changed("city", description="Where."))), instance) == StaleStatus.FRESH
        assert status(table(of_tables(changed("city", masking="redact"))), instance) == StaleStatus.STALE
