"""Forgetting old runs, so that Dagster's history does not grow for ever.

While events arrive, there is a run every quarter of a minute, and the next one does its work anew. Dagster would keep
them all. A run that made a partition last is kept however old it is, since that is how Dagster knows of the partition;
but of its hundreds of events only those that tell of tables.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg
import sqlalchemy as db
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable, SqlEventLogStorageTable
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage

from dagster_lake import clock
from dagster_lake.lake_resource import LakeResource

CURSOR = "dagster_lake/old_runs_until"
"""Where the history keeps until when runs have been gone through: those that were kept are not looked at again."""
_BATCH = 500
_ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED]
_KNOWN_BY = ["ASSET_MATERIALIZATION", "ASSET_OBSERVATION"]
_ESSENTIAL = [
    *_KNOWN_BY,
    "ASSET_CHECK_EVALUATION",
    "FRESHNESS_STATE_CHANGE",
    *("PIPELINE_START", "PIPELINE_SUCCESS", "PIPELINE_FAILURE", "PIPELINE_CANCELED"),
]


@dg.op(description="Removes runs older than LAKE_HISTORY_DAYS whose work was done again, and the logs of the others.")
def forget(context: dg.OpExecutionContext, lake: LakeResource) -> None:
    """Forgets, and says how many runs."""
    before = clock.utc_now() - timedelta(days=lake.settings.history_days)
    gone, kept = forget_runs(context.instance, before)
    context.log.info(f"Runs before {before:%Y-%m-%d %H:%M} UTC: {gone} removed, {kept} kept without their logs.")


@dg.job(executor_def=dg.in_process_executor, description="Removes old runs from Dagster's history; tables stay.")
def old_runs_job() -> None:
    """See ``forget``."""
    forget()


forget_old_runs = dg.ScheduleDefinition(
    name="forget_old_runs",
    job=old_runs_job,
    cron_schedule="40 3 * * *",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.RUNNING,
    description="At 03:40 UTC: removes runs older than LAKE_HISTORY_DAYS whose work was done again since.",
)


def forget_runs(instance: dg.DagsterInstance, before: datetime) -> tuple[int, int]:
    """Removes ended runs that were created before a time (UTC) and made nothing last, and the logs of those that did.

    Returns how many runs are gone, and how many stay. A run is removed after all that belongs to it: killed meanwhile,
    this finds it again.
    """
    storage = instance.event_log_storage
    assert isinstance(storage, SqlEventLogStorage)
    since = instance.daemon_cursor_storage.get_cursor_values({CURSOR}).get(CURSOR)
    first = datetime.fromisoformat(since) if since else datetime.fromtimestamp(1, UTC)
    # Dagster's filter leaves out both ends; the earlier one, where the last time ended, belongs to this time.
    just_before = first - timedelta(microseconds=1)
    window = dg.RunsFilter(statuses=_ENDED, created_after=just_before, created_before=before)
    old = instance.get_run_ids(window)
    gone = 0
    for start in range(0, len(old), _BATCH):
        batch = old[start : start + _BATCH]
        kept = _holding(storage, batch)
        forgotten = [run_id for run_id in batch if run_id not in kept]
        _forget_checks(storage, forgotten)
        for run_id in kept:
            _forget_logs(storage, run_id)
        for run_id in forgotten:
            storage.delete_events(run_id)
            instance.run_storage.delete_run(run_id)
        gone += len(forgotten)
    instance.daemon_cursor_storage.set_cursor_values({CURSOR: before.isoformat()})
    return gone, len(old) - gone


def _holding(storage: SqlEventLogStorage, run_ids: Sequence[str]) -> set[str]:
    """Those of the runs that made a partition, or a table without any, last; or that only ran checks."""
    made, checks = SqlEventLogStorageTable, AssetCheckExecutionsTable
    newer = made.alias("newer")
    of_runs = made.c.run_id.in_(run_ids) & made.c.asset_key.is_not(None) & made.c.dagster_event_type.in_(_KNOWN_BY)
    later = (
        (newer.c.asset_key == made.c.asset_key)
        & (newer.c.dagster_event_type == made.c.dagster_event_type)
        & (newer.c.id > made.c.id)
    )
    # Two conditions rather than "is not distinct from", for which no index serves.
    done_again = db.case(
        (made.c.partition.is_(None), db.exists().where(later & newer.c.partition.is_(None))),
        else_=db.exists().where(later & (newer.c.partition == made.c.partition)),
    )
    with storage.index_connection() as connection:
        last: set[str] = set(connection.scalars(db.select(made.c.run_id).where(of_runs & ~done_again)))
        makers: set[str] = set(connection.scalars(db.select(made.c.run_id).where(of_runs)))
        checked = checks.c.run_id.in_(run_ids) & checks.c.execution_status.in_(["SUCCEEDED", "FAILED"])
        checkers: set[str] = set(connection.scalars(db.select(checks.c.run_id).where(checked)))
        return last | (checkers - makers)


def _forget_checks(storage: SqlEventLogStorage, run_ids: Sequence[str]) -> None:
    """Removes the outcome of these runs' checks, which Dagster leaves behind when it deletes a run."""
    with storage.index_connection() as connection:
        connection.execute(db.delete(AssetCheckExecutionsTable).where(AssetCheckExecutionsTable.c.run_id.in_(run_ids)))


def _forget_logs(storage: SqlEventLogStorage, run_id: str) -> None:
    """Removes what a run logged and how its steps went; what it made, its checks, and how it ended stay."""
    events = SqlEventLogStorageTable.c
    inessential = events.dagster_event_type.is_(None) | events.dagster_event_type.not_in(_ESSENTIAL)
    with storage.run_connection(run_id) as connection:
        connection.execute(db.delete(SqlEventLogStorageTable).where((events.run_id == run_id) & inessential))
