"""Raw assets: bytes as they arrived, one folder a lake hour or snapshot, with its manifest."""

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from dagster_lake.asset_keys import raw_key
from dagster_lake.contract.model import Contract, EventHubSource, FileSource, contracts
from dagster_lake.defs import code_version
from dagster_lake.defs.common import common, partitioning
from dagster_lake.defs.partitions import hours_of
from dagster_lake.defs.show.metadata import bars
from dagster_lake.defs.steps import tried_again
from dagster_lake.lake_resource import LakeResource

if TYPE_CHECKING:
    from dagster_lake.landing.land import Landed

REFUSED = "refused"
"""The metadata that says why files could not be landed."""
LACKS, LACKS_BY_HOUR = "events_missing", "events_missing_by_hour"
"""The metadata that tells of events that never came: to read, and by hour with whether that is news."""
_MOST_SKIPPED = 20


class RawConfig(dg.Config):
    """``refresh`` lands a complete hour anew: needed when the source holds more than it did."""

    refresh: bool = False


def raw_asset(contract: Contract, deps: Sequence[dg.AssetKey] = ()) -> dg.AssetsDefinition:
    """The raw asset of one contract, and ``deps``, the assets that fill its source, if any do."""

    @dg.asset(
        key=raw_key(contract),
        deps=deps,
        group_name="raw",
        kinds=_kinds(contract),
        description=f"{contract.description} As it arrived, with a manifest; everything after it is made from it.",
        metadata={"contract": contract.file},
        code_version=code_version.of_raw(contract),
        **common(contract),
        **partitioning(contract),
    )
    @tried_again
    def raw(context: dg.AssetExecutionContext, config: RawConfig, lake: LakeResource) -> Iterator[dg.MaterializeResult]:
        from dagster_lake.databricks.auto_loader.job import land_by_auto_loader, lands_by_auto_loader
        from dagster_lake.landing.land import Landed, Unreadable, land_hours, land_snapshot, newest_snapshot

        started, refused = time.monotonic(), None
        if lands_by_auto_loader(contract, lake.settings):
            keys = None if contract.cadence == "snapshot" else hours_of(context).keys
            attempt = f"{context.run_id} {context.retry_number}"
            landed = land_by_auto_loader(contract, lake.lake, lake.settings, keys, attempt, context.log.info)
        elif contract.cadence == "snapshot":
            others = [other for other in contracts().values() if other.name != contract.name]
            try:
                landed = [land_snapshot(contract, lake.lake, refresh=config.refresh, others=others)]
            except Unreadable as error:  # the run fails by the check of its own step (see ``landing_checks``)
                refused = str(error)
                context.log.error(f"raw/{contract.name}: {refused}")
                landed = [Landed.of(newest_snapshot(lake.lake, contract), changed=False)]
        else:
            hours = hours_of(context)
            landed = land_hours(contract, lake.lake, hours, lake.sources, refresh=config.refresh)
        for one in landed:
            for warning in (*one.warnings, *_some(one)):
                context.log.warning(f"raw/{contract.name}: {warning}")
            if one.lacks:
                (context.log.error if one.lacks_more else context.log.warning)(f"raw/{contract.name}: {one.lacks}")
            for note in one.notes:
                context.log.info(f"raw/{contract.name}: {note}")
        metadata = _metadata(landed, time.monotonic() - started)
        yield dg.MaterializeResult(metadata={**metadata, REFUSED: refused} if refused else metadata)

    return raw


def _metadata(landed: "list[Landed]", seconds: float) -> dict[str, dg.MetadataValue]:
    metadata: dict[str, dg.MetadataValue] = {
        "dagster/partition_row_count": dg.MetadataValue.int(sum(one.rows for one in landed)),
        "bytes": dg.MetadataValue.int(sum(one.bytes for one in landed)),
        "files": dg.MetadataValue.int(sum(one.files for one in landed)),
        "partitions_changed": dg.MetadataValue.int(sum(one.changed for one in landed)),
        "complete": dg.MetadataValue.bool(all(one.complete for one in landed)),
        "seconds": dg.MetadataValue.float(round(seconds, 3)),
    }
    if lacking := [one for one in landed if one.lacks]:
        metadata[LACKS] = dg.MetadataValue.text("\n".join(dict.fromkeys(one.lacks or "" for one in lacking)))
        metadata[LACKS_BY_HOUR] = dg.MetadataValue.json({one.partition: [one.lacks, one.lacks_more] for one in lacking})
    if notes := [text for one in landed for text in (*one.warnings, *one.notes, *_some(one))]:
        metadata["notes"] = dg.MetadataValue.md("\n".join(f"- {note}" for note in notes))
    if len(landed) > 1:
        metadata["rows_by_partition"] = dg.MetadataValue.md(bars({one.partition: one.rows for one in landed}))
    return metadata


def _some(landed: "Landed") -> list[str]:
    """What was skipped; of many files the first ones."""
    shown = [str(skipped) for skipped in landed.skipped[:_MOST_SKIPPED]]
    more = len(landed.skipped) - len(shown)
    return [*shown, f"{more:,} more files were skipped"] if more else shown


def _kinds(contract: Contract) -> set[str]:
    if isinstance(contract.source, FileSource):
        return {"json", "file"}
    return {"eventhub", "parquet"} if isinstance(contract.source, EventHubSource) else {"sql", "parquet"}
