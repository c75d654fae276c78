"""Which runs are forgotten, and that nothing of the tables' history goes with them."""

import secrets
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import AssetObservationData, DagsterEvent, DagsterEventType, StepMaterializationData
from dagster._core.storage.event_log.schema import AssetCheckExecutionsTable
from hypothesis import given, settings
from hypothesis import strategies as st

from dagster_lake import clock
from dagster_lake.defs.operations.old_runs import forget_runs, old_runs_job
from dagster_lake.lake_resource import LakeResource
from dagster_lake.settings.lake import PROJECT_ROOT
from tests.lake.lakes import TestLake
from tests.production.database import Server
from tests.production.instances import opened, put, shipped

HOURS = dg.StaticPartitionsDefinition(["00", "01", "02"])
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture(params=["local", "postgresql"])
def instance(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with ExitStack() as stack:
        if request.param == "local":
            (tmp_path / "dagster.yaml").write_text((PROJECT_ROOT / "dagster.yaml").read_text())
            yield stack.enter_context(opened(tmp_path, {"LAKE_ROOT": str(tmp_path / "lake")}))
            return
        server: Server = request.getfixturevalue("server")
        password = secrets.token_hex(8)
        server.set_password(password)
        environment = server.environment(server.new_database(), password)
        yield stack.enter_context(opened(put(shipped("postgresql"), tmp_path), environment))


@dg.asset(partitions_def=HOURS)
def by_hour() -> None: ...


@dg.asset
def whole() -> None: ...


@dg.asset
def broken() -> None:
    raise ValueError("as it should")


@dg.asset_check(asset=whole)
def looks_right() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


def run(instance: dg.DagsterInstance, *things: Any, hour: str | None = None, ok: bool = True, **given: Any) -> str:
    result = dg.materialize(list(things), instance=instance, partition_key=hour, raise_on_error=ok, **given)
    assert result.success is ok
    return result.run_id


def known(instance: dg.DagsterInstance) -> Mapping[str, object]:
    """What Dagster tells of the tables."""
    materialization = DagsterEventType.ASSET_MATERIALIZATION
    storage = instance.event_log_storage
    check = next(iter(looks_right.check_keys))
    [latest] = storage.get_latest_asset_check_execution_by_key([check]).values()
    return {
        "hours": storage.get_latest_storage_id_by_partition(by_hour.key, materialization),
        "count": instance.get_materialized_partitions(by_hour.key),
        "whole": storage.get_latest_materialization_events([whole.key])[whole.key],
        "check": (latest.run_id, latest.status),
    }


def told(instance: dg.DagsterInstance, run_id: str) -> set[str]:
    """The kinds of events that there are of a run."""
    return {
        "log" if one.dagster_event is None else one.dagster_event.event_type_value for one in instance.all_logs(run_id)
    }


def rows_of_checks(instance: dg.DagsterInstance) -> set[str]:
    import sqlalchemy as db

    with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
        return set(connection.execute(db.select(AssetCheckExecutionsTable.c.run_id)).scalars())


def test_runs_whose_work_was_done_again_go_and_what_is_known_of_tables_stays(instance: dg.DagsterInstance) -> None:
    done_again = run(instance, by_hour, hour="00")
    newest = run(instance, by_hour, hour="00")
    other_hour = run(instance, by_hour, hour="01")
    failed = run(instance, broken, ok=False)
    checked_again = run(instance, whole, looks_right)
    whole_again = run(instance, whole, looks_right)
    check_alone = run(instance, whole, looks_right, selection=dg.AssetSelection.checks(looks_right))
    before = known(instance)
    assert forget_runs(instance, datetime.now(UTC) + timedelta(minutes=1)) == (3, 4)
    left = {one.run_id for one in instance.get_runs()}
    assert left == {newest, other_hour, whole_again, check_alone}
    assert known(instance) == before
    assert rows_of_checks(instance) == {whole_again, check_alone}
    for gone in (done_again, failed, checked_again):
        assert not instance.all_logs(gone)
    assert told(instance, newest) == {"PIPELINE_START", "ASSET_MATERIALIZATION", "PIPELINE_SUCCESS"}
    assert told(instance, whole_again) == {*told(instance, newest), "ASSET_CHECK_EVALUATION"}


def test_only_ended_runs_before_that_time_are_looked_at_and_each_once(instance: dg.DagsterInstance) -> None:
    created = NOW - timedelta(days=30)
    old, under_way, young = (
        _historical(instance, created, dg.DagsterRunStatus.SUCCESS),
        _historical(instance, created, dg.DagsterRunStatus.STARTED),
        _historical(instance, NOW - timedelta(days=1), dg.DagsterRunStatus.SUCCESS),
    )
    assert forget_runs(instance, NOW - timedelta(days=14)) == (1, 0)
    assert {one.run_id for one in instance.get_runs()} == {under_way, young} != {old}
    assert forget_runs(instance, NOW - timedelta(days=14)) == (0, 0)
    assert forget_runs(instance, NOW) == (1, 0)


def test_the_job_takes_the_days_from_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    lake = TestLake(tmp_path, {"history_days": 3})
    monkeypatch.setattr(clock, "utc_now", lambda: NOW)
    for name, value in lake.environment.items():
        monkeypatch.setenv(name, value)
    with dg.DagsterInstance.ephemeral() as instance:
        _historical(instance, NOW - timedelta(days=4), dg.DagsterRunStatus.SUCCESS)
        kept = _historical(instance, NOW - timedelta(days=2), dg.DagsterRunStatus.SUCCESS)
        result = old_runs_job.execute_in_process(instance=instance, resources={"lake": LakeResource()})
        assert {one.run_id for one in instance.get_runs()} == {kept, result.run_id}
        said = [event.user_message for event in instance.all_logs(result.run_id)]
        assert "Runs before 2026-11-18 12:00 UTC: 1 removed, 0 kept without their logs." in said


# ---- any history -----------------------------------------------------------------------------------------------------

_made = st.tuples(st.sampled_from("ab"), st.sampled_from([None, "00"]), st.sampled_from(["made", "observed"]))


@settings(deadline=None, max_examples=60)
@given(st.lists(st.frozensets(_made, max_size=3), max_size=12), st.integers(0, 12))
def test_a_run_is_kept_exactly_when_it_made_something_last(history: list[frozenset[Any]], split: int) -> None:
    """Whatever was made or observed in whichever order, and when the older part was gone through earlier."""
    with dg.DagsterInstance.ephemeral() as instance:
        runs = [_making(instance, made, minute) for minute, made in enumerate(history)]
        last = {what: run_id for run_id, made in zip(runs, history, strict=True) for what in made}
        forget_runs(instance, NOW + timedelta(minutes=min(split, len(runs))))
        forget_runs(instance, NOW + timedelta(minutes=len(runs)))
        assert {one.run_id for one in instance.get_runs()} == set(last.values())


def _making(instance: dg.DagsterInstance, made: frozenset[Any], minute: int) -> str:
    run_id = _historical(instance, NOW + timedelta(minutes=minute), dg.DagsterRunStatus.SUCCESS)
    for asset, partition, how in sorted(made, key=str):
        if how == "made":
            kind, data = DagsterEventType.ASSET_MATERIALIZATION, _materialization(asset, partition)
        else:
            kind, data = DagsterEventType.ASSET_OBSERVATION, _observation(asset, partition)
        instance.report_dagster_event(DagsterEvent(kind.value, job_name="any", event_specific_data=data), run_id)
    return run_id


def _materialization(asset: str, partition: str | None) -> Any:
    return StepMaterializationData(dg.AssetMaterialization(asset, partition=partition))


def _observation(asset: str, partition: str | None) -> Any:
    return AssetObservationData(dg.AssetObservation(asset, partition=partition))


def _historical(instance: dg.DagsterInstance, created: datetime, status: dg.DagsterRunStatus) -> str:
    made = dg.DagsterRun(job_name="any", run_id=str(uuid.uuid4()), status=status)
    instance.run_storage.add_historical_run(made, created)
    return made.run_id
