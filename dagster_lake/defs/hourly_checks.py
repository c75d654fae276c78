"""Checks of hourly tables, one result an hour, so that Dagster shows which hour failed.

Dagster (1.13, where it is a preview) gives a result its partition in a run of one partition. In a run over a range it
stores one result without any (``AssetCheckResult.to_asset_check_evaluation``), and leaves the check planned in each
hour. So there each hour's evaluation is made here, as Dagster would make it.
"""

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from dagster_lake.contract.model import Contract
from dagster_lake.defs.partitions import hourly
from dagster_lake.defs.show.metadata import balance_table
from dagster_lake.engines.step import Counts

Context = dg.AssetExecutionContext | dg.AssetCheckExecutionContext
Evaluated = dg.AssetCheckResult | dg.AssetCheckEvaluation | dg.Output[None]
"""What the function of an asset or of checks yields for a check."""
_PAGE = 1000


def hourly_check(name: str, **given: Any) -> dg.AssetCheckSpec:
    """A check with a result for each hour; its asset is partitioned by the hour."""
    with warnings.catch_warnings(action="ignore", category=dg.PreviewWarning):
        return dg.AssetCheckSpec(name, partitions_def=hourly, **given)


def check_of(contract: Contract, name: str, **given: Any) -> dg.AssetCheckSpec:
    """A check of a contract's table: by the hour, where the table is."""
    return dg.AssetCheckSpec(name, **given) if contract.cadence == "snapshot" else hourly_check(name, **given)


def evaluated(
    context: Context,
    key: dg.AssetCheckKey,
    hours: Collection[str] | None,
    judged: Callable[[Collection[str] | None], dg.AssetCheckResult],
) -> Iterator[Evaluated]:
    """The results of the check ``key``: as ``judged`` of each of the ``hours`` alone, or of all there is for None; none
    where the check is not selected.

    ``hours`` are those of the run, and others that its step has made as well.
    """
    if key not in context.selected_asset_check_keys:
        return
    layer = context.job_def.asset_layer
    if layer.asset_graph.get(key).partitions_def is None:
        yield _named(judged(hours), key)
        return
    own = context.partition_key if context.has_partition_key else None
    if own is not None and hours is not None and own in hours:
        yield _named(judged([own]), key)
        others: Sequence[str | None] = sorted({*hours} - {own})
    else:
        # Without hours the check runs by itself: Dagster cannot make its result then either.
        output = layer.get_op_output_name(key)
        assert output is not None
        yield dg.Output(None, output_name=output)
        others = [None] if hours is None else sorted(hours)
    made = _materializations(context.instance, key.asset_key, {hour for hour in others if hour is not None})
    for hour in others:
        yield _evaluation(context, key, hour, judged(None if hour is None else [hour]), made.get(hour or ""))


def no_rows(
    broken: Mapping[str, int], severity: dg.AssetCheckSeverity, hours: Collection[str] | None
) -> dg.AssetCheckResult:
    """That no row of some hours, or of any partition, is among the ``broken`` ones, which are counted by partition."""
    rows = sum(count for partition, count in broken.items() if hours is None or partition in hours)
    return dg.AssetCheckResult(passed=rows == 0, severity=severity, metadata={"rows": rows})


def balanced(counts: Mapping[str, Counts], hours: Collection[str] | None) -> dg.AssetCheckResult:
    """That every row of some hours, or of all partitions that were made, is accounted for."""
    of = {p: count for p, count in counts.items() if hours is None or p in hours}
    lost = {p: count for p, count in of.items() if not count.balanced}
    return dg.AssetCheckResult(passed=not lost, metadata={"balance": dg.MetadataValue.md(balance_table(lost or of))})


def _named(result: dg.AssetCheckResult, key: dg.AssetCheckKey) -> dg.AssetCheckResult:
    return result._replace(asset_key=key.asset_key, check_name=key.name)


def _evaluation(
    context: Context,
    key: dg.AssetCheckKey,
    hour: str | None,
    result: dg.AssetCheckResult,
    of: AssetCheckEvaluationTargetMaterializationData | None,
) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=result.passed,
        metadata=result.metadata,
        target_materialization_data=of,
        severity=result.severity,
        description=result.description,
        blocking=context.job_def.asset_layer.asset_graph.get_check_spec(key).blocking,
        partition=hour,
    )


def _materializations(
    instance: dg.DagsterInstance, asset: dg.AssetKey, hours: Collection[str]
) -> Mapping[str, AssetCheckEvaluationTargetMaterializationData]:
    """The newest materialisation of each hour. A result that names an earlier one, or none, Dagster does not show."""
    made = dg.DagsterEventType.ASSET_MATERIALIZATION
    newest = instance.event_log_storage.get_latest_storage_id_by_partition(asset, made, {*hours}) if hours else {}
    found, all_ids = {}, sorted(newest.values())
    for start in range(0, len(all_ids), _PAGE):
        ids = all_ids[start : start + _PAGE]
        wanted = dg.AssetRecordsFilter(asset_key=asset, storage_ids=ids)
        for record in instance.fetch_materializations(wanted, limit=len(ids)).records:
            found[str(record.partition_key)] = AssetCheckEvaluationTargetMaterializationData(
                storage_id=record.storage_id, run_id=record.run_id, timestamp=record.timestamp
            )
    return found
