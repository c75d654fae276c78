"""What is wanted of Unity Catalog, and that a plan leads there from anywhere: no network."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.manifest import manifest
from dagster_lake.unity_catalog.desired import desired_state
from dagster_lake.unity_catalog.model import KINDS, Column, Securable, State, state_of
from dagster_lake.unity_catalog.plan import Action, bare, plan
from tests.azure.catalog_yaml import ROOT, STEP, config


@pytest.fixture(scope="module")
def desired(tmp_path_factory: pytest.TempPathFactory) -> State:
    return desired_state(config(tmp_path_factory.mktemp("catalog")), contracts(), manifest())


def of_kind(state: State, kind: str) -> list[Securable]:
    return [one for one in state.values() if one.kind == kind]


# ---- the plan ----


def carried_out(state: State, desired: State, actions: list[Action]) -> State:
    """A model of Unity Catalog: what it holds after the actions."""
    after = dict(state)
    for action in actions:
        key = (action.kind, action.name)
        if action.what == "object":
            if action.sign == "-":
                del after[key]
            else:
                assert key not in after
                after[key] = bare(desired[key])
            continue
        one = after[key]
        column = one.columns.get(action.column, Column())
        if action.what == "setting":
            one = replace(one, settings={**one.settings, action.key: action.after})
        elif action.what == "comment" and not action.column:
            one = replace(one, comment=action.after)
        elif action.what == "comment":
            column = replace(column, comment=action.after)
        elif action.what == "mask":
            column = replace(column, mask=action.after)
        elif action.what == "tag" and not action.column:
            one = replace(one, tags=with_tag(one.tags, action))
        elif action.what == "tag":
            column = replace(column, tags=with_tag(column.tags, action))
        else:
            before = one.grants.get(action.key, frozenset())
            now = before - {action.before} | ({action.after} if action.after else set())
            grants = {**one.grants, action.key: now}
            one = replace(one, grants={who: privileges for who, privileges in grants.items() if privileges})
        if action.column:
            one = replace(one, columns={**one.columns, action.column: column})
        after[key] = one
    return after


def with_tag(tags, action):
    return {
        **{k: v for k, v in tags.items() if k != action.key},
        **({action.key: action.after} if action.after else {}),
    }


words = st.sampled_from(["a", "b", "c"])
tags = st.dictionaries(words, words, max_size=2)
columns = st.fixed_dictionaries(
    {name: st.builds(Column, words, tags, st.sampled_from(["", "masks.a", "masks.b"])) for name in ("x", "y")}
)
grants = st.dictionaries(words, st.frozensets(words, min_size=1, max_size=2), max_size=2)


@st.composite
def states(draw: st.DrawFn) -> State:
    found = []
    for kind in KINDS:
        for name in draw(st.frozensets(words, max_size=2)):
            settings_ = {"definition": draw(words)} if kind == "function" else {}
            found.append(
                Securable(
                    *(kind, name, settings_, draw(words), draw(tags), draw(grants)),
                    columns=draw(columns) if kind == "table" else {},
                )
            )
    return state_of(found)


@settings(max_examples=300, deadline=None)
@given(desired=states(), actual=states())
def test_a_plan_carried_out_gives_the_wanted_state_from_any_other(desired: State, actual: State) -> None:
    found = plan(desired, actual)
    assert carried_out(actual, desired, [*found.removals, *found.changes]) == desired


@settings(max_examples=100, deadline=None)
@given(state=states())
def test_where_all_is_as_wanted_nothing_is_planned(state: State) -> None:
    found = plan(state, state)
    assert (found.changes, found.removals, found.kept, found.conflicts, found.notes) == ((), (), (), (), ())


@settings(max_examples=100, deadline=None)
@given(desired=states(), actual=states())
def test_without_removals_whatever_was_there_stays(desired: State, actual: State) -> None:
    after = carried_out(actual, desired, list(plan(desired, actual).changes))
    assert set(after) == {*desired, *actual}
    for key, one in actual.items():
        for principal, privileges in one.grants.items():
            assert privileges <= after[key].grants[principal]
        assert set(one.tags) <= set(after[key].tags)


def test_from_nothing_everything_is_made_after_what_it_needs(desired: State) -> None:
    found = plan(desired, {})
    made = [KINDS.index(a.kind) for a in found.changes if a.what == "object"]
    assert made == sorted(made)
    assert len(made) == len(desired)
    assert carried_out({}, desired, list(found.changes)) == desired


def test_every_mask_is_on_before_anybody_is_given_anything(desired: State) -> None:
    whats = [action.what for action in plan(desired, {}).changes]
    assert whats.count("mask") > 0
    assert max(i for i, what in enumerate(whats) if what == "mask") < whats.index("grant")


def test_a_table_is_masked_before_the_next_one_is_made(desired: State) -> None:
    """Even a run that dies leaves no table in clear behind, but for the one it was at."""
    unmasked: set[str] = set()
    for action in plan(desired, {}).changes:
        if action.what == "object" and action.kind == "table":
            assert unmasked == set()
            wanted = desired[action.kind, action.name]
            unmasked = {f"{wanted.name}.{c}" for c, column in wanted.columns.items() if column.mask}
        if action.what == "mask":
            unmasked.discard(f"{action.name}.{action.column}")


def test_what_cannot_be_changed_in_place_is_a_conflict(desired: State) -> None:
    key = ("table", "shop_dev.silver.users")
    elsewhere = {**desired, key: replace(desired[key], settings={"location": "abfss://other@x.dfs.core.windows.net"})}
    (conflict,) = plan(desired, elsewhere).conflicts
    assert "shop_dev.silver.users" in conflict
    assert "drop it by hand" in conflict


def test_a_column_that_the_table_lacks_waits_for_the_next_write(desired: State) -> None:
    key = ("table", "shop_dev.silver.users")
    columns = {name: column for name, column in desired[key].columns.items() if name != "birth_number"}
    older = {**desired, key: replace(desired[key], columns=columns)}
    found = plan(desired, older)
    assert found.changes == ()
    assert "birth_number" in found.notes[0]


# ---- what is wanted ----


def test_nobody_gets_more_than_the_grants_table_says(desired: State) -> None:
    privileges = {p for one in desired.values() for granted in one.grants.values() for p in granted}
    assert privileges == {
        *("USE_CATALOG", "USE_SCHEMA", "SELECT", "MODIFY", "CREATE_TABLE", "CREATE_EXTERNAL_TABLE"),
        *("READ_VOLUME", "WRITE_VOLUME"),
    }
    readable = {
        who: sorted(one.name for one in of_kind(desired, "schema") if "SELECT" in one.grants.get(who, ()))
        for who in ("shop-readers", "shop-analysts", "shop-engineers", "shop-sensitive")
    }
    assert readable == {
        "shop-readers": ["shop_dev.gold"],
        "shop-analysts": ["shop_dev.gold", "shop_dev.silver", "shop_dev.streams"],
        "shop-engineers": ["shop_dev.bronze", "shop_dev.quarantine"],
        "shop-sensitive": ["shop_dev.sensitive"],
    }
    changing = {"MODIFY", "WRITE_VOLUME", "CREATE_TABLE", "CREATE_EXTERNAL_TABLE"}
    assert {who for one in desired.values() for who, has in one.grants.items() if has & changing} == {STEP}


def test_only_sensitive_readers_and_steps_come_near_personal_data_in_clear(desired: State) -> None:
    sensitive = [one for one in desired.values() if one.name.startswith(("shop_dev.sensitive", "shop_dev_sensitive"))]
    assert {who for one in sensitive for who in one.grants} == {"shop-sensitive", STEP}


def test_every_column_in_clear_is_masked_and_no_other(desired: State) -> None:
    masked = {
        f"{one.name.split('.', 1)[1]}.{name}": column.mask.rsplit(".", 1)[1]
        for one in of_kind(desired, "table")
        for name, column in one.columns.items()
        if column.mask
    }
    users = {
        **{"name": "first_letter", "street_address": "hide", "phone_number": "hide", "birth_number": "hide"},
        **{"_rescued_data": "hide"},
    }
    pageviews = {"client_ip": "hide", "_rescued_data": "hide"}
    others = {name: {"_rescued_data": "hide"} for name in ("products", "stars", "vip_users")}
    assert masked == {
        f"sensitive.{layer}_{data_set}.{column}": function
        for layer in ("bronze", "quarantine")
        for data_set, wanted in {"users": users, "pageviews": pageviews, **others}.items()
        for column, function in wanted.items()
    }


def test_without_column_masks_there_are_no_functions_and_the_grants_stay(tmp_path: Path, desired: State) -> None:
    without = desired_state(config(tmp_path, column_masks=False), contracts(), manifest())
    assert of_kind(without, "function") == []
    assert {c.mask for one in of_kind(without, "table") for c in one.columns.values()} == {""}
    assert {key: one.grants for key, one in without.items()} == {
        key: one.grants for key, one in desired.items() if one.kind != "function"
    }


def test_the_names_in_a_mask_cannot_end_its_literal(tmp_path: Path) -> None:
    groups = {"readers": "a", "analysts": "b", "engineers": "c", "sensitive_readers": "x') OR true --"}
    state = desired_state(config(tmp_path, groups=groups), contracts(), manifest())
    definition = state["function", "shop_dev.masks.hide"].settings["definition"]
    assert "is_account_group_member('x\\') OR true --')" in definition


def test_every_table_of_every_contract_and_model_is_there_described(desired: State) -> None:
    tables = {one.name for one in of_kind(desired, "table")}
    for contract in contracts().values():
        zone = "sensitive.{}_" if contract.sensitive else "{}."
        assert f"shop_dev.{zone.format('bronze')}{contract.name}" in tables
        assert f"shop_dev.{zone.format('quarantine')}{contract.name}" in tables
        assert f"shop_dev.silver.{contract.name}" in tables
    assert {"shop_dev.gold.engagements", "shop_dev.gold.daily_sales"} <= tables
    for one in of_kind(desired, "table"):
        assert one.comment
        assert one.tags["domain"] == "shop"
        assert one.tags["owner"] == "team:shop"
        assert all(column.comment for column in one.columns.values())


def test_locations_do_not_overlap_and_cover_what_lies_on_storage(desired: State) -> None:
    locations = [one.settings["url"] + "/" for one in of_kind(desired, "external location")]
    assert all(one is other or not one.startswith(other) for one in locations for other in locations)
    assert all(one.startswith(f"{ROOT}/") for one in locations)
    places = [one.settings.get("location", "") + "/" for kind in ("table", "volume") for one in of_kind(desired, kind)]
    for place in (place for place in places if place != "/"):
        assert sum(place.startswith(location) for location in locations) == 1
        assert sum(place.startswith(other) for other in places if other != "/") == 1, "tables and volumes overlap"
    sensitive = desired["external location", "shop_dev_sensitive"].settings["url"] + "/"
    for one in of_kind(desired, "table"):
        assert one.settings["location"].startswith(sensitive) == (one.tags["pii"] in ("clear", "possible"))
