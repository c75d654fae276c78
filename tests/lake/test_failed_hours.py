"""An hour that fails after raw heals without a person: its step is tried again, and the next ticks take it up."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from dagster_lake.assets import steps
from dagster_lake.assets.dbt import dbt_assets
from dagster_lake.automation import close_the_hour
from dagster_lake.commit import observe
from dagster_lake.contract import contracts
from dagster_lake.definitions import defs
from dagster_lake.landing.result import LandingError
from dagster_lake.resources.lake import LakeResource
from dagster_lake.storage.unfinished import GOLD, STREAMS, begin, unfinished

from .crashing import Death
from .lakes import TINY, TestLake, definitions, differences, hours

HOURS = hours(2)
LATER = datetime(2026, 1, 1, 2, 5, tzinfo=UTC)
EVENTS = ["raw/pageviews", "bronze/pageviews", "silver/pageviews", "quarantine/pageviews"]


@contextmanager
def failing_at(point: str, times: int = 99, error: type[BaseException] = OSError) -> Iterator[list[str]]:
    """The storage fails whenever ``point`` is announced, so many times at most."""
    failed: list[str] = []

    def fail(announced: str) -> None:
        if announced == point and len(failed) < times:
            failed.append(announced)
            raise error(5, "Input/output error")

    observe(fail)
    try:
        yield failed
    finally:
        observe(None)


def tick(at: datetime, instance: dg.DagsterInstance | None = None) -> list[str]:
    """The hours that the schedule asks for, the one that just ended aside."""
    with dg.build_schedule_context(
        instance,
        scheduled_execution_time=at,
        resources={"lake": LakeResource()},
        repository_def=defs.get_repository_def(),
    ) as context:
        requests = close_the_hour.evaluate_tick(context).run_requests or []
    return [str(request.partition_key) for request in requests[1:]]


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[TestLake]:
    made = TestLake(tmp_path / "lake", TINY)
    with made.here():
        yield made


@pytest.mark.parametrize("point", ["bronze.pageviews:before", "quarantine.pageviews:after", "silver.pageviews:before"])
def test_a_storage_error_that_passes_leaves_no_hole(lake: TestLake, tmp_path: Path, point: str) -> None:
    lake.run_sources(["pageviews"], HOURS[0])
    with failing_at(point, times=2) as failed:
        assert lake.materialize(HOURS[0], selection=EVENTS).success
    assert len(failed) == 2
    whole = TestLake(tmp_path / "whole", TINY)
    whole.run_data_set("pageviews", HOURS[0])
    assert not differences(lake.content(), whole.content())
    assert tick(LATER) == []


def test_a_refusal_is_not_tried_again(lake: TestLake, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def refuse(*_: object, **__: object) -> None:
        tried.append(1)
        raise LandingError("orders: refused")

    monkeypatch.setattr("dagster_lake.landing.land.land_hours", refuse)
    assert not lake.materialize(HOURS[0], selection=["raw/orders"], ok=False).success
    assert len(tried) == 1


def test_what_may_pass_is_told_from_what_may_not() -> None:
    from dagster_lake.resources.dbt import DbtRunError
    from dagster_lake.storage.delta import DeltaWriteError, LostToOthers

    assert all(map(steps.may_pass, [OSError(), LostToOthers(), DbtRunError("gold.x: IO Error: Could not read")]))
    wrong = [
        DeltaWriteError(),
        LandingError(),
        TypeError(),
        DbtRunError("gold.x: Binder Error: no column"),
        dg.Failure(),
    ]
    assert not any(map(steps.may_pass, wrong))


@pytest.mark.parametrize(
    ("data_set", "point", "error"),
    [
        ("pageviews", "bronze.pageviews:before", OSError),
        ("pageviews", "silver.pageviews:before", Death),
        ("orders", "silver.orders_changes:after", Death),
        ("orders", "silver.orders:before", OSError),
    ],
)
def test_an_hour_that_failed_after_raw_is_asked_for_until_its_tables_are_made(
    lake: TestLake, data_set: str, point: str, error: type[BaseException]
) -> None:
    lake.run_data_set(data_set, HOURS[0])
    lake.run_sources([data_set], HOURS[1])
    at = LATER + timedelta(hours=1)
    with failing_at(point, error=error), pytest.raises(error):
        lake.run_data_set(data_set, HOURS[1])
    assert tick(at) == [HOURS[1]]
    assert HOURS[1] in tick(at + timedelta(hours=30)), "and so at later ticks"
    lake.run_data_set(data_set, HOURS[1])
    assert tick(at) == []


@pytest.mark.parametrize("what", [STREAMS, GOLD])
def test_an_hour_whose_streams_or_gold_failed_is_asked_for(lake: TestLake, what: str) -> None:
    begin(lake.resource.lake, what, [HOURS[0]])
    assert tick(LATER) == [HOURS[0]]


def test_streams_and_gold_are_unfinished_from_silver_on_until_they_are_made(
    lake: TestLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = [asset for asset in dbt_assets() if asset.op.name in ("streams", "gold_hourly")]
    asked: list[dict[str, list[str]]] = []

    def fail(*_: object, **__: object) -> Iterator[Any]:
        asked.append(unfinished(lake.resource.lake))
        raise OSError(5, "Input/output error")
        yield

    monkeypatch.setattr("dagster_lake.assets.dbt.build", fail)
    for asset in shop:
        done = dg.materialize([asset], partition_key=HOURS[0], resources={"lake": LakeResource()}, raise_on_error=False)
        assert not done.success
    assert len(asked) == 2 * (steps.MOST_RETRIES + 1)
    assert unfinished(lake.resource.lake) == {HOURS[0]: [GOLD, STREAMS]}
    monkeypatch.setattr("dagster_lake.assets.dbt.build", lambda *_, **__: iter(()))
    for asset in shop:
        dg.materialize([asset], partition_key=HOURS[0], resources={"lake": LakeResource()}, raise_on_error=False)
    assert unfinished(lake.resource.lake) == {}


def test_a_run_that_goes_on_to_streams_and_gold_and_dies_before_them_leaves_a_note(lake: TestLake) -> None:
    lake.run_sources(["pageviews"], HOURS[0])
    with dg.DagsterInstance.ephemeral() as instance:
        for tags in ({}, {steps.MAKES_STREAMS: "true", steps.MAKES_GOLD: "true"}):
            dg.materialize(
                definitions(),
                selection=EVENTS,
                partition_key=HOURS[0],
                resources={"lake": LakeResource()},
                instance=instance,
                tags=tags,
            )
            noted = unfinished(lake.resource.lake)
            assert noted == ({HOURS[0]: [GOLD, STREAMS]} if tags else {})


def test_an_hour_that_fails_again_and_again_is_tried_less_and_less_often_and_never_twice_at_once(
    lake: TestLake, tmp_path: Path
) -> None:
    begin(lake.resource.lake, "orders", [HOURS[0]])
    job = defs.resolve_job_def("hourly")
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert tick(LATER, instance) == [HOURS[0]]
        tags = {"dagster/partition": HOURS[0]}
        instance.create_run_for_job(job, tags=tags, status=dg.DagsterRunStatus.STARTED)
        assert tick(LATER, instance) == [], "a run is under way"
    from dagster_lake.hourly_runs import HourRuns

    now = datetime.now(UTC)
    due = [
        next(n for n in range(1, 100) if HourRuns(ended, now, False).may_run_again(now + timedelta(hours=n)))
        for ended in range(1, 8)
    ]
    assert due == [1, 2, 4, 8, 16, 16, 16]


def test_raw_that_moves_on_while_its_tables_are_made_stays_unfinished(
    lake: TestLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.run_sources(["pageviews"], HOURS[0])
    lake.land("pageviews", HOURS[0])
    lake.step("pageviews", "bronze", HOURS[0])
    lake.step("pageviews", "silver", HOURS[0])
    shutil.rmtree(lake.table_folder("bronze/pageviews"))  # of this, bronze was not made
    from dagster_lake.engines.made import tables_made

    tables_made(lake.resource.lake, contracts()["pageviews"], [HOURS[0]])
    assert unfinished(lake.resource.lake) == {HOURS[0]: ["pageviews"]}
