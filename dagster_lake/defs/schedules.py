"""What runs by itself: the hourly run, late commits and dropped files."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg

from dagster_lake.asset_keys import bronze_key, newest_key, quarantine_key, raw_key, silver_key
from dagster_lake.contract.model import FileSource, contracts
from dagster_lake.defs.conditions import MAKES_GOLD, MAKES_STREAMS
from dagster_lake.defs.contracts.reconciliation import GROUP as RECONCILIATION
from dagster_lake.defs.operations.lake_status import KEY as LAKE_STATUS
from dagster_lake.defs.partitions import hourly
from dagster_lake.lake_hour import HOUR, HourRange, hour_key
from dagster_lake.lake_resource import LakeResource
from dagster_lake.operations.health.history import FRESH
from dagster_lake.operations.hourly_runs import CLOSE_THE_HOUR, HourRuns, hourly_runs, requests, scheduled_since
from dagster_lake.storage.unfinished import TAKEN_UP_HOURS

BEFORE_BACKFILLS = {"dagster/priority": "1"}
"""Tags of a run that leaves the queue before those that were there first: a backfill may have filled it for a day."""
LATE_HOURS = 3

# The status is made by a run of its own, which neither waits for these nor fails with them.
_hourly_assets = dg.AssetSelection.groups(
    "sources", "raw", "bronze", "silver", "quarantine", "streams", "sinks", "gold", "reports"
) - dg.AssetSelection.keys(LAKE_STATUS)
_freshness = dg.AssetSelection.checks(
    *(dg.AssetCheckKey(silver_key(c), FRESH) for c in contracts().values() if c.freshness_minutes is not None)
)
_snapshots = [["raw", c.name] for c in contracts().values() if isinstance(c.source, FileSource)]

hourly_job = dg.define_asset_job(
    "hourly",
    selection=_hourly_assets - _freshness,
    partitions_def=hourly,
    tags={MAKES_STREAMS: "true", MAKES_GOLD: "true"},
    description="Everything for one lake hour, or for a range of them in one run, from sources to streams and gold.",
)
snapshots_job = dg.define_asset_job(
    "snapshots",
    selection=dg.AssetSelection.keys(*_snapshots).downstream()
    - dg.AssetSelection.groups("streams", "sinks", "gold", "reports"),
    description="Snapshots dropped into the landing folder: raw, bronze, silver, Stream Analytics' reference data.",
)
lake_status_job = dg.define_asset_job(
    "lake_status",
    selection=dg.AssetSelection.keys(LAKE_STATUS) | _freshness,
    description="How each table of the lake is, as the table gold/lake_status, and how fresh each data set's data is.",
)
reconciliation_job = dg.define_asset_job(
    "reconciliation",
    selection=dg.AssetSelection.groups(RECONCILIATION),
    description="Database tables compared with the lake: rows that never landed, and rows that are gone.",
)
jobs = [hourly_job, snapshots_job, lake_status_job, reconciliation_job]


@dg.schedule(
    name=CLOSE_THE_HOUR,
    job=hourly_job,
    cron_schedule="5 * * * *",
    execution_timezone="UTC",
    description="At minute 5: closes the hour before, and runs hours that were missed, not finished or got late rows.",
)
def close_the_hour(context: dg.ScheduleEvaluationContext, lake: LakeResource) -> Iterator[dg.RunRequest]:
    """A run for the hour that just ended, and one for each range of earlier hours missed, unfinished or with late rows.

    An hour that has a run already is left alone. So is, for a while, one whose runs have not helped: ``hourly_runs``.
    """
    now = context.scheduled_execution_time.astimezone(UTC)
    closed = now.replace(minute=0, second=0, microsecond=0) - HOUR
    yield dg.RunRequest(run_key=hour_key(closed), partition_key=hour_key(closed), tags=BEFORE_BACKFILLS)
    why = {
        **dict.fromkeys(_late_hours(context, lake, closed), "late"),
        **dict.fromkeys(unfinished_hours(lake, closed), "unfinished"),
        **dict.fromkeys(missed_hours(lake, closed, scheduled_since(context, CLOSE_THE_HOUR, closed)), "missed"),
    }
    runs = hourly_runs(context, TAKEN_UP_HOURS)
    due = {hour: reason for hour, reason in why.items() if _may_run(runs.get(hour), reason)}
    yield from requests(due, runs, hour_key(closed))


def _may_run(known: HourRuns | None, why: str) -> bool:
    """Whether an hour may be asked for: new late rows at once, unless their hour fails."""
    if known is None:
        return True
    news = why == "late" and not known.failed
    return not known.pending and (news or known.may_run_again(datetime.now(UTC)))


def missed_hours(lake: LakeResource, closed: datetime, since: datetime | None = None) -> list[str]:
    """The hours of the two days before ``closed`` that a data set lacks, since its first one.

    With ``since`` only those from then on, when the lake began to be scheduled: nobody asked for the time before.
    """
    from dagster_lake.landing.land import lacking_hours

    first = max(closed - TAKEN_UP_HOURS * HOUR, since or closed - TAKEN_UP_HOURS * HOUR)
    if first >= closed:
        return []
    recent = HourRange(first, closed - HOUR)
    by_hour = [contract for contract in contracts().values() if contract.cadence == "hourly"]
    return sorted({hour for contract in by_hour for hour in lacking_hours(lake.lake, contract, recent)})


def unfinished_hours(lake: LakeResource, closed: datetime) -> list[str]:
    """The hours of the two days before ``closed`` of which something is left to do.

    They were landed while their source could still add to them: Capture writes an hour's last file up to 15 minutes
    after its end, when the run that closes the hour is over. Or a layer after raw was not made: its run failed or died.
    """
    from dagster_lake.landing.land import landed_among, manifests
    from dagster_lake.storage.unfinished import unfinished as noted

    recent = HourRange(closed - TAKEN_UP_HOURS * HOUR, closed - HOUR)
    unfinished = {*recent.keys} & {*noted(lake.lake)}
    for contract in contracts().values():
        if contract.cadence == "hourly":
            landed = landed_among(lake.lake, contract, recent)
            unfinished.update(one.partition for one in manifests(lake.lake, contract, landed) if not one.is_over)
    return sorted(unfinished)


def _late_hours(context: dg.ScheduleEvaluationContext, lake: LakeResource, closed: datetime) -> list[str]:
    from dagster_lake.landing.land import late_commits
    from dagster_lake.sources.database.database import DatabaseError
    from dagster_lake.sources.event_hub.protocol import EventHubError

    before = HourRange(closed - LATE_HOURS * HOUR, closed - HOUR)
    late: set[datetime] = set()
    for contract in contracts().values():
        try:
            late.update(late_commits(contract, lake.lake, before, lake.sources))
        except (DatabaseError, EventHubError) as error:
            # One source that is away stops nobody else: the hour that just ended has events, which may expire.
            context.log.warning(f"late commits of {contract.name} were not looked for: {error}")
    return [hour_key(hour) for hour in sorted(late)]


@dg.sensor(
    job=snapshots_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Materialises snapshots when files were dropped into a landing folder and nobody is writing any more.",
)
def dropped_files(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult:
    """One run for the data sets whose landing folder differs from the last time and holds a whole delivery.

    The first time, from what was landed: what a person's run has taken is none of the sensor's.
    """
    from dagster_lake.landing.dropped import look_into
    from dagster_lake.landing.land import holds, newest_snapshot
    from dagster_lake.landing.result import Unreadable
    from dagster_lake.landing.whole import why_not_whole

    asked = json.loads(context.cursor or "{}")
    changed, waiting = [], []
    for contract in contracts().values():
        if not isinstance(contract.source, FileSource):
            continue
        try:
            dropped = look_into(lake.lake.landing(contract.name), contract.source)
        except Unreadable as error:
            # Its run fails and tells, once.
            if asked.get(contract.name) != str(error):
                changed.append(contract)
                asked[contract.name] = str(error)
            continue
        if not dropped.files or dropped.listing == asked.get(contract.name):
            continue
        newest = newest_snapshot(lake.lake, contract)
        if contract.name not in asked and holds(newest, dropped):
            asked[contract.name] = dropped.listing
            continue
        if why := why_not_whole(contract, lake.lake, dropped, newest):
            waiting.append(f"{contract.name}: {why}.")
            continue
        changed.append(contract)
        asked[contract.name] = dropped.listing
    if not changed:
        return dg.SensorResult(
            skip_reason=" ".join(waiting) or "No landing folder has changed.", cursor=json.dumps(asked)
        )
    keys = [
        key for c in changed for key in (raw_key(c), bronze_key(c), silver_key(c), quarantine_key(c), newest_key(c))
    ]
    request = dg.RunRequest(asset_selection=keys, tags={"dropped": ", ".join(c.name for c in changed)})
    return dg.SensorResult(run_requests=[request], cursor=json.dumps(asked))


publish_lake_status = dg.ScheduleDefinition(
    name="publish_lake_status",
    job=lake_status_job,
    cron_schedule="20 * * * *",
    execution_timezone="UTC",
    description="At minute 20, when the hour before should be closed: how each table of the lake is.",
)

reconcile_daily = dg.ScheduleDefinition(
    name="reconcile_daily",
    job=reconciliation_job,
    cron_schedule="45 2 * * *",
    execution_timezone="UTC",
    description="At 02:45 UTC, before an hourly run: compares database tables with the lake.",
)

silver_carries_on = dg.AutomationConditionSensorDefinition(
    "silver_carries_on",
    target=dg.AssetSelection.groups("streams", "sinks", "gold"),
    default_status=dg.DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=30,
    description="Computes streams and gold of the hours whose silver another run has materialised.",
)

schedules = [close_the_hour, publish_lake_status, reconcile_daily]
sensors = [dropped_files, silver_carries_on]
