"""`lake deploy apply` cut off, refused, throttled and started twice: it goes on, and no deployment is begun twice."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from dagster_lake import clock
from dagster_lake.deploy import deployment
from dagster_lake.settings.lake import PROJECT_ROOT
from tests.azure.azure_ids import SUBSCRIPTION
from tests.azure.deploying import Deploying, deploying
from tests.azure.fake_az import broken

THROTTLED = (
    "(TooManyRequests) The request is being throttled as the limit has been reached.\nCode: TooManyRequests\n"
    "Message: The request is being throttled as the limit has been reached."
)
WORKSPACE = {"module": "databricks", "resource": "dbw-shop-dev"}


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Deploying]:
    with deploying(tmp_path) as made:
        yield made


def only_deployment(made: Deploying) -> str:
    [name] = made.azure.world["deployments"]
    return str(name)


def fails(made: Deploying, command: str, stderr: str, times: int = 1, **more: Any) -> None:
    made.azure.change(failures=[{"command": command, "stderr": stderr, "times": times, **more}])


# ---- a deployment that fails ----


def test_a_resource_that_fails_is_told_with_azures_words_and_the_remedy_and_the_next_run_deploys_again(
    fresh: Deploying, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "utc_now", lambda: datetime(2026, 1, 5, 12, tzinfo=UTC))
    inner = {"code": "SkuNotAvailable", "message": "The requested tier is not available in 'westeurope'."}
    error = {"code": "DeploymentFailed", "message": json.dumps({"error": {**inner, "details": []}})}
    fresh.azure.change(next=[{"fails": {**WORKSPACE, "error": error}}])
    told = fresh.refused("apply", "--yes")
    assert re.search(r"^\[\d+/\d+\] databricks  1 min 35 s  Failed$", told, re.M)
    assert (
        "is Failed:\nrg-shop-dev-compute/dbw-shop-dev (Microsoft.Databricks/workspaces)\n"
        "  SkuNotAvailable: The requested tier is not available in 'westeurope'.\n"
        "-> the region or the subscription does not have it"
    ) in told
    monkeypatch.setattr(clock, "utc_now", lambda: datetime(2026, 1, 5, 13, tzinfo=UTC))
    output = fresh.applied()
    assert "Trying again, since the deployment lake-shop-dev-" in output
    assert "rg-shop-dev-compute: 1 to create\n  + Microsoft.Databricks/workspaces  dbw" in output
    assert sorted(one["state"] for one in fresh.azure.world["deployments"].values()) == ["Failed", "Succeeded"]


def test_templates_that_azure_refuses_are_told_before_anything_begins(fresh: Deploying) -> None:
    outer = {"code": "InvalidTemplateDeployment", "message": "The template deployment is not valid. See inner errors."}
    inner = {"code": "RequestDisallowedByPolicy", "message": "Resource 'x' was disallowed by policy 'no-storage-keys'."}
    fails(fresh, "deployment sub create", f"{json.dumps(outer)}\n\nInner Errors: \n{json.dumps(inner)}")
    told = fresh.refused("apply", "--yes")
    assert (
        "az deployment sub create: InvalidTemplateDeployment: The template deployment is not valid. See inner errors.\n"
        "  RequestDisallowedByPolicy: Resource 'x' was disallowed by policy 'no-storage-keys'.\n"
        "-> a policy of the subscription or of this project forbids it; its name is above"
    ) in told
    assert "Deployed." in fresh.applied()
    assert len(fresh.azure.world["deployments"]) == 1


def test_an_azure_cli_that_breaks_over_a_refusal_is_read_all_the_same(fresh: Deploying) -> None:
    fails(fresh, "deployment sub create", broken("AuthorizationFailed", "The client does not have authorization."))
    told = fresh.refused("apply", "--yes")
    assert (
        "az deployment sub create: AuthorizationFailed: The client does not have authorization.\n-> you need Owner"
    ) in told


def test_a_bicep_that_cannot_read_the_templates_is_told_line_by_line(fresh: Deploying) -> None:
    lines = 'main.bicep(7,3) : Error BCP057: The name "x" does not exist.\nmain.bicep(9,3) : Error BCP018: Expected.'
    fails(fresh, "deployment sub what-if", lines)
    told = fresh.refused("plan")
    assert f"az deployment sub what-if: {lines}\n-> the templates and this Bicep do not fit: az bicep upgrade" in told


def test_a_what_if_that_foresees_a_refusal_is_one(fresh: Deploying) -> None:
    fails(
        fresh,
        "deployment sub what-if",
        "InvalidTemplateDeployment - Validation failed.\nAuthorizationFailed - The client does not have authorization.",
    )
    told = fresh.refused("apply", "--yes")
    assert (
        "  AuthorizationFailed: The client does not have authorization.\n-> you need Owner on the subscription" in told
    )
    assert fresh.begun == 0


# ---- trouble on the way ----


def test_throttling_while_waiting_does_not_end_the_waiting(fresh: Deploying) -> None:
    fails(fresh, "deployment operation sub list", THROTTLED, times=3)
    fresh.azure.change(next=[{"polls": 5}])
    assert "Deployed." in fresh.applied()
    assert fresh.begun == 1


def test_an_azure_that_stays_out_of_reach_ends_the_waiting_and_the_next_run_goes_on(
    fresh: Deploying, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(fresh, "deployment operation sub list", "HTTPSConnectionPool: Max retries exceeded with url", times=1000)
    with monkeypatch.context() as patch:
        patch.setattr(deployment, "LONGEST_TROUBLE_SECONDS", 0.0)
        told = fresh.refused("apply", "--yes")
    assert "Max retries exceeded" in told
    assert f"If {only_deployment(fresh)} runs on in Azure, the same command waits for it." in told
    fresh.azure.change(failures=[])
    assert "Deployed." in fresh.applied()
    assert fresh.begun == 1


def test_a_line_that_is_cut_when_azure_has_just_begun_is_no_failure(fresh: Deploying) -> None:
    fails(fresh, "deployment sub create", "('Connection aborted.', RemoteDisconnected())", done=True)
    assert "Deployed." in fresh.applied()
    assert len(fresh.azure.world["deployments"]) == 1


def test_a_line_that_is_cut_before_azure_begins_is_told_and_the_next_run_begins(fresh: Deploying) -> None:
    fails(fresh, "deployment sub create", "('Connection aborted.', RemoteDisconnected())")
    assert "-> Azure or the line was busy; run it again in a few minutes" in fresh.refused("apply", "--yes")
    assert "Deployed." in fresh.applied()
    assert len(fresh.azure.world["deployments"]) == 1


def test_a_login_that_ends_while_waiting_is_told_and_the_next_run_goes_on(fresh: Deploying) -> None:
    fails(fresh, "deployment operation sub list", "AADSTS700082: The refresh token has expired due to inactivity.")
    assert "-> log in: az login" in fresh.refused("apply", "--yes")
    assert "Deployed." in fresh.applied()
    assert fresh.begun == 1


# ---- killed ----


@contextmanager
def running(made: Deploying) -> Iterator[subprocess.Popen[bytes]]:
    """`lake deploy apply --yes` in a session of its own, killed whole at the end."""
    code = "import sys; from dagster_lake.cli import app; app(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *made.command("apply", "--yes")],
        cwd=PROJECT_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.05)


def test_killed_while_it_waits_the_next_run_waits_for_the_same_deployment_without_asking(fresh: Deploying) -> None:
    fresh.azure.change(next=[{"polls": -1}])
    with running(fresh) as process:
        until(lambda: bool(fresh.azure.called("deployment operation sub list")), process)
    name = only_deployment(fresh)
    fresh.azure.end(name)
    output = fresh.done("apply")
    assert f"{name} is at work in Azure; waiting for it" in output
    assert "Deployed." in output
    assert fresh.begun == 1


def test_killed_while_it_waits_and_ended_meanwhile_the_next_run_takes_it_as_it_is(fresh: Deploying) -> None:
    fresh.azure.change(next=[{"polls": -1}])
    with running(fresh) as process:
        until(lambda: bool(fresh.azure.called("deployment operation sub list")), process)
    name = only_deployment(fresh)
    world = fresh.azure.world
    world["deployments"][name] |= {"state": "Succeeded"}
    fresh.azure.change(**world)
    output = fresh.done("apply")
    assert f"{name} has succeeded" in output
    assert fresh.begun == 1
    assert len(fresh.azure.called("deployment sub what-if")) == 1


def test_killed_and_deployed_otherwise_since_the_next_run_deploys_again(fresh: Deploying) -> None:
    fresh.applied()
    name = only_deployment(fresh)
    agreed = {**json.loads(fresh.state.read_text()), "finished": False}  # as when the catalog failed
    fresh.write(("    # services:", "    sizes: {log_days: 60}\n    # services:"))
    fresh.state.unlink()  # which another machine has not
    fresh.applied()
    fresh.write()
    fresh.state.write_text(json.dumps(agreed))
    output = fresh.applied()
    assert f"{name} has succeeded, and another deployment since: looking anew" in output
    assert "properties.retentionInDays: 60 -> 30" in output
    assert fresh.begun == 3


def test_killed_before_azure_has_taken_the_deployment_the_next_run_begins_it_under_the_same_name(
    fresh: Deploying,
) -> None:
    pipe = fresh.azure.folder / "deployment-sub-create"
    os.mkfifo(pipe)
    with running(fresh) as process:
        until(lambda: fresh.begun == 1, process)
    pipe.unlink()
    agreed = json.loads(fresh.state.read_text())
    assert agreed["finished"] is False
    assert fresh.azure.world["deployments"] == {}
    fresh.applied()
    assert only_deployment(fresh) == agreed["deployment"]


def test_what_a_killed_run_has_left_behind_may_still_reach_azure_and_is_not_deployed_beside(fresh: Deploying) -> None:
    """The Azure CLI outlives the command that started it: what it asks for comes after the next run has asked."""
    pipe = fresh.azure.folder / "deployment-sub-create"
    os.mkfifo(pipe)
    with running(fresh) as process:
        until(lambda: fresh.begun == 1, process)
    pipe.unlink()
    orphan = fresh.azure.called("deployment sub create")[0]
    # Just before this run asks for it, which Azure then refuses as the name is at work.
    fails(fresh, "deployment sub create", broken("DeploymentActive", "It is still active."), done=True)
    assert "Deployed." in fresh.applied()
    assert only_deployment(fresh) == orphan[orphan.index("--name") + 1]


# ---- two at once ----


def test_a_deployment_that_another_machine_began_is_waited_for(fresh: Deploying) -> None:
    fresh.azure.change(next=[{"polls": 3}])
    with running(fresh) as process:
        until(lambda: bool(fresh.azure.world["deployments"]), process)
    fresh.state.unlink()  # which is another machine's
    output = fresh.done("apply")
    assert f"{only_deployment(fresh)} is at work in Azure; waiting for it" in output
    assert fresh.begun == 1


def test_one_of_other_files_is_waited_for_and_then_everything_is_looked_at_anew(fresh: Deploying) -> None:
    fresh.azure.change(next=[{"polls": 3}])
    with running(fresh) as process:
        until(lambda: bool(fresh.azure.world["deployments"]), process)
    fresh.write(("    # services:", "    sizes: {log_days: 60}\n    # services:"))
    output = fresh.applied()
    assert "is at work in Azure; waiting for it" in output
    assert "properties.retentionInDays: 30 -> 60" in output
    assert fresh.begun == 2


def test_one_that_began_while_one_was_asked_is_not_deployed_over(fresh: Deploying) -> None:
    pipe = fresh.azure.folder / "deployment-sub-what-if"
    os.mkfifo(pipe)
    with running(fresh) as process:
        until(lambda: bool(fresh.azure.called("deployment sub what-if")), process)
        other = {"state": "Running", "time": "2026-12-01T00:00:00+00:00", "polls": -1}
        fresh.azure.change(deployments={"lake-shop-dev-00000000-20261201T000000Z": other})
        pipe.write_text("go on")
        assert process.wait(60) == 1
    assert fresh.begun == 0
    assert not fresh.state.exists()


def test_a_second_apply_in_the_same_folder_is_refused(fresh: Deploying) -> None:
    fresh.state.parent.mkdir()
    with FileLock(fresh.state.with_suffix(".lock")):
        assert "another lake deploy apply holds" in fresh.refused("apply", "--yes")
    assert fresh.begun == 0


# ---- the state file ----


def test_the_state_file_holds_names_only(fresh: Deploying) -> None:
    fresh.applied()
    state = json.loads(fresh.state.read_text())
    name = only_deployment(fresh)
    assert state == {
        "format": 1,
        "subscription": SUBSCRIPTION,
        "deployment": name,
        "fingerprint": name.split("-")[3],
        "finished": True,
    }


def test_a_state_file_that_cannot_be_read_is_named_with_the_remedy(fresh: Deploying) -> None:
    fresh.state.parent.mkdir()
    fresh.state.write_text('{"format": 2}')
    assert "dev.json is not a state that this version reads; remove it" in fresh.refused("apply", "--yes")
