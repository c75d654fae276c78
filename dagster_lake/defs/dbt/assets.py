"""The dbt models as Dagster assets, and the dbt tests as checks of them.

Three multi-assets: the streams and the hourly chain of gold, both partitioned by lake hour, and the tables that are
computed whole. Each runs dbt once, in process, for what is selected of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_dbt import DagsterDbtTranslator, DagsterDbtTranslatorSettings

from dagster_lake import clock
from dagster_lake.dbt_runner.manifest import HOURLY_TAG, STREAMS, manifest
from dagster_lake.dbt_runner.run import NodeResult, build
from dagster_lake.defs.code_version import of_model
from dagster_lake.defs.conditions import gold_follows, streams_follow, whole_gold_follows
from dagster_lake.defs.dbt.columns import column_lineage, column_schema
from dagster_lake.defs.partitions import hourly, hours_of
from dagster_lake.defs.steps import tried_again
from dagster_lake.lake_hour import HourRange, hour_key, hour_of
from dagster_lake.lake_resource import LakeResource
from dagster_lake.storage.unfinished import GOLD, begin, end
from dagster_lake.storage.unfinished import STREAMS as STREAM_MODELS


class DbtConfig(dg.Config):
    """``full_refresh`` computes everything anew, whatever hour the run is for."""

    full_refresh: bool = False


class LakeTranslator(DagsterDbtTranslator):
    """A dbt model or source is the asset <schema>/<name>; group and owners come from ``meta.dagster``."""

    def get_asset_key(self, dbt_resource_props: Mapping[str, Any]) -> dg.AssetKey:
        """``gold/engagements``, ``silver/users``; of a table that is made along with another, that one's."""
        made_with = dbt_resource_props["meta"].get("dagster", {}).get("asset_key")
        if made_with:
            return dg.AssetKey(made_with)
        return dg.AssetKey([dbt_resource_props["schema"], dbt_resource_props["name"]])

    def get_description(self, dbt_resource_props: Mapping[str, Any]) -> str:
        """The model's own description; its SQL is in metadata."""
        return " ".join(dbt_resource_props["description"].split())

    def get_metadata(self, dbt_resource_props: Mapping[str, Any]) -> Mapping[str, Any]:
        """Columns, where each comes from, and the model's SQL."""
        key = self.get_asset_key(dbt_resource_props)
        return {
            **super().get_metadata(dbt_resource_props),
            "dagster/table_name": ".".join(key.path),
            "dagster/column_schema": column_schema(dbt_resource_props),
            **(
                {"sql": dg.MetadataValue.md(f"```sql\n{dbt_resource_props['raw_code']}\n```")}
                if dbt_resource_props["resource_type"] == "model"
                else {}
            ),
        }


def dbt_assets() -> list[dg.AssetsDefinition]:
    """The streams, the hourly chain and the full tables."""
    found = manifest()
    models = [node for node in found["nodes"].values() if node["resource_type"] == "model"]
    streams = [node for node in models if node["schema"] == STREAMS]
    gold = [node for node in models if node["schema"] != STREAMS]
    hourly_gold = [node for node in gold if HOURLY_TAG in node["tags"]]
    full_gold = [node for node in gold if HOURLY_TAG not in node["tags"]]
    return [
        *([_multi_asset("streams", found, streams, hourly, streams_follow())] if streams else []),
        *([_multi_asset("gold_hourly", found, hourly_gold, hourly, gold_follows())] if hourly_gold else []),
        *([_multi_asset("gold_full", found, full_gold, None, whole_gold_follows())] if full_gold else []),
    ]


def _multi_asset(
    name: str,
    found: Mapping[str, Any],
    models: Iterable[Mapping[str, Any]],
    partitions: dg.PartitionsDefinition[str] | None,
    automation: dg.AutomationCondition,
) -> dg.AssetsDefinition:
    translator = LakeTranslator(DagsterDbtTranslatorSettings(enable_source_metadata=False))
    specs, nodes_by_key = [], {}
    for model in models:
        spec = translator.get_asset_spec(found, model["unique_id"], None)
        specs.append(
            spec.replace_attributes(
                kinds={"dbt", "delta"},
                group_name=model["schema"],
                automation_condition=automation,
                code_version=of_model(model, found["macros"]),
            ).merge_attributes(metadata={"dagster/column_lineage": column_lineage(found, model, translator)})
        )
        nodes_by_key[spec.key] = model["unique_id"]
    checks = list(_checks(found, translator, specs))
    what = STREAM_MODELS if name == STREAMS else GOLD
    tests_by_key = {check.key: check.metadata["dagster_dbt/unique_id"] for check in checks}

    @dg.multi_asset(
        name=name,
        specs=specs,
        check_specs=checks,
        can_subset=True,
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=name,
        allow_arbitrary_check_specs=True,
    )
    @tried_again
    def assets(
        context: dg.AssetExecutionContext, config: DbtConfig, lake: LakeResource
    ) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckResult]:
        wanted = {nodes_by_key[key]: key for key in context.selected_asset_keys}
        tests = {tests_by_key[key]: key for key in context.selected_asset_check_keys}
        hours = hours_of(context) if partitions else None
        noted = hours.keys if hours is not None and {*wanted} == {*nodes_by_key.values()} else []
        if name == STREAMS and hours is not None:
            _note_time(lake, hours)
        begin(lake.lake, what, noted)
        results = build([*wanted, *tests], hours, lake.lake, lake.settings, full_refresh=config.full_refresh)
        for result in results:
            context.log.info(f"{result.name}: {result.status} {result.message} ({result.seconds:.2f} s)")
            if result.unique_id in wanted and result.ok:
                for further in _further(wanted[result.unique_id], result):
                    context.log_event(further)
                yield _materialized(wanted[result.unique_id], result, lake.settings.engine)
            elif result.unique_id in tests and result.status != "skipped":
                yield _checked(tests[result.unique_id], result)
        end(lake.lake, what, noted)

    return assets


