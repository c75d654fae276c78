"""Failures of the lake: which there are, that each has one id, and that what is told holds no data."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteInstigatorOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, ScheduleInstigatorData
from typer.testing import CliRunner

from dagster_lake.cli import app
from dagster_lake.contract.model import Channel, contracts
from dagster_lake.definitions import defs
from dagster_lake.defs.operations.failures_told import Cursor
from dagster_lake.operations.failures.data_sets import data_sets_by
from dagster_lake.operations.failures.failure import Failure
from dagster_lake.operations.failures.of_dagster import SILENT, dead_daemons
from dagster_lake.operations.failures.of_runs import check_failures, first_of_its_cause, run_failure
from dagster_lake.operations.failures.standing import standing
from dagster_lake.operations.failures.tell import tell_failures
from dagster_lake.operations.telemetry.news import Cursor as RunsSeen
from dagster_lake.operations.telemetry.runs import AssetWork, CheckWork, RunWork
from dagster_lake.settings.lake import Settings
from dagster_lake.streams.alerts.channels import route
from tests.lake.lakes import TestLake
from tests.lake.test_alerts import NOW, Place
from tests.lake.webhooks import webhook

STARS = dg.AssetKey(["silver", "stars"])


def run(
    id: str = "r1",
    status: dg.DagsterRunStatus = dg.DagsterRunStatus.SUCCESS,
    hour: str | None = "2026-01-05T12",
    error: str | None = None,
    checks: tuple[CheckWork, ...] = (),
    **tags: str,
) -> RunWork:
    asset = AssetWork(STARS, "silver__stars", checks={check.name: check for check in checks}, error=error)
    partition = {"dagster/partition": hour} if hour else {}
    return RunWork(id, "hourly", status, {**partition, **tags}, NOW, NOW, NOW, error, (asset,))


def check(passed: bool = False, severity: str = "warn", name: str = "rows_valid") -> CheckWork:
    return CheckWork(name, passed, severity, "Jan Novák")


FAILED = dg.DagsterRunStatus.FAILURE
data_sets_of = data_sets_by(defs)


def told_of(*runs: RunWork) -> list[str]:
    """The runs in which checks began to fail, one look after the other."""
    failing: dict[str, str] = {}
    found = []
    for one in runs:
        new, failing = check_failures(one, failing, data_sets_of)
        found += [failure.id.rpartition(" ")[2] for failure in new]
    return found


def test_a_warning_is_told_once_until_the_check_passes() -> None:
    failing, passing = (check(),), (check(passed=True),)
    hours = [f"2026-01-05T{hour}" for hour in (12, 13, 14, 15)]
    runs = [run(f"r{n}", hour=hours[n], checks=passing if n == 2 else failing) for n in range(4)]
    assert told_of(*runs) == ["r0", "r3"]


def test_an_error_is_told_once_for_each_hour_until_it_passes() -> None:
    failing, passing = (check(severity="error"),), (check(passed=True, severity="error"),)
    runs = [
        run("r0", checks=failing),
        run("r1", checks=failing),
        run("r2", hour="2026-01-05T13", checks=failing),
        run("r3", checks=passing),
        run("r4", checks=failing),
        run("r5", hour="2026-01-05T13", checks=failing),
    ]
    assert told_of(*runs) == ["r0", "r2", "r4"]


def test_hours_of_one_run_that_fail_are_told_together_and_only_new_ones_again() -> None:
    def found(*failed: str) -> CheckWork:
        hours = {hour: "error" if hour in failed else "passed" for hour in ("T01", "T02", "T03", "T04")}
        return CheckWork("rules_hold", not failed, "error", None, hours)

    new, failing = check_failures(run("r0", hour=None, checks=(found("T02", "T03"),)), {}, data_sets_of)
    assert [failure.what for failure in new] == [
        "the check rules_hold of silver/stars of T02 and 1 more failed, in run r0"
    ]
    new, failing = check_failures(run("r1", hour=None, checks=(found("T03", "T04"),)), failing, data_sets_of)
    assert [failure.what for failure in new] == ["the check rules_hold of silver/stars of T04 failed, in run r1"]
    assert check_failures(run("r2", hour=None, checks=(found(),)), failing, data_sets_of) == ([], {})


@pytest.mark.parametrize("name", ["no_alerts", "webhook_takes_them", "fresh"])
def test_what_is_told_otherwise_is_not_told_as_a_check(name: str) -> None:
    assert told_of(run(checks=(check(name=name),))) == []


def test_a_failed_run_is_told_with_the_class_of_its_error_alone() -> None:
    failure = run_failure(run(status=FAILED, error="ValueError: could not convert 'Jan Novák'"), data_sets_of)
    assert failure is not None
    assert failure.what == "run r1 of hourly of 2026-01-05T12 failed, at silver/stars: ValueError"
    assert "notices/r1.md" in failure.to_do
    assert failure.data_sets == ("stars",)
    assert failure.owners == contracts()["stars"].owner


def test_a_run_that_did_not_fail_or_is_run_again_by_itself_is_not_told() -> None:
    assert run_failure(run(), data_sets_of) is None
    assert run_failure(run(status=FAILED, error="E: e", **{"dagster/will_retry": "true"}), data_sets_of) is None


def test_a_run_that_failed_by_a_check_is_told_by_the_check_alone() -> None:
    by_check = run(status=FAILED, error="Failure: withheld", checks=(check(severity="error"),))
    assert run_failure(by_check, data_sets_of) is None
    assert told_of(by_check) == ["r1"]
    killed = replace(run(status=FAILED, checks=(check(severity="error"),)), error="its worker is gone")
    assert run_failure(killed, data_sets_of) is not None
    alone = replace(killed, error="Execution of run for \"hourly\" failed. Steps failed: ['accepted__stars'].")
    assert run_failure(alone, data_sets_of) is None
    by_itself = run(status=FAILED, error="OSError: full", checks=(check(),))
    assert run_failure(by_itself, data_sets_of) is not None


def test_an_hour_that_fails_again_at_each_retry_is_told_once_for_each_cause_until_it_succeeds() -> None:
    full = {"status": FAILED, "error": "OSError: full"}
    runs = [
        run("r0", **full),
        run("r1", **full),
        run("r2", status=FAILED, error="ValueError: odd"),
        run("r3", status=FAILED, error="ValueError: another"),
        run("r4", hour="2026-01-05T13", **full),
        run("r5"),
        run("r6", status=FAILED, error="ValueError: odd"),
        run("r7", hour=None, **full),
        run("r8", hour=None, **full),
    ]
    failing: dict[str, str] = {}
    told = []
    for one in runs:
        failure, failing = first_of_its_cause(one, run_failure(one, data_sets_of), failing)
        told += [failure.id] if failure else []
    assert told == ["r0", "r2", "r4", "r6", "r7", "r8"]


def test_what_follows_from_data_sets_concerns_them() -> None:
    assert data_sets_of(dg.AssetKey(["quarantine", "orders"])) == ("orders",)
    assert data_sets_of(dg.AssetKey(["streams", "high_latency_alerts"])) == ("pageviews",)
    assert data_sets_of(dg.AssetKey(["silver", "users_snapshots"])) == ("users",)
    assert data_sets_of(dg.AssetKey(["somebody", "elses"])) == ()


def test_a_failure_goes_to_the_channels_of_its_data_sets_else_to_the_default_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    named = {name: replace(contracts()[name], channels=(Channel(f"c-{name}", False),)) for name in contracts()}
    monkeypatch.setattr("dagster_lake.streams.alerts.channels.contracts", lambda: named)
    assert route(Settings(), ("stars", "users")) == ("c-stars", "c-users")
    assert route(Settings(), ()) == ("default",)


def failures(number: int, at: datetime = NOW) -> list[Failure]:
    return [Failure("failed_run", f"r{n}", at, (), f"run {n} failed", "mend it") for n in range(number)]


def test_a_failure_is_noted_once_for_days_and_never_too_old_to_be_told(tmp_path: Path) -> None:
    with webhook() as hook:
        place = Place(tmp_path, hook)
        for hours in (0, 1, 30):
            with _at(NOW + timedelta(hours=hours)):
                tell_failures(place.lake, place.settings, failures(2, NOW - timedelta(days=1)), "r", place.said.append)
        assert [row["state"] for row in place.notices()] == ["due", "due"]
        assert len({row["delivery"] for row in place.notices()}) == 2  # each alone: one that is refused is alone, too
        assert place.said == [
            f"alert: failed_run at 2026-01-04 12:30:00 UTC: run {n} failed. What to do: mend it. Owner: the platform"
            for n in range(2)
        ]


def test_a_flood_of_failures_goes_together(tmp_path: Path) -> None:
    with webhook() as hook:
        place = Place(tmp_path, hook)
        with _at(NOW):
            tell_failures(place.lake, place.settings, failures(130), "r", place.said.append)
        assert len({row["delivery"] for row in place.notices()}) == 2


def _at(now: datetime):  # type: ignore[no-untyped-def]
    from unittest.mock import patch

    from dagster_lake import clock

    return patch.object(clock, "utc_now", lambda: now)


def test_a_daemon_that_never_ran_did_not_die_and_one_that_lives_is_not_told(tmp_path: Path) -> None:
    from dagster._daemon.types import DaemonHeartbeat

    now = datetime.now(UTC)
    with dg.instance_for_test() as instance:
        assert list(dead_daemons(instance, now)) == []
        for thread in ("SENSOR", "SCHEDULER"):
            instance.add_daemon_heartbeat(DaemonHeartbeat(now.timestamp(), thread, "id", []))
        assert list(dead_daemons(instance, now + SILENT)) == []
        [died] = dead_daemons(instance, now + SILENT + timedelta(seconds=1))
        assert [again.id for again in dead_daemons(instance, now + timedelta(days=1))] == [died.id]


def test_data_that_stopped_is_told_where_a_schedule_or_somebody_outside_expects_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dagster_lake.operations.failures.standing.stopped_deliveries", lambda *_: failures(1))
    lake = Place(tmp_path).lake
    with dg.instance_for_test() as instance:
        assert standing(lake, instance, NOW, print, outside=False) == []
        assert standing(lake, instance, NOW, print, outside=True) == failures(1)
        schedule = RemoteInstigatorOrigin(
            RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("dagster_lake"), "__repository__"),
            "publish_lake_status",
        )
        data = ScheduleInstigatorData("20 * * * *", NOW.timestamp())
        instance.add_instigator_state(
            InstigatorState(schedule, InstigatorType.SCHEDULE, InstigatorStatus.RUNNING, data)
        )
        assert standing(lake, instance, NOW, print, outside=False) == failures(1)


def test_a_look_that_fails_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("a table is damaged: Jan Novák")

    monkeypatch.setattr("dagster_lake.operations.failures.standing.stopped_deliveries", broken)
    monkeypatch.setattr("dagster_lake.operations.failures.standing.dead_daemons", lambda *_: failures(1))
    said: list[str] = []
    with dg.DagsterInstance.ephemeral() as instance:
        found = standing(Place(tmp_path).lake, instance, NOW, said.append, outside=True)
    assert [failure.id for failure in found] == ["r0"]
    assert said == ["the look at deliveries failed: OSError"]


def test_the_cursor_is_read_as_it_was_written_and_no_other_is() -> None:
    cursor = Cursor(RunsSeen(NOW, {"r1 FAILURE": NOW}), {"silver/stars rows_valid": "r1"}, ("a b",), (1, None))
    assert Cursor.read(cursor.write()) == cursor
    assert Cursor.read(None) is None
    for other in ("{}", "nonsense", '{"runs": "{}", "failing": {}}', '{"runs": "", "failing": {}}', "[]"):
        with pytest.raises(ValueError, match="Reset cursor"):
            Cursor.read(other)


def test_lake_watch_looks_once_and_says_by_its_exit_code_what_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = TestLake(tmp_path / "lake")
    assert lake.resource.lake
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("dagster_lake.operations.failures.standing.dead_daemons", lambda *_: failures(1))
    for name, value in lake.environment.items():
        monkeypatch.setenv(name, value)
    with webhook() as hook:
        monkeypatch.setenv("LAKE_ALERT_WEBHOOK", hook.address)
        hook.judge = lambda body: 404
        waits = CliRunner().invoke(app, ["watch", "--once"])
        assert waits.exit_code == 3, waits.output
        assert "run 0 failed" in waits.output
