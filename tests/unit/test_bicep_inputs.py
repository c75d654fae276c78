"""What Bicep takes from the contracts: that the files are those the contracts make, and what a new contract changes."""

import dataclasses

import pytest

from dagster_lake.contract.model import Contract, EventHubSource, contracts
from dagster_lake.deploy.bicep_inputs import MOST_RULES, BicepInputError, Hub, Retention, generated, hubs, retention

COMMAND = "python -m dagster_lake.deploy.bicep_inputs"


def test_the_files_are_those_that_the_contracts_and_streams_make() -> None:
    for file, text in generated().items():
        assert file.read_text() == text, f"run {COMMAND}"


def test_a_data_set_with_personal_data_is_kept_in_its_own_zone() -> None:
    rules = {rule.name: rule for rule in retention(contracts(), {})}
    assert rules["raw-users"] == Retention("raw-users", "sensitive/raw/users", 730)
    assert rules["raw-orders"] == Retention("raw-orders", "raw/orders", 1825)
    assert rules["captured-pageviews"] == Retention("captured-pageviews", "landing/pageviews", 90)
    assert "captured-users" not in rules  # what is dropped there is a snapshot, and all of it counts


def with_changes(name: str, **changes: object) -> dict[str, Contract]:
    return {**contracts(), name: dataclasses.replace(contracts()[name], **changes)}  # type: ignore[arg-type]


def test_a_data_set_without_retention_is_kept() -> None:
    names = {rule.name for rule in retention(with_changes("pageviews", retention_days=None), {})}
    assert not {"raw-pageviews", "captured-pageviews"} & names
    assert "raw-stars" in names


def test_a_new_event_data_set_has_a_hub() -> None:
    assert hubs(contracts()) == [Hub("pageviews", "landing/pageviews"), Hub("stars", "landing/stars")]
    moved = with_changes("stars", source=EventHubSource("ratings"))
    assert hubs(moved) == [Hub("pageviews", "landing/pageviews"), Hub("ratings", "landing/stars")]


def test_capture_writes_to_where_the_contract_has_it_read() -> None:
    read = with_changes("stars", source=EventHubSource("stars", capture="captured/stars/"))
    assert hubs(read)[1] == Hub("stars", "landing/captured/stars")
    assert Retention("captured-stars", "landing/captured/stars", 365) in retention(read, {})
    elsewhere = with_changes(
        "stars", source=EventHubSource("stars", capture="abfss://other@account.dfs.core.windows.net")
    )
    assert hubs(elsewhere)[1] == Hub("stars", "landing/stars")


def test_a_hub_of_several_data_sets_is_made_once_and_captured_for_the_one_that_reads_that() -> None:
    both = with_changes("stars", source=EventHubSource("pageviews", capture="both"))
    assert hubs(both) == [Hub("pageviews", "landing/both")]


def test_data_sets_of_one_folder_that_are_kept_differently_are_told() -> None:
    both = {
        **with_changes("stars", source=EventHubSource("stars", capture="captured")),
        "pageviews": dataclasses.replace(
            contracts()["pageviews"], source=EventHubSource("pageviews", capture="captured")
        ),
    }
    with pytest.raises(
        BicepInputError, match=r"captured-pageviews and captured-stars are both landing/captured.*capture"
    ):
        retention(both, {})


def test_files_of_a_stream_s_sink_are_kept_no_longer_than_what_they_are_made_of() -> None:
    from dagster_lake.dbt_runner.manifest import manifest
    from dagster_lake.streams.declarations import stream_declarations

    rules = retention(contracts(), stream_declarations(manifest()))
    dropped = [rule for rule in rules if rule.name.startswith("dropped-")]
    assert dropped == [Retention("dropped-high-latency-alerts", "drops/high_latency_alerts", 90)]


def test_a_stream_is_kept_as_long_as_the_shortest_of_what_it_is_made_of() -> None:
    from dagster_lake.dbt_runner.manifest import manifest
    from dagster_lake.streams.declarations import stream_declarations

    streams = stream_declarations(manifest())
    both = streams["pageviews_stars_correlation"]
    assert set(both.inputs) == {"pageviews", "stars"}
    [rule] = [r for r in retention(contracts(), {both.name: both}) if r.name.startswith("streamed-")]
    assert rule == Retention("streamed-pageviews-stars-correlation", f"stream_analytics/{both.name}", 90)
    none = with_changes("pageviews", retention_days=None)
    [rule] = [r for r in retention(none, {both.name: both}) if r.name.startswith("streamed-")]
    assert rule.days == contracts()["stars"].retention_days


def test_more_rules_than_azure_takes_are_told() -> None:
    orders = contracts()["orders"]
    many = {f"orders_{i}": dataclasses.replace(orders, name=f"orders_{i}") for i in range(MOST_RULES + 1)}
    with pytest.raises(BicepInputError, match=rf"{MOST_RULES + 1} folders have a retention.*slaProperties\.retention"):
        retention(many, {})
