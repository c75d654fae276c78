"""The scripts that workflows call, run. Programs that would ask Azure or GitHub are stood in for."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from dagster_lake.storage.paths import Lake

ROOT = Path(__file__).parents[2]
FAKE = Path(__file__).with_name("fake_program.py")
SUBSCRIPTION = "5d1f8a52-0c7e-4a3b-9c53-2f8f0e6f1b11"
GROUPS = [f"rg-shop-dev-{name}" for name in ("compute", "data", "monitoring", "network")]


@dataclass
class Outside:
    """The programs of others, and what they were asked."""

    folder: Path
    answers: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("az", "docker", "gh", "skopeo"):
            (self.folder / name).symlink_to(FAKE)

    def run(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "answers.json").write_text(json.dumps(self.answers))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LAKE_", "GITHUB_"))}
        own = {
            "PATH": f"{self.folder}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "BIN": str(Path(sys.executable).parent),
            "PYTHONPATH": str(ROOT),
            "FAKE_ANSWERS": str(self.folder / "answers.json"),
            "FAKE_CALLS": str(self.folder / "calls"),
        }
        return subprocess.run(
            [str(word) for word in command],
            cwd=ROOT,
            env={**inherited, **own, **environment},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )

    @property
    def calls(self) -> list[str]:
        noted = self.folder / "calls"
        return noted.read_text().splitlines() if noted.exists() else []


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    folder = tmp_path / "outside"
    folder.mkdir()
    return Outside(folder)


# ---- destroy-environment ---------------------------------------------------------------------------------------------


@dataclass
class Environment:
    """An environment on Azure, as the Azure CLI tells of it."""

    outside: Outside
    file: Path

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        script = ROOT / "scripts" / "destroy-environment"
        return self.outside.run(sys.executable, script, *arguments, "--file", self.file, **environment)

    @property
    def deleted(self) -> list[str]:
        return [call for call in self.outside.calls if " delete " in call]


@pytest.fixture
def environment(outside: Outside, tmp_path: Path) -> Environment:
    file = tmp_path / "lake.yaml"
    told = {name: {"subscription": SUBSCRIPTION} for name in ("dev", "test", "prod")}
    file.write_text(json.dumps({"domain": "shop", "environments": told}))
    outside.answers = {
        "az group exists": "true",
        "az group delete": "",
        "az resource list": [{"type": "Microsoft.Storage/storageAccounts", "name": "stshop"}],
        "az lock list": [],
        "az consumption budget list": [{"name": "budget-shop-dev"}, {"name": "another"}],
        "az consumption budget delete": "",
    }
    return Environment(outside, file)


def test_what_would_go_is_listed_and_nothing_is_deleted(environment: Environment) -> None:
    done = environment.run("dev")
    assert done.returncode == 0, done.stderr
    for told in (*GROUPS, "Microsoft.Storage/storageAccounts stshop", "budget-shop-dev", SUBSCRIPTION):
        assert told in done.stdout
    assert environment.deleted == []


def test_everything_of_the_environment_is_deleted_and_nothing_else(environment: Environment) -> None:
    done = environment.run("dev", "--delete", "shop-dev")
    assert done.returncode == 0, done.stderr
    assert environment.deleted == [
        *(f"az group delete --name {group} --yes --subscription {SUBSCRIPTION}" for group in GROUPS),
        f"az consumption budget delete --budget-name budget-shop-dev --subscription {SUBSCRIPTION}",
    ]
    assert "app registration" in done.stdout


def test_what_is_gone_already_is_passed_over(environment: Environment) -> None:
    environment.outside.answers[f"az group exists --name {GROUPS[0]}"] = "false"
    environment.outside.answers["az consumption budget list"] = []
    assert environment.run("dev", "--delete", "shop-dev").returncode == 0
    assert [call.split()[4] for call in environment.deleted] == GROUPS[1:]


@pytest.mark.parametrize("name", ["", "dev", "shop-test", "shop-dev "])
def test_another_name_deletes_nothing(environment: Environment, name: str) -> None:
    done = environment.run("dev", "--delete", name)
    assert done.returncode != 0
    assert "is called shop-dev" in done.stderr
    assert environment.outside.calls == []


def test_a_lock_is_in_the_way_and_is_named(environment: Environment) -> None:
    environment.outside.answers[f"az lock list --resource-group {GROUPS[1]}"] = [{"name": "do-not-delete"}]
    done = environment.run("dev", "--delete", "shop-dev")
    assert done.returncode != 0
    assert f"{GROUPS[1]}/do-not-delete" in done.stderr
    assert environment.deleted == []


def test_prod_takes_a_second_word(environment: Environment) -> None:
    refused = environment.run("prod", "--delete", "shop-prod", LAKE_DESTROY_PROD="")
    assert refused.returncode != 0
    assert "LAKE_DESTROY_PROD" in refused.stderr
    assert environment.outside.calls == []
    assert environment.run("prod", "--delete", "shop-prod", LAKE_DESTROY_PROD="yes").returncode == 0
    assert len(environment.deleted) == 4


def test_what_azure_refuses_is_told_and_stops(environment: Environment) -> None:
    environment.outside.answers[f"az group delete --name {GROUPS[0]}"] = 3
    done = environment.run("dev", "--delete", "shop-dev")
    assert done.returncode != 0
    assert f"az group delete --name {GROUPS[0]}" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(environment.deleted) == 1


@pytest.mark.parametrize("content", ["", "domain: shop", "domain: [", "environments: {dev: {}}"])
def test_a_lake_yaml_that_does_not_say_it_is_named(environment: Environment, content: str) -> None:
    environment.file.write_text(content)
    done = environment.run("dev")
    assert done.returncode != 0
    assert str(environment.file) in done.stderr
    assert "Traceback" not in done.stderr


# ---- branches --------------------------------------------------------------------------------------------------------


def test_the_sweep_removes_the_lakes_of_closed_pull_requests_only(outside: Outside, tmp_path: Path) -> None:
    root = tmp_path / ".lake"
    for name in (".", "branches/pr_1", "branches/pr_2", "branches/pr_3", "branches/mine"):
        Lake.at(str(root / name))
    outside.answers = {"gh pr view 1 ": "MERGED", "gh pr view 2 ": "OPEN", "gh pr view 3 ": "CLOSED"}
    done = outside.run("scripts/sweep-branches", LAKE_ROOT=str(root), LAKE_CATALOG="")
    assert done.returncode == 0, done.stderr
    assert sorted(folder.name for folder in (root / "branches").iterdir()) == ["mine", "pr_2"]
    assert (root / "lake.json").exists()


def test_the_sweep_removes_nothing_when_github_does_not_answer(outside: Outside, tmp_path: Path) -> None:
    Lake.at(str(tmp_path / ".lake"))
    Lake.at(str(tmp_path / ".lake" / "branches" / "pr_1"))
    outside.answers = {"gh pr view": 1}
    done = outside.run("scripts/sweep-branches", LAKE_ROOT=str(tmp_path / ".lake"))
    assert done.returncode != 0
    assert (tmp_path / ".lake" / "branches" / "pr_1" / "lake.json").exists()


# ---- the rest --------------------------------------------------------------------------------------------------------


def test_a_summary_has_what_was_printed_and_the_exit_code_stays(outside: Outside, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    own = {"GITHUB_STEP_SUMMARY": str(summary), "RUNNER_TEMP": str(tmp_path)}
    done = outside.run("scripts/summarise", "sh", "-c", "echo told; echo warned >&2; exit 3", **own)
    assert done.returncode == 3
    assert "told\nwarned\n" in done.stdout
    assert summary.read_text().endswith("```text\ntold\nwarned\n```\n\n")


def test_a_tag_is_the_version_of_the_project(outside: Outside) -> None:
    from importlib.metadata import version

    assert outside.run("scripts/check-version", f"v{version('dagster-lake')}").returncode == 0
    refused = outside.run("scripts/check-version", "v99.0.0")
    assert refused.returncode != 0
    assert "v99.0.0" in refused.stderr


def test_the_digest_of_an_image_is_that_of_the_image_alone(outside: Outside, tmp_path: Path) -> None:
    outside.answers = {"docker buildx inspect": "", "docker buildx build": ""}
    digest = f"sha256:{'0a' * 32}"
    file = tmp_path / "dist" / "image.tar"
    file.parent.mkdir()
    file.with_name("image.tar.json").write_text(f'{{\n  "containerimage.digest": "{digest}"\n}}')
    told = tmp_path / "output"
    done = outside.run("scripts/build-image", "v1.2.3", file, GITHUB_OUTPUT=str(told))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"dagster-lake@{digest}"
    assert told.read_text() == f"digest={digest}\n"
    [build] = [call for call in outside.calls if call.startswith("docker buildx build")]
    assert f"--output type=oci,dest={file} --metadata-file {file}.json" in build
    # With an attestation beside it, the digest would be that of an index, which skopeo does not copy.
    assert "--provenance=false" in build
    file.with_name("image.tar.json").write_text("{}")
    refused = outside.run("scripts/build-image", "v1.2.3", file)
    assert "has no containerimage.digest" in refused.stderr


def test_an_image_that_is_another_in_the_registry_is_told(outside: Outside) -> None:
    outside.answers = {"az acr login": "", "skopeo copy": "", "skopeo inspect": "sha256:built"}
    push = ("scripts/push-image", "image.tar", "sha256:built", "crshopdev", "v1.2.3")
    done = outside.run(*push)
    assert done.returncode == 0, done.stderr
    assert "dagster_image: dagster-lake@sha256:built" in done.stdout
    assert "skopeo copy --preserve-digests oci-archive:image.tar docker://crshopdev.azurecr.io/dagster-lake:v1.2.3" in (
        outside.calls
    )
    outside.answers["skopeo inspect"] = "sha256:other"
    refused = outside.run(*push)
    assert refused.returncode != 0
    assert "sha256:other" in refused.stderr


def test_what_main_kept_is_fetched_from_its_newest_run(outside: Outside, tmp_path: Path) -> None:
    outside.answers = {"gh run list": "4711", "gh run download": ""}
    assert outside.run("scripts/fetch-dbt-base", tmp_path / "base").returncode == 0
    assert outside.calls[-1] == f"gh run download 4711 --name dbt-base --dir {tmp_path / 'base'}"
    outside.answers["gh run list"] = ""
    refused = outside.run("scripts/fetch-dbt-base", tmp_path / "base")
    assert refused.returncode != 0
    assert "no successful run" in refused.stderr
