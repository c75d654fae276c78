"""An hour that fails after raw heals without a person: its step is tried again, and the next ticks take it up."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.utils import make_new_run_id

from dagster_lake.commit import observe
from dagster_lake.contract.model import contracts
from dagster_lake.definitions import defs
from dagster_lake.defs import steps
from dagster_lake.defs.dbt.assets import dbt_assets
from dagster_lake.defs.schedules import close_the_hour
from dagster_lake.lake_hour import HourRange, hour_key
from dagster_lake.lake_resource import LakeResource
from dagster_lake.landing.land import partitions
from dagster_lake.landing.result import LandingError
from dagster_lake.operations.hourly_runs import HourRuns, hours_of
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


def all_requests(at: datetime, instance: dg.DagsterInstance | None = None) -> list[dg.RunRequest]:
    """What the schedule asks for, first the hour that just ended."""
    with dg.build_schedule_context(
        instance,
        scheduled_execution_time=at,
        resources={"lake": LakeResource()},
        repository_def=defs.get_repository_def(),
    ) as context:
        return list(close_the_hour.evaluate_tick(context).run_requests or [])


def tick(at: datetime, instance: dg.DagsterInstance | None = None) -> list[str]:
    """The hours that the schedule asks for, the one that just ended aside."""
    return [
        hour for request in all_requests(at, instance)[1:] for hour in hours_of(request.tags, request.partition_key)
    ]


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
    from dagster_lake.dbt_runner.manifest import DbtRunError
    from dagster_lake.storage.delta.write import DeltaWriteError, LostToOthers

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

    monkeypatch.setattr("dagster_lake.defs.dbt.assets.build", fail)
    for asset in shop:
        done = dg.materialize([asset], partition_key=HOURS[0], resources={"lake": LakeResource()}, raise_on_error=False)
        assert not done.success
    assert len(asked) == 2 * (steps.MOST_RETRIES + 1)
    assert unfinished(lake.resource.lake) == {HOURS[0]: [GOLD, STREAMS]}
    monkeypatch.setattr("dagster_lake.defs.dbt.assets.build", lambda *_, **__: iter(()))
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
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        assert tick(LATER, instance) == [HOURS[0]]
        ran(instance, HOURS[0], status=dg.DagsterRunStatus.STARTED)
        assert tick(LATER, instance) == [], "a run is under way"
    due = [
        next(n for n in range(1, 100) if HourRuns(ended, LATER, False).may_run_again(LATER + timedelta(hours=n)))
        for ended in range(1, 8)
    ]
    assert due == [1, 2, 4, 8, 16, 16, 16]


@pytest.mark.parametrize(("minutes", "asked"), [(5, []), (15, [HOURS[0]])])
def test_hours_of_a_run_that_a_failed_tick_made_and_never_started_are_asked_for_again(
    lake: TestLake, instance: dg.DagsterInstance, minutes: int, asked: list[str]
) -> None:
    begin(lake.resource.lake, "orders", [HOURS[0]])
    ran(instance, HOURS[0], status=dg.DagsterRunStatus.NOT_STARTED, ago=timedelta(minutes=minutes))
    assert tick(LATER, instance) == asked


def ran(
    instance: dg.DagsterInstance,
    first: str,
    last: str | None = None,
    *,
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.FAILURE,
    ago: timedelta = timedelta(hours=1),
) -> None:
    """A run that the schedule asked for, so long ago: counted from now, for other tests may have taken an hour."""
    created = datetime.now(UTC) - ago
    span = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": str(last)}
    tags = {"dagster/schedule_name": "close_the_hour", **(span if last else {"dagster/partition": first})}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dagster._core.storage.runs.sql_run_storage.get_current_datetime", lambda: created)
        # Without the job's snapshot, which takes seconds to make and which nobody asks for here.
        instance.run_storage.add_run(dg.DagsterRun("hourly", make_new_run_id(), status=status, tags=tags))


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        yield instance


def asked_for(at: datetime, instance: dg.DagsterInstance) -> list[list[str]]:
    """The hours of each run that the schedule asks for, the one that just ended aside."""
    return [hours_of(request.tags, request.partition_key) for request in all_requests(at, instance)[1:]]


def test_a_lake_that_is_scheduled_for_the_first_time_is_asked_for_nothing_of_the_time_before(
    lake: TestLake, instance: dg.DagsterInstance
) -> None:
    lake.run_data_set("orders", HOURS[0])
    assert asked_for(datetime(2026, 1, 2, 12, 5, tzinfo=UTC), instance) == []


def test_hours_that_the_daemon_missed_are_one_run_and_are_not_asked_for_while_it_is_under_way(
    lake: TestLake, instance: dg.DagsterInstance
) -> None:
    lake.run_data_set("orders", HOURS[0])
    ran(instance, HOURS[0], ago=timedelta(days=3))
    at = datetime(2026, 1, 2, 12, 5, tzinfo=UTC)
    [missed] = asked_for(at, instance)
    assert (missed[0], missed[-1], len(missed)) == ("2026-01-01T01", "2026-01-02T10", 34)
    ran(instance, missed[0], missed[-1], status=dg.DagsterRunStatus.STARTED)
    assert asked_for(at, instance) == []
    assert asked_for(at + timedelta(hours=1), instance) == [["2026-01-02T11"]], "whose own run was never made"


def test_an_hour_that_spoils_a_range_is_soon_alone_and_the_others_have_their_turn(
    lake: TestLake, instance: dg.DagsterInstance
) -> None:
    lake.run_data_set("orders", HOURS[0])
    at, bad = datetime(2026, 1, 2, 12, 5, tzinfo=UTC), "2026-01-01T20"
    ran(instance, HOURS[0], ago=timedelta(days=3))
    asked, tried = [], 0
    while [bad] not in (asked := asked_for(at, instance)):
        tried += len(asked)
        for one in asked:  # an hour ago each, so that the next tick is due
            status = dg.DagsterRunStatus.FAILURE if bad in one else dg.DagsterRunStatus.STARTED
            ran(instance, one[0], one[-1], status=status)
    assert tried <= 12
    assert len(asked) <= 4
    ran(instance, bad, ago=timedelta())
    assert [bad] not in asked_for(at, instance), "nor is it tried at every tick"


def test_an_hour_that_is_refused_does_not_keep_others_of_its_range_out_of_raw(
    lake: TestLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_lake.landing import hours as landing

    three = hours(3)
    lake.run_sources(["orders"], *three)
    land = landing._land_hour

    def refused(contract: Any, where: Any, hour: datetime, *rest: Any) -> Any:
        if hour_key(hour) == three[1]:
            raise LandingError("orders, hour 01: refused")
        return land(contract, where, hour, *rest)

    monkeypatch.setattr(landing, "_land_hour", refused)
    span = HourRange.of(three[0], three[-1])
    with pytest.raises(LandingError, match="hour 01: refused"):
        landing.land_hours(contracts()["orders"], lake.resource.lake, span, lake.resource.sources)
    assert partitions(lake.resource.lake, contracts()["orders"]) == [three[0], three[2]]
    asked = [hours_of(one.tags, one.partition_key) for one in all_requests(datetime(2026, 1, 1, 4, 5, tzinfo=UTC))[1:]]
    assert asked == [[three[0]], [three[1]], [three[2]]], "each side of it alone"


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
