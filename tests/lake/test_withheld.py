"""A load with nothing valid, or too much bad, is withheld: said loudly, by itself, and not tried again in vain."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from dagster_lake.contract.model import contracts
from dagster_lake.defs.contracts import acceptance
from dagster_lake.engines import judged
from dagster_lake.settings.lake import PROJECT_ROOT
from tests.lake.lakes import TestLake, write
from tests.lake.test_hand_made_input import MONDAY, OF_USERS, drop_users, newest, person

FIRST = "2026-01-05T060000Z"
OF_VIPS = dg.AssetSelection.keys(
    ["raw", "vip_users"], ["bronze", "vip_users"], ["silver", "vip_users_snapshots"], ["quarantine", "vip_users"]
)


@pytest.fixture
def lake(tmp_path: Path) -> TestLake:
    return TestLake(tmp_path / "lake")


def users(lake: TestLake, *, ok: bool = True, **config: bool) -> dg.ExecuteInProcessResult:
    ops = {"silver__users_snapshots": {"config": config}} if config else None
    return lake.materialize(selection=OF_USERS, config=ops, ok=ok)


def check(result: dg.ExecuteInProcessResult) -> dg.AssetCheckEvaluation:
    [found] = [e for e in result.get_asset_check_evaluations() if e.check_name == "accepted"]
    return found


def refusals(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """What a person reads, by the steps that failed."""
    failed = [e for e in result.all_events if e.is_step_failure]
    return {str(e.step_key): str(e.step_failure_data.error.message) for e in failed if e.step_failure_data.error}


def test_a_load_without_a_valid_row_fails_the_check_on_silver_and_the_run_with_reasons(lake: TestLake) -> None:
    drop_users(lake, '{"id": 1}\nnot json\n[]\n')

    result = users(lake, ok=False)

    assert not result.success
    assert not check(result).passed
    assert check(result).severity == dg.AssetCheckSeverity.ERROR
    assert check(result).asset_key == dg.AssetKey(["silver", "users_snapshots"])
    said = f"silver/users_snapshots: {FIRST} withheld: 3 of 3 rows are bad: malformed 2, birth_number:required 1"
    [(step, reason)] = refusals(result).items()
    assert step == "accepted__users_snapshots"
    assert said in reason
    assert contracts()["users"].owner in reason
    assert said in (check(result).description or "")
    assert lake.rows("silver/users_snapshots") == []
    assert len(lake.rows("quarantine/users")) == 3


def test_a_small_load_is_judged_only_when_nothing_is_valid_and_a_large_one_by_its_share(lake: TestLake) -> None:
    good = [person(i) for i in range(100)]
    cases = {"18 of 19 bad": ([*good[:1], *["x"] * 18], True), "4 of 20 bad": ([*good[:16], *["x"] * 4], True)}
    cases["5 of 20 bad"] = ([*good[:15], *["x"] * 5], False)
    for day, (name, (lines, taken)) in enumerate(cases.items()):
        drop_users(lake, "\n".join(lines), day)
        result = users(lake, ok=taken, accept_shrink=True)
        assert result.success is taken, name
        assert check(result).passed is taken, name
    balance = [e for e in result.get_asset_check_evaluations() if e.check_name == "row_balance"]
    assert all(e.passed for e in balance)


def test_yesterdays_snapshot_stays_in_force_and_the_next_one_clears_it(lake: TestLake) -> None:
    drop_users(lake, "\n".join(person(i) for i in range(30)))
    users(lake)
    drop_users(lake, "\n".join([*(person(i) for i in range(15)), *["broken"] * 15]), day=1)

    users(lake, ok=False)

    assert newest(lake) == dict.fromkeys(range(30))
    drop_users(lake, "\n".join(person(i) for i in range(29)), day=2)
    result = users(lake)
    assert check(result).passed
    assert newest(lake) == {**dict.fromkeys(range(29)), 29: "2026-01-07T060000Z"}


def test_a_standing_refusal_warns_and_is_not_computed_again_until_accepted(lake: TestLake) -> None:
    drop_users(lake, "x\n" * 3)
    users(lake, ok=False)
    version = delta_version(lake, "quarantine/users")

    again = users(lake)

    assert (check(again).passed, check(again).severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "3 of 3 rows are bad: malformed 3" in (check(again).description or "")
    assert delta_version(lake, "quarantine/users") == version
    assert check(users(lake, accept=True)).passed
    assert delta_version(lake, "quarantine/users") > version
    assert check(users(lake)).passed, "what was accepted stays accepted"


@pytest.mark.parametrize("changed", ["rules_of", "raw_of"])
def test_a_refusal_is_tried_again_when_the_contract_the_code_or_raw_has_changed(
    lake: TestLake, changed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drop_users(lake, "x\n" * 3)
    users(lake, ok=False)
    version = delta_version(lake, "quarantine/users")
    for module in (acceptance, judged):
        monkeypatch.setattr(module, changed, lambda *of: "another", raising=False)

    assert not users(lake, ok=False).success
    assert delta_version(lake, "quarantine/users") > version


def test_one_bad_guest_stops_no_other(lake: TestLake) -> None:
    drop_users(lake, "x\n")
    write(lake.root / "landing" / "vip_users" / "vips.jsonl", '{"id": 1}\n', MONDAY)

    result = lake.materialize(selection=OF_USERS | OF_VIPS, ok=False)

    assert not result.success
    assert [row["id"] for row in lake.rows("silver/vip_users_snapshots")] == [1]


def delta_version(lake: TestLake, table: str) -> int:
    return len(list((lake.table_folder(table) / "_delta_log").glob("*.json")))


def test_the_command_line_ends_with_an_error_and_prints_the_reasons_and_whom_to_tell(
    lake: TestLake, tmp_path: Path
) -> None:
    drop_users(lake, '{"id": 1}\nnot json\n[]\n')
    drop_users(lake, "x", name="readme.txt")
    selection = " or ".join(f'key:"{key}"' for key in ("raw/users", "bronze/users", "silver/users_snapshots"))
    command = ("-m", "dagster", "asset", "materialize", "-m", "dagster_lake.definitions", "--select", selection)
    environment = {**os.environ, **lake.environment, "DAGSTER_HOME": str(tmp_path), "DAGSTER_DISABLE_TELEMETRY": "1"}

    ended = subprocess.run(
        [sys.executable, *command], env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True
    )

    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    assert (
        f"silver/users_snapshots: {FIRST} withheld: 3 of 3 rows are bad: malformed 2, birth_number:required 1" in said
    )
    assert f"Whom to tell: {contracts()['users'].owner}" in said
    assert "readme.txt was skipped: it does not end in .jsonl" in said
