"""Telling Dagster what ``lake stream`` has finished, so that its graph and its automation know."""

from collections.abc import Mapping

import dagster as dg

from dagster_lake.asset_keys import bronze_key, quarantine_key, raw_key, silver_key
from dagster_lake.contract.model import contracts
from dagster_lake.dbt_runner.manifest import STREAMS
from dagster_lake.live.tables import stream_models


def report_finished(hours: Mapping[str, list[str]]) -> None:
    """Reports a materialization of every asset of these finished hours, by data set, upstream before downstream.

    The streams count as materialised in the hours of all their data sets. Raises what Dagster raises where
    DAGSTER_HOME names no instance.
    """
    with dg.DagsterInstance.get() as instance:
        for layer in (raw_key, bronze_key, silver_key, quarantine_key):
            for name, of_data_set in hours.items():
                _report(instance, layer(contracts()[name]), of_data_set)
        finished = sorted({hour for of_data_set in hours.values() for hour in of_data_set})
        for model in stream_models():
            _report(instance, dg.AssetKey([STREAMS, model.split(".")[-1]]), finished)


def _report(instance: dg.DagsterInstance, key: dg.AssetKey, hours: list[str]) -> None:
    for hour in hours:
        instance.report_runless_asset_event(
            dg.AssetMaterialization(key, description="Made by lake stream.", partition=hour)
        )
