"""The workflows do what they may and no more, and each command in them exists, with the options that it is given."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.delivery.workflows import (
    ROOT,
    Step,
    commands_of_script,
    problems_of,
    problems_of_command,
    steps,
    workflows,
)

WORKFLOWS = workflows()
STEPS = [step for name, content in WORKFLOWS.items() for step in steps(name, content)]
JOBS = [(name, key, job) for name, content in WORKFLOWS.items() for key, job in content["jobs"].items()]
ENVIRONMENTS = ("dev", "test", "prod")
SCRIPTS = [file for file in sorted((ROOT / "scripts").iterdir()) if file.read_text().startswith("#!/usr/bin/env bash")]
BY_TAG = {"databricks/setup-cli@v0.281.0"}
"""Actions that are not named by a commit, since the commit of a new enough version could not be had: see
docs/delivery.md."""


def uses(step: Step) -> str:
    return str(step.content.get("uses", ""))


# ---- commands --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [step for step in STEPS if "run" in step.content], ids=str)
def test_every_command_of_a_step_exists_with_its_options(step: Step) -> None:
    for environment in ENVIRONMENTS if "$ENVIRONMENT" in step.content["run"] else ENVIRONMENTS[:1]:
        lines = step.content["run"].replace("$ENVIRONMENT", environment).splitlines()
        assert [problem for line in lines for problem in problems_of(line)] == []


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda file: file.name)
def test_every_command_of_ours_in_a_script_exists_with_its_options(script: Path) -> None:
    found = commands_of_script(script.read_text(encoding="utf-8"))
    assert [problem for command in found for problem in problems_of_command(command)] == []


def test_the_scripts_commands_are_found() -> None:
    found = {command[0] for script in SCRIPTS for command in commands_of_script(script.read_text(encoding="utf-8"))}
    assert found >= {f".venv/bin/{program}" for program in ("dagster", "dbt", "lake")}


@pytest.mark.parametrize(
    "line",
    [
        "make no-such-target",
        "scripts/no-such-script",
        "scripts/dbt-slim --no-such-option",
        "lake no-such-command",
        "lake branch no-such-command",
        "lake branch remove --no-such-option pr_1",
        "lake branch remove",
        "lake status extra",
        "lake deploy plan --environment staging",
        'scripts/summarise lake status --no-such-option "$X"',
        "dagster asset no-such-command",
        "dagster asset materialize -m dagster_lake.definitions --no-such-option",
        "dbt no-such-command",
        "LAKE_ROOT=x dbt build --no-such-option",
        "echo before && .venv/bin/lake no-such-command | tee log",
        "python -m no_such_module",
        "python no_such_file.py",
        "no-such-program",
    ],
)
def test_a_command_that_cannot_be_is_noticed(line: str) -> None:
    assert len(problems_of(line)) == 1


def test_an_option_that_dbt_has_not_is_noticed_in_a_script() -> None:
    text = (ROOT / "scripts" / "dbt-slim").read_text(encoding="utf-8")
    for option in ("--defer", "--state", "--full-refresh"):
        commands = commands_of_script(text.replace(option, f"{option}-no"))
        assert [problem for command in commands for problem in problems_of_command(command)]


def test_the_bundle_has_every_target_and_variable_that_a_step_names() -> None:
    bundle = yaml.safe_load((ROOT / "databricks.yml").read_text(encoding="utf-8"))
    named = [step for step in STEPS if str(step.content.get("run", "")).startswith("databricks bundle")]
    assert named
    for step in named:
        target = step.content["run"].split("--target ")[1].split()[0].strip('"')
        assert target == "$ENVIRONMENT" or target in bundle["targets"], step
        given = {name.removeprefix("BUNDLE_VAR_") for name in step.content["env"] if name.startswith("BUNDLE_VAR_")}
        assert given <= bundle["variables"].keys(), step
        asked = {name for name, variable in bundle["variables"].items() if "default" not in variable}
        assert asked <= given, step
    environments = {job["with"]["environment"] for _, _, job in JOBS if "with" in job}
    assert environments <= bundle["targets"].keys()


# ---- what they may ---------------------------------------------------------------------------------------------------


def test_a_workflow_may_read_the_code_and_a_job_says_what_more_it_needs() -> None:
    for name, content in WORKFLOWS.items():
        assert content["permissions"] == {"contents": "read"}, name
    more = {
        (name, key, scope, access)
        for name, key, job in JOBS
        for scope, access in job.get("permissions", {}).items()
        if (scope, access) not in {("contents", "read"), ("id-token", "write")}
    }
    assert more == {("ci.yml", "dbt-slim", "actions", "read"), ("branch.yml", "sweep", "pull-requests", "read")}


def test_only_a_job_that_logs_in_may_ask_for_an_identity_and_it_names_its_environment() -> None:
    for name, key, job in JOBS:
        logs_in = any("azure/login@" in step.get("uses", "") for step in job.get("steps", []))
        called = WORKFLOWS.get(Path(job.get("uses", "")).name)
        logs_in = logs_in or bool(called and any("azure/login@" in uses(step) for step in steps("", called)))
        assert (job.get("permissions", {}).get("id-token") == "write") == logs_in, (name, key)
        assert "environment" in job or "uses" in job or not logs_in, (name, key)


def test_no_stored_key_is_used_anywhere() -> None:
    for file in (ROOT / ".github" / "workflows").glob("*.yml"):
        assert "secrets." not in file.read_text(encoding="utf-8"), file.name
    logins = [step for step in STEPS if "azure/login@" in uses(step)]
    assert logins
    assert all(step.content["with"].keys() == {"client-id", "tenant-id", "subscription-id"} for step in logins)


def test_an_action_is_named_by_its_commit_and_its_version_is_told() -> None:
    lines = [line for file in sorted((ROOT / ".github" / "workflows").glob("*.yml")) for line in file.open()]
    used = [line.partition("uses: ")[2].strip() for line in lines if re.match(r"\s*(- )?uses: ", line)]
    others = [action for action in used if not action.startswith("./")]
    assert {a for a in others if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", a)} == BY_TAG
    assert len({action.partition("@")[0] for action in others}) == len(set(others))  # one version of each


def test_the_token_that_fetched_the_code_is_not_left_for_what_runs_after() -> None:
    checkouts = [step for step in STEPS if "actions/checkout@" in uses(step)]
    assert len(checkouts) >= len([job for _, _, job in JOBS if "steps" in job])
    assert all(step.content["with"]["persist-credentials"] is False for step in checkouts)


def test_what_comes_from_outside_never_becomes_part_of_a_command() -> None:
    for step in STEPS:
        assert "${{" not in step.content.get("run", ""), step
    assert not [name for name, content in WORKFLOWS.items() if "pull_request_target" in content["on"]]


def test_a_fork_s_pull_request_gets_no_identity() -> None:
    for name, key, job in JOBS:
        asks = job.get("permissions", {}).get("id-token") == "write"
        if asks and "pull_request" in WORKFLOWS[name]["on"]:
            own = "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]
            assert own or "github.event_name == 'push'" in job["if"] or "!= 'pull_request'" in job["if"], (name, key)


def test_every_job_ends_in_time_and_none_is_in_another_s_way() -> None:
    for name, key, job in JOBS:
        assert "uses" in job or 0 < job["timeout-minutes"] <= 180, (name, key)
    for name, content in WORKFLOWS.items():
        groups = [content, *content["jobs"].values()]
        assert any("concurrency" in one or "uses" in one for one in groups), name


def test_what_changes_azure_is_never_cut_off() -> None:
    for name, content in WORKFLOWS.items():
        for one in [content, *content["jobs"].values()]:
            group = one.get("concurrency", {})
            if str(group.get("group", "")).startswith(("infra-${{ inputs", "release")):
                assert group["cancel-in-progress"] is False, name


def test_a_workflow_that_is_called_is_there_and_gets_what_it_asks_for() -> None:
    called = [(name, key, job) for name, key, job in JOBS if "uses" in job]
    assert called
    for name, key, job in called:
        content = WORKFLOWS[Path(job["uses"]).name]
        asked = content["on"]["workflow_call"]["inputs"]
        assert set(job["with"]) == {one for one, about in asked.items() if about["required"]}, (name, key)


# ---- environments ----------------------------------------------------------------------------------------------------


def environments(name: str) -> set[str]:
    return {str(job["environment"]) for workflow, _, job in JOBS if workflow == name and "environment" in job}


def test_looking_deploying_and_deleting_are_done_as_different_identities() -> None:
    assert environments("infra.yml") == {"${{ matrix.environment }}-plan"}
    assert environments("infra-environment.yml") == {"${{ inputs.environment }}"}
    assert environments("destroy.yml") == {"${{ inputs.environment }}-plan", "${{ inputs.environment }}-destroy"}
    assert environments("branch.yml") == {"branches"}


def test_an_environment_waits_for_the_one_before_it() -> None:
    for name, content in WORKFLOWS.items():
        jobs: dict[str, Any] = content["jobs"]
        if "prod" in jobs:
            assert "dev" in str(jobs["test"]["needs"]), name
            assert "test" in str(jobs["prod"]["needs"]), name


def test_nothing_is_deleted_that_was_not_listed_and_named() -> None:
    destroy = WORKFLOWS["destroy.yml"]
    assert set(destroy["on"]) == {"workflow_dispatch"}
    inputs = destroy["on"]["workflow_dispatch"]["inputs"]
    assert inputs["name"]["default"] == ""
    assert inputs["environment"]["default"] == "dev"
    delete = destroy["jobs"]["delete"]
    assert delete["needs"] == "list"
    assert "inputs.name != ''" in delete["if"]
    deleting = [step for step in STEPS if "--delete" in step.content.get("run", "")]
    assert {(step.workflow, step.job) for step in deleting} == {("destroy.yml", "delete")}


def test_the_environments_and_variables_that_the_workflows_use_are_in_the_docs() -> None:
    page = (ROOT / "docs" / "delivery.md").read_text(encoding="utf-8")
    texts = [file.read_text(encoding="utf-8") for file in (ROOT / ".github" / "workflows").glob("*.yml")]
    variables = {found for text in texts for found in re.findall(r"\bvars\.([A-Z_]+)", text)}
    assert [name for name in sorted(variables) if f"`{name}`" not in page] == []
    assert [name for name in WORKFLOWS if f"`{name}`" not in page] == []
