"""What a run of Dagster did, read back from its history: the same for metrics and for lineage."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from dagster_lake.lake_hour import HourRange
from dagster_lake.operations.telemetry.json_logs import partition_of

FINISHED = (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
_READ = {
    dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    dg.DagsterEventType.ASSET_MATERIALIZATION,
    dg.DagsterEventType.ASSET_CHECK_EVALUATION,
    dg.DagsterEventType.STEP_START,
    dg.DagsterEventType.STEP_FAILURE,
    dg.DagsterEventType.PIPELINE_FAILURE,
    dg.DagsterEventType.PIPELINE_CANCELED,
}
_PAGE = 1000


@dataclass(frozen=True)
class CheckWork:
    """A check of an asset as the run left it: of several partitions, whether it passed in all of them; ``severity`` and
    ``description`` are of the worst that did not. ``found`` has each partition with ``passed``, ``warn`` or ``error``;
    it is empty for a check that has none.
    """

    name: str
    passed: bool
    severity: str
    description: str | None
    found: Mapping[str, str] = field(default_factory=dict)


@dataclass
class AssetWork:
    """What a run did to one asset.

    ``started`` is when its step did; None when the run ended before. ``made`` is when it was materialised; None when
    it was not. ``metadata`` is that of the materialisation, as plain values; texts to look at are left out.
    ``error`` is why its step failed. An asset of which the run only evaluated checks has no ``step``.
    """

    key: dg.AssetKey
    step: str | None = None
    started: datetime | None = None
    made: datetime | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, CheckWork] = field(default_factory=dict)
    error: str | None = None

    @property
    def name(self) -> str:
        """``silver/pageviews``."""
        return self.key.to_user_string()


@dataclass(frozen=True)
class RunWork:
    """What a run did. ``ended`` is None while it is under way; times are UTC. ``error`` is why it failed."""

    run_id: str
    job: str
    status: dg.DagsterRunStatus
    tags: Mapping[str, str]
    asked: datetime
    started: datetime | None
    ended: datetime | None
    error: str | None
    assets: tuple[AssetWork, ...]

    @property
    def partition(self) -> str | None:
        """The partition, or ``first...last`` of a range of them; None for none."""
        return partition_of(dict(self.tags))

    @property
    def will_retry(self) -> bool:
        """Whether Dagster runs it again by itself, as one whose process was killed."""
        return self.tags.get("dagster/will_retry") == "true"

    @property
    def hours(self) -> HourRange | None:
        """The lake hours that the run is for; None where its partition is none, as that of a check by itself."""
        if self.partition is None:
            return None
        first, _, last = self.partition.partition("...")
        try:
            return HourRange.of(first, last or None)
        except ValueError:
            return None


def read_run(instance: dg.DagsterInstance, record: dg.RunRecord) -> RunWork:
    """What the run did so far, by its events."""
    run = record.dagster_run
    assets: dict[dg.AssetKey, AssetWork] = {}
    steps: dict[str, list[AssetWork]] = {}
    error = None
    for entry in _events(instance, run.run_id):
        event, at = entry.event_log_entry.get_dagster_event(), datetime.fromtimestamp(entry.timestamp, UTC)
        match event.event_type:
            case dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED:
                key = event.asset_materialization_planned_data.asset_key
                if key not in assets:
                    assets[key] = AssetWork(key, event.step_key)
                    steps.setdefault(event.step_key or "", []).append(assets[key])
            case dg.DagsterEventType.STEP_START:
                for asset in steps.get(event.step_key or "", []):
                    asset.started = at
            case dg.DagsterEventType.ASSET_MATERIALIZATION:
                made = event.step_materialization_data.materialization
                asset = assets.setdefault(made.asset_key, AssetWork(made.asset_key, event.step_key))
                asset.made, asset.metadata = at, _plain(made.metadata)
            case dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                _note_check(assets, event.asset_check_evaluation_data)
            case dg.DagsterEventType.STEP_FAILURE:
                for asset in steps.get(event.step_key or "", []):
                    asset.error = _cause(event.step_failure_data.error) or event.message
            case _:
                error = _run_error(event)
    ended = record.end_time if run.status in FINISHED else None
    return RunWork(
        run_id=run.run_id,
        job=run.job_name,
        status=run.status,
        tags=run.tags,
        asked=record.create_timestamp.astimezone(UTC),
        started=_instant(record.start_time),
        ended=_instant(ended),
        error=error,
        assets=tuple(assets[key] for key in sorted(assets)),
    )


def _events(instance: dg.DagsterInstance, run_id: str) -> Iterator[dg.EventLogRecord]:
    cursor, more = None, True
    while more:
        page = instance.get_records_for_run(run_id, cursor, _READ, limit=_PAGE)
        yield from page.records
        cursor, more = page.cursor, page.has_more


def _note_check(assets: dict[dg.AssetKey, AssetWork], evaluation: dg.AssetCheckEvaluation) -> None:
    asset = assets.setdefault(evaluation.asset_key, AssetWork(evaluation.asset_key))
    severity = evaluation.severity.value.lower()
    one = CheckWork(evaluation.check_name, evaluation.passed, severity, evaluation.description)
    before = asset.checks.get(one.name, one)
    of = {} if evaluation.partition is None else {evaluation.partition: _outcome(one)}
    worst = one if _OUTCOMES.index(_outcome(one)) > _OUTCOMES.index(_outcome(before)) else before
    asset.checks[one.name] = replace(worst, found={**before.found, **of})


_OUTCOMES = ("passed", "warn", "error")


def _outcome(check: CheckWork) -> str:
    return "passed" if check.passed else check.severity


def _plain(metadata: Mapping[str, dg.MetadataValue]) -> dict[str, Any]:
    kinds = (dg.IntMetadataValue, dg.FloatMetadataValue, dg.TextMetadataValue, dg.BoolMetadataValue)
    return {name: value.value for name, value in metadata.items() if isinstance(value, kinds)}


def _run_error(event: dg.DagsterEvent) -> str | None:
    error = getattr(event.event_specific_data, "error", None)
    return _cause(error) or event.message


def _cause(error: Any) -> str | None:
    """The message of what was wrong in the first place, without Dagster's own error around it."""
    if error is None:
        return None
    while error.cause is not None:
        error = error.cause
    return error.message.strip()


def _instant(timestamp: float | None) -> datetime | None:
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)
