"""Near real time: while events arrive, the current hour is landed and its streams are computed, again and again.

What a run computes is exactly what the hourly run will compute of the hour as it stands; the closing run does it once
more and finds the hour complete.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from dagster_lake import clock
from dagster_lake.asset_keys import bronze_key, quarantine_key, raw_key, silver_key
from dagster_lake.contract.model import Contract, EventHubSource, contracts
from dagster_lake.defs.conditions import MAKES_STREAMS
from dagster_lake.defs.partitions import hourly
from dagster_lake.defs.schedules import BEFORE_BACKFILLS
from dagster_lake.defs.streams.alert_notices import HELD
from dagster_lake.defs.streams.alert_notices import KEY as ALERTS
from dagster_lake.lake_hour import HOUR, HourRange, hour_key, hour_of
from dagster_lake.lake_resource import LakeResource

SENSOR = "events_arriving"
LOOKS_SECONDS = 15
"""How often the daemon lets the sensor look; the setting ``stream_seconds`` may ask for longer."""
HELD_PAUSE = timedelta(minutes=1)
"""How often alerts that wait for time to pass are looked at."""
LOST_AFTER = timedelta(minutes=30)
"""A run of the sensor that is unfinished for longer was most likely killed and holds up no other."""
_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]

_events = [contract for contract in contracts().values() if isinstance(contract.source, EventHubSource)]
_layers = [key(c) for c in _events for key in (raw_key, bronze_key, silver_key, quarantine_key)]

near_real_time_job = dg.define_asset_job(
    "near_real_time",
    selection=dg.AssetSelection.keys(*_layers) | dg.AssetSelection.groups("streams", "sinks"),
    partitions_def=hourly,
    tags={MAKES_STREAMS: "true"},
    description="What events alone bring up to date, for some hours: raw, bronze, silver, streams, alerts, sinks.",
)


Newest = tuple[int, str]
"""Sequence number and enqueued time, UTC, of the newest event of a partition."""


@dataclass(frozen=True)
class Cursor:
    """What the sensor has seen: per data set and partition the newest event, and when it asked for a run."""

    seen: Mapping[str, Mapping[str, Newest]] = field(default_factory=dict)
    asked: datetime | None = None

    @classmethod
    def read(cls, text: str | None) -> "Cursor":
        """The cursor as ``write`` gave it; an empty one for None. Raises ValueError for any other text."""
        if text is None:
            return cls()
        try:
            document = json.loads(text)
            asked = document["asked"]
            seen = {
                data_set: {str(partition): (int(number), str(time)) for partition, (number, time) in newest.items()}
                for data_set, newest in document["seen"].items()
            }
            return cls(seen, None if asked is None else datetime.fromisoformat(asked))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(
                f"the cursor of {SENSOR} is none that it wrote; reset it in the UI: Automation, {SENSOR}, Reset cursor"
            ) from None

    def write(self) -> str:
        """The cursor as text."""
        return json.dumps({"seen": self.seen, "asked": self.asked and self.asked.isoformat()}, sort_keys=True)


@dg.sensor(
    name=SENSOR,
    job=near_real_time_job,
    minimum_interval_seconds=LOOKS_SECONDS,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="While events arrive, computes the current hour's streams anew, every LAKE_STREAM_SECONDS at most.",
)
def events_arriving(context: dg.SensorEvaluationContext, lake: LakeResource) -> dg.SensorResult | dg.SkipReason:
    """One run for the current hour, and for the one before while it is landed in part, when events have come.

    When none come any more, windows end all the same: while alerts wait for that, their notices are made again.
    The cursor moves only with a run that is asked for, so that nothing is missed while one is under way or the hub
    cannot be reached.
    """
    cursor = Cursor.read(context.cursor)
    now = clock.utc_now()
    pause = timedelta(seconds=lake.settings.stream_seconds)
    if cursor.asked is not None and now - cursor.asked < pause:
        return dg.SkipReason(f"The last run was asked for less than {pause.seconds} s ago (LAKE_STREAM_SECONDS).")
    if (run := _unfinished(context.instance)) is not None:
        return dg.SkipReason(f"Run {run[:8]} of this sensor has not finished; events wait for it to end.")
    arrivals = _look(lake, cursor)
    for failure in arrivals.failures:
        context.log.warning(failure)
    hours = _hours(lake, arrivals.newest, now)
    if not arrivals.newest and not arrivals.failures and _holds_alerts(context.instance, pause):
        return dg.SensorResult(run_requests=[_alerts_alone(now)], cursor=Cursor(cursor.seen, now).write())
    if not arrivals.newest or not hours:
        return dg.SkipReason(" ".join([*arrivals.failures, _nothing(arrivals.newest)]))
    seen = {**cursor.seen, **arrivals.seen}
    request = dg.RunRequest(
        # The same for the same events: a daemon that dies before it has saved the cursor asks for no second run.
        run_key=f"{hours.keys[-1]} {hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:16]}",
        tags={
            **_tags(hours),
            **BEFORE_BACKFILLS,
            "arrived": ", ".join(sorted(arrivals.newest)),
        },
    )
    return dg.SensorResult(run_requests=[request], cursor=Cursor(seen, now).write())


def _holds_alerts(instance: dg.DagsterInstance, pause: timedelta) -> bool:
    """Whether the last run left rows of alert streams that might still change, and some time has passed since."""
    event = instance.get_latest_materialization_event(ALERTS)
    made = event.asset_materialization if event else None
    if event is None or made is None or not (held := made.metadata.get(HELD)) or not held.value:
        return False
    return clock.utc_now().timestamp() - event.timestamp >= max(pause, HELD_PAUSE).total_seconds()


def _alerts_alone(now: datetime) -> dg.RunRequest:
    hours = HourRange(hour_of(now) - HOUR, hour_of(now))
    return dg.RunRequest(
        run_key=f"alerts {now.isoformat()}",
        asset_selection=[ALERTS],
        tags={**_tags(hours), **BEFORE_BACKFILLS, "arrived": "nothing"},
    )


@dataclass
class _Arrivals:
    """What the hubs hold: the newest events, the newest enqueued time where there is news, and hubs that failed."""

    seen: dict[str, dict[str, Newest]] = field(default_factory=dict)
    newest: dict[str, datetime] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def _look(lake: LakeResource, cursor: Cursor) -> _Arrivals:
    from dagster_lake.landing.hubs import hub_of
    from dagster_lake.sources.event_hub.protocol import EventHubError

    found = _Arrivals()
    for contract in _events:
        assert isinstance(contract.source, EventHubSource)
        try:
            newest = hub_of(contract, lake.lake, lake.sources).newest(contract.source.hub)
        except EventHubError as error:
            found.failures.append(f"{contract.name}: {error}")
            continue
        seen = {p: (position.sequence_number, position.enqueued_time.isoformat()) for p, position in newest.items()}
        found.seen[contract.name] = seen
        if seen != cursor.seen.get(contract.name, {}):
            found.newest[contract.name] = max(position.enqueued_time for position in newest.values())
    return found


def _hours(lake: LakeResource, newest: Mapping[str, datetime], now: datetime) -> HourRange | None:
    """The current hour, when events have come in it, and the hour before, while it is landed in part; None for neither.

    Events of an hour that has ended and was never landed are the hourly run's: a demonstration of the past is none of
    ours.
    """
    current = hour_of(now)
    came = any(enqueued > current for enqueued in newest.values())
    partly = any(_landed_in_part(lake, contract, current - HOUR) for contract in _events)
    if not came and not partly:
        return None
    return HourRange(current - HOUR if partly else current, current if came else current - HOUR)


def _tags(hours: HourRange) -> dict[str, str]:
    """What Dagster knows a run's hours by. A partition key would be refused: the open hour is none (open_hour.py)."""
    if len(hours) == 1:
        return {PARTITION_NAME_TAG: hours.keys[0]}
    return {ASSET_PARTITION_RANGE_START_TAG: hours.keys[0], ASSET_PARTITION_RANGE_END_TAG: hours.keys[-1]}


def _landed_in_part(lake: LakeResource, contract: Contract, hour: datetime) -> bool:
    from dagster_lake.storage.manifest import read_manifest

    place = lake.lake.raw_partition(contract.name, hour_key(hour), sensitive=contract.sensitive)
    manifest = read_manifest(place)
    return manifest is not None and not manifest.is_over


def _unfinished(instance: dg.DagsterInstance) -> str | None:
    """The id of a run that this sensor asked for and that is queued or under way."""
    runs = instance.get_run_records(
        dg.RunsFilter(
            statuses=_UNFINISHED,
            tags={"dagster/sensor_name": SENSOR},
            created_after=datetime.now(UTC) - LOST_AFTER,
        ),
        limit=1,
    )
    return runs[0].dagster_run.run_id if runs else None


def _nothing(newest: Mapping[str, datetime]) -> str:
    if not newest:
        return "No event has arrived since the last look."
    latest = max(newest.values())
    return f"The newest event is of {latest:%Y-%m-%d %H:%M:%S} UTC, in an hour that the hourly run closes."
