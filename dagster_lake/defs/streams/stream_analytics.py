"""Stream Analytics beside the lake: its outputs as external assets, and a check that they agree with the streams."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import ValidationError

from dagster_lake.defs.hourly_checks import Evaluated, evaluated, hourly_check
from dagster_lake.defs.partitions import hourly, hours_if_any
from dagster_lake.defs.show.markdown import table
from dagster_lake.lake_resource import LakeResource
from dagster_lake.settings.lake import Settings
from dagster_lake.settings.project import ProjectSettings

if TYPE_CHECKING:
    from dagster_lake.lake_hour import HourRange
    from dagster_lake.streams.declarations import StreamDeclaration
    from dagster_lake.streams.stream_analytics.compare import Comparison, Hour

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
            owners=[ProjectSettings().owner],
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
            hourly_check(
                CHECK,
                asset=key,
                additional_deps=[dg.AssetKey([GROUP, stream.name])],
                description="Hour by hour, Stream Analytics wrote the rows that the lake has computed.",
            )
            for key, stream in by_key.items()
        ],
        can_subset=True,
    )
    def checks(context: dg.AssetCheckExecutionContext, lake: LakeResource) -> Iterator[Evaluated]:
        run = hours_if_any(context)
        for key in sorted(context.selected_asset_check_keys):
            found = _compared(lake, by_key[key.asset_key], run)
            hours = None if run is None else {*run.keys, *(hour.hour for hour in found.comparison.hours)}
            yield from evaluated(context, key, hours, found.judged)

    return [checks] if by_key else []


@dataclass(frozen=True)
class _Found:
    """What was compared and which hours differ; and what is said, and whether it is good, of an hour that was not."""

    comparison: "Comparison"
    unlike: "list[Hour]"
    otherwise: str
    good: bool = True

    def judged(self, hours: Collection[str] | None) -> dg.AssetCheckResult:
        """The result for some hours, or for all that were compared; where nothing can be compared, it says so."""
        comparison = replace(
            self.comparison,
            hours=[hour for hour in self.comparison.hours if hours is None or hour.hour in hours],
            differences=[one for one in self.comparison.differences if hours is None or one.hour in hours],
        )
        unlike = [hour for hour in self.unlike if hour in comparison.hours]
        compared = bool(comparison.hours)
        return dg.AssetCheckResult(
            passed=not unlike if compared else self.good,
            description=_said(comparison, unlike) if compared else self.otherwise,
            metadata=_metadata(comparison),
        )


def _compared(lake: LakeResource, stream: "StreamDeclaration", hours: "HourRange | None") -> _Found:
    import duckdb

    from dagster_lake.storage.delta.write import pin
    from dagster_lake.streams.stream_analytics.compare import Comparison
    from dagster_lake.streams.stream_analytics.outputs import FOLDER, outputs_of
    from dagster_lake.streams.stream_analytics.reconcile import reconciled, settled_hours, shape_of

    nothing = partial(_Found, Comparison([], []), [])
    ours = pin(lake.lake.table("streams", stream.name))
    if ours is None:
        return nothing("not compared: the lake has no table of this stream yet")
    if not outputs_of(lake.lake, stream.name).exists():
        why = f"{FOLDER}/{stream.name} is missing in the lake: does the job run, and write there?"
        return nothing(why, good=False)
    settled = settled_hours(lake.lake, stream, ours.partitions() if hours is None else hours.keys)
    unsettled = "not compared: no hour of this run is complete, with the hour after it"
    if not settled:
        return nothing(unsettled)
    try:
        comparison = reconciled(lake.settings, lake.lake, stream, ours, settled)
    except duckdb.Error as error:
        return nothing(f"a file of Stream Analytics cannot be read: {error}", good=False)
    return _Found(comparison, comparison.disagreeing(shape_of(stream, ours.schema)), unsettled)


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
