"""Stream Analytics beside the lake: its outputs as external assets, and a check that they agree with the streams."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import ValidationError

from dagster_lake.assets.markdown import table
from dagster_lake.assets.partitions import hourly, hours_if_any
from dagster_lake.resources.lake import LakeResource
from dagster_lake.settings import Settings

if TYPE_CHECKING:
    from dagster_lake.lake_hour import HourRange
    from dagster_lake.reconcile.compare import Comparison, Hour
    from dagster_lake.stream_declarations import StreamDeclaration

CHECK = "agrees_with_stream_analytics"
GROUP = "stream_analytics"
_MOST_HOURS = 48


def computed_there(streams: "Collection[StreamDeclaration]") -> "list[StreamDeclaration]":
    """The streams that Stream Analytics computes too: none without LAKE_STREAM_ANALYTICS, as in most lakes.

    Called while the definitions load: settings that cannot be used are left for a run to tell of.
    """
    try:
        return [s for s in streams if s.stream_analytics is not None] if Settings().stream_analytics else []
    except ValidationError:
        return []


def stream_analytics_assets(streams: "Collection[StreamDeclaration]") -> list[dg.AssetSpec]:
    """What Stream Analytics writes, as assets that Dagster does not make: of the streams that declare it."""
    return [
        dg.AssetSpec(
            [GROUP, stream.name],
            deps=[dg.AssetKey(["sources", name]) for name in stream.inputs],
            group_name=GROUP,
            kinds={"azure", "parquet" if query.format == "parquet" else "json"},
            owners=["team:shop"],
            partitions_def=hourly,
            description=f"streams.{stream.name} as Azure Stream Analytics computes it: files in {GROUP}/{stream.name}.",
        )
        for stream in streams
        if (query := stream.stream_analytics) is not None
    ]


def stream_analytics_checks(streams: "Collection[StreamDeclaration]") -> list[dg.AssetChecksDefinition]:
    """A check of each stream that Stream Analytics makes too, all of them in one step."""
    by_key = {dg.AssetKey(["streams", stream.name]): stream for stream in streams if stream.stream_analytics}

    @dg.multi_asset_check(
        name=f"checks__{GROUP}",
        specs=[
            dg.AssetCheckSpec(
                CHECK,
                asset=key,
                additional_deps=[dg.AssetKey([GROUP, stream.name])],
                description="Hour by hour, Stream Analytics wrote the rows that the lake has computed.",
            )
            for key, stream in by_key.items()
        ],
        can_subset=True,
    )
    def checks(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> Iterator[dg.AssetCheckResult]:
        hours = hours_if_any(context)
        for key in sorted(context.selected_asset_check_keys):
            yield _checked(key, lake, by_key[key.asset_key], hours)

    return [checks] if by_key else []


def _checked(
    key: dg.AssetCheckKey, lake: LakeResource, stream: "StreamDeclaration", hours: "HourRange | None"
) -> dg.AssetCheckResult:
    """The result for one stream; where nothing can be compared, it says so and passes."""
    import duckdb

    from dagster_lake.reconcile.compare import Comparison
    from dagster_lake.reconcile.outputs import FOLDER, outputs_of
    from dagster_lake.reconcile.stream import reconciled, settled_hours, shape_of
    from dagster_lake.storage.delta import pin

    def result(passed: bool, said: str, comparison: Comparison | None = None) -> dg.AssetCheckResult:
        return dg.AssetCheckResult(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=passed,
            description=said,
            metadata=_metadata(comparison or Comparison([], [])),
        )

    ours = pin(lake.lake.table("streams", stream.name))
    if ours is None:
        return result(True, "not compared: the lake has no table of this stream yet")
    if not outputs_of(lake.lake, stream.name).exists():
        return result(False, f"{FOLDER}/{stream.name} is missing in the lake: does the job run, and write there?")
    settled = settled_hours(lake.lake, stream, ours.partitions() if hours is None else hours.keys)
    if not settled:
        return result(True, "not compared: no hour of this run is complete, with the hour after it")
    try:
        comparison = reconciled(lake.settings, lake.lake, stream, ours, settled)
    except duckdb.Error as error:
        return result(False, f"a file of Stream Analytics cannot be read: {error}", None)
    unlike = comparison.disagreeing(shape_of(stream, ours.schema))
    return result(not unlike, _said(comparison, unlike), comparison)


def _said(comparison: "Comparison", unlike: "list[Hour]") -> str:
    if not unlike:
        return f"{len(comparison.hours)} hours agree"
    shown = "; ".join(f"{hour.hour}: {hour.ours:,} rows here, {hour.theirs:,} there" for hour in unlike[:3])
    return f"{len(unlike)} of {len(comparison.hours)} hours differ ({shown}{', ...' if len(unlike) > 3 else ''})"


def _metadata(comparison: "Comparison") -> dict[str, dg.MetadataValue]:
    hours = [
        (h.hour, h.ours, h.theirs, h.only_ours, h.only_theirs, h.differing, h.repeated)
        for h in comparison.hours[-_MOST_HOURS:]
    ]
    names = ("lake hour", "rows here", "rows there", "only here", "only there", "differing", "delivered again")
    metadata: dict[str, dg.MetadataValue] = {"hours_compared": dg.MetadataValue.int(len(comparison.hours))}
    if hours:
        metadata["hours"] = dg.MetadataValue.md(table(names, hours))
    if comparison.differences:
        rows = [(d.hour, d.key, d.what) for d in comparison.differences]
        metadata["differences"] = dg.MetadataValue.md(table(("lake hour", "row", "what differs"), rows, widest=300))
    return metadata