def _note_time(lake: LakeResource, hours: HourRange) -> None:
    """Of the open hour: up to when all events are known, though none came lately, so that rows can be final."""
    from dagster_lake.contract.model import EventHubSource
    from dagster_lake.streams.alerts.settled import settled_until
    from dagster_lake.streams.settled import note_time

    if hour_key(hour_of(clock.utc_now())) in hours.keys:
        events = [name for name, contract in lake.contracts.items() if isinstance(contract.source, EventHubSource)]
        note_time(lake.lake, settled_until(lake.lake, lake.sources, events))


def _checks(
    found: Mapping[str, Any], translator: LakeTranslator, specs: Iterable[dg.AssetSpec]
) -> Iterator[dg.AssetCheckSpec]:
    """The dbt tests of these models; a test of severity error blocks what is downstream."""
    tests = [node for node in found["nodes"].values() if node["resource_type"] == "test"]
    for spec in specs:
        for test in tests:
            check = translator.get_asset_check_spec(spec, found, test["unique_id"], None)
            if check is not None:
                yield check._replace(description=test.get("description") or _of_its_kind(test, found))


_OF_DBT = {
    "not_null": "{column_name} is never missing.",
    "relationships": "Every {column_name} is one of the {field} of {to}.",
    "unique": "No two rows have the same {column_name}.",
}


def _of_its_kind(test: Mapping[str, Any], found: Mapping[str, Any]) -> str | None:
    """What a test without a description says: its kind's description, with its arguments; None for one of its own."""
    if (kind := test.get("test_metadata")) is None:
        return None
    macro = found["macros"].get(f"macro.{test['package_name']}.test_{kind['name']}", {})
    said = macro.get("description") or _OF_DBT.get(kind["name"])
    given = defaultdict(lambda: "any number", {name: _in_words(value) for name, value in kind["kwargs"].items()})
    return said.format_map(given) if said else None


def _in_words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _checked(key: dg.AssetCheckKey, result: NodeResult) -> dg.AssetCheckResult:
    severity = dg.AssetCheckSeverity.WARN if result.status == "warn" else dg.AssetCheckSeverity.ERROR
    return dg.AssetCheckResult(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=result.status == "pass",
        severity=severity,
        description=result.message or None,
        metadata={
            "seconds": result.seconds,
            **({"failing_rows": result.failures} if result.failures is not None else {}),
            **({"compiled_sql": dg.MetadataValue.path(str(result.sql_file))} if result.sql_file else {}),
        },
    )


def _materialized(key: dg.AssetKey, result: NodeResult, engine: str) -> dg.MaterializeResult[None]:
    from dagster_lake.defs.show.preview import preview
    from dagster_lake.defs.show.stream_plots import stream_plots

    written = result.written
    if written is None:
        raise RuntimeError(f"dbt reports {result.name} as built, but nothing was stored")
    table = written.pinned
    rows: dict[str, Any] = {}
    if key.path[0] == STREAMS:
        hours = table.partitions() if written.partitions is None else written.partitions
        rows |= {name: dg.MetadataValue.md(plot) for name, plot in stream_plots(table, hours).items()}
    if written.partitions is not None:
        rows |= {
            "dagster/partition_row_count": table.rows(written.partitions),
            "replaced_partitions": dg.MetadataValue.text(_listed(written.partitions)),
        }
    return dg.MaterializeResult(
        asset_key=key,
        metadata={
            "dagster/row_count": table.rows(),
            **rows,
            "dagster/uri": str(table.uri),
            "bytes": table.bytes(),
            "delta_version": table.version,
            "seconds": result.seconds,
            "engine": engine,
            "preview": dg.MetadataValue.md(preview(table)),
        },
    )


def _further(key: dg.AssetKey, result: NodeResult) -> list[dg.AssetMaterialization]:
    """What Dagster is told of the hours that were computed beyond those of the run."""
    why = "Computed by a run of another hour: silver of this hour was written since this table last read it."
    return [dg.AssetMaterialization(key, description=why, partition=hour) for hour in result.further]


def _listed(partitions: tuple[str, ...]) -> str:
    if len(partitions) <= 24:
        return ", ".join(partitions) or "none"
    return f"{partitions[0]} to {partitions[-1]} ({len(partitions)})"
