"""The Dockerfile, read as Docker would: what goes into the image, who runs it, and what it starts.

`scripts/prove-dockerfile` carries its steps out; docs/delivery.md has what that printed.
"""

import json
import re
import shutil
import subprocess
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.delivery.dockerfile import context_files, pairs, read_dockerfile

ROOT = Path(__file__).parents[2]
DOCKERFILE = read_dockerfile((ROOT / "Dockerfile").read_text(encoding="utf-8"))
IMAGE = DOCKERFILE.image
EXTRAS = DOCKERFILE.stages[0].all("ARG")[0].removeprefix("EXTRAS=")
APPS = (ROOT / "infra" / "bicep" / "modules" / "dagster.bicep").read_text(encoding="utf-8")
SECRETS = (
    ".env",
    ".lake/sources/pii.key",
    ".lake-sources/pii.key",
    ".dagster/history/runs.db",
    ".databrickscfg",
    ".azure/msal_token_cache.json",
    ".git/config",
    ".venv/bin/python",
    "dist/image.tar",
    "key",
    "lake.yaml",
    "catalog.yaml",
    "dagster_lake/.env",
    "dagster_lake/__pycache__/settings.cpython-312.pyc",
    "dbt/.user.yml",
    "dbt/logs/dbt.log",
    "dbt/target/manifest.json",
    "deploy/.env",
    "scripts/make-venv",
    "tests/conftest.py",
)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git has of the project."""
    copy = tmp_path_factory.mktemp("context")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in listed.splitlines():
        if (ROOT / name).is_file() and not name.startswith(("tests/", "docs/")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    return copy


# ---- the build context -----------------------------------------------------------------------------------------------


def test_everything_that_is_copied_is_in_the_context_and_nothing_else_is(checkout: Path) -> None:
    context = context_files(checkout)
    copied = [
        source for stage in DOCKERFILE.stages for one in stage.copies() if not one.stage for source in one.sources
    ]
    assert [source for source in copied if not _of(source, context)] == []
    assert set(context) == {name for source in copied for name in _of(source, context)}


def _of(source: str, context: list[str]) -> list[str]:
    return [name for name in context if name == source or name.startswith(f"{source.rstrip('/')}/")]


def test_no_secret_and_no_lake_that_lies_in_the_checkout_gets_into_the_context(checkout: Path) -> None:
    before = context_files(checkout)
    for name in SECRETS:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("secret")
    assert context_files(checkout) == before
    assert not set(before) & set(SECRETS)


def test_the_wheel_in_the_image_has_every_file_that_it_has_elsewhere(checkout: Path) -> None:
    context = set(context_files(checkout))
    listed = subprocess.run(
        ["git", "ls-files", "dagster_lake", "generators", "dbt"], cwd=ROOT, capture_output=True, text=True
    )
    assert [name for name in listed.stdout.splitlines() if name not in context and (ROOT / name).is_file()] == []


@pytest.mark.parametrize(
    ("patterns", "kept"),
    [
        ("*\n!a", ["a/.hidden", "a/b", "a/c/d.py"]),
        ("*\n!a/c", ["a/c/d.py"]),
        ("*\n!a\n**/*.py", ["a/.hidden", "a/b"]),
        ("a/*\n!a/b", ["a/b", "e"]),
        ("*\n!a\n**/.*", ["a/b", "a/c/d.py"]),
        ("**/c", ["a/.hidden", "a/b", "e"]),
        ("", ["a/.hidden", "a/b", "a/c/d.py", "e"]),
    ],
)
def test_the_patterns_of_dockerignore_are_read_as_docker_reads_them(
    tmp_path: Path, patterns: str, kept: list[str]
) -> None:
    for name in ("a/b", "a/c/d.py", "a/.hidden", "e"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / ".dockerignore").write_text(patterns)
    assert [name for name in context_files(tmp_path) if name != ".dockerignore"] == kept


# ---- the image -------------------------------------------------------------------------------------------------------


def test_every_stage_begins_with_the_same_image_by_its_digest() -> None:
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+@sha256:[0-9a-f]{64}", DOCKERFILE.arguments["PYTHON"])
    names = {stage.name for stage in DOCKERFILE.stages}
    assert {stage.base for stage in DOCKERFILE.stages} - names == {"${PYTHON}"}


def test_its_processes_are_nobody_and_are_started_without_a_shell() -> None:
    [user] = IMAGE.all("USER")
    assert user.isdigit()
    assert int(user) >= 1000
    assert f"--uid {user}" in IMAGE.all("RUN")[0]
    assert not IMAGE.all("ENTRYPOINT")
    after = [one.word for one in IMAGE.instructions][[one.word for one in IMAGE.instructions].index("USER") :]
    assert "COPY" not in after
    assert isinstance(json.loads(IMAGE.all("CMD")[0]), list)


def test_nothing_is_built_or_installed_in_it() -> None:
    steps = " ".join(IMAGE.all("RUN"))
    assert not re.search(r"\b(apt|apt-get|gcc|make|curl|wget|git|pip install|pip wheel)\b", steps)
    assert "rm -rf /usr/local/bin/pip*" in steps
    for stage in DOCKERFILE.stages:
        assert not re.search(r"\b(apt|apt-get|curl|wget)\b", " ".join(stage.all("RUN")))


def test_no_secret_is_asked_for_and_none_is_kept() -> None:
    assert [stage.all("ARG") for stage in DOCKERFILE.stages] == [[f"EXTRAS={EXTRAS}"], [], []]
    names = {name for stage in DOCKERFILE.stages for rest in stage.all("ENV") for name in pairs(rest)}
    assert not [name for name in names if re.search("KEY|TOKEN|PASSWORD|SECRET|SAS", name)]


def test_what_is_installed_is_pinned_for_every_python() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "requirements", EXTRAS], cwd=ROOT, capture_output=True, text=True, check=True
    )
    wanted = {canonicalize_name(Requirement(line.split("  #")[0]).name) for line in done.stdout.splitlines()}
    assert len(wanted) > 30
    for file in sorted((ROOT / "constraints").glob("py*.txt")):
        pinned = {canonicalize_name(line.split("==")[0]) for line in file.read_text().splitlines() if "==" in line}
        assert sorted(wanted - pinned) == [], file.name


def test_an_extra_that_the_project_has_not_is_refused() -> None:
    done = subprocess.run([ROOT / "scripts" / "requirements", "azure,asure"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "no extra asure" in done.stderr


# ---- what Azure starts -----------------------------------------------------------------------------------------------


def commands() -> dict[str, list[str]]:
    """The commands of the apps in dagster.bicep, by their first word and the next."""
    found = {}
    for app in re.findall(r"command: \[(.*?)\]\s*args: \[(.*?)\]", APPS, re.DOTALL):
        words = re.findall(r"'([^']*)'|string\((\w+)\)", "\n".join(app))
        ports = dict(re.findall(r"var (\w+Port) = (\d+)", APPS))
        line = [word or ports[port] for word, port in words]
        found[line[0]] = line
    return found


def test_each_command_that_azure_starts_is_in_the_image() -> None:
    scripts = {script.name for script in entry_points(group="console_scripts")}
    assert set(commands()) == {"dagster", "dagster-daemon", "dagster-webserver"}
    assert set(commands()) <= scripts


def test_the_image_starts_the_code_location_as_azure_does() -> None:
    assert json.loads(IMAGE.all("CMD")[0]) == commands()["dagster"]


def test_the_ports_are_those_that_azure_asks() -> None:
    assert sorted(IMAGE.all("EXPOSE")[0].split()) == sorted(dict(re.findall(r"var (\w+Port) = (\d+)", APPS)).values())


def test_the_files_that_azure_names_are_where_it_looks(checkout: Path) -> None:
    [folder] = IMAGE.all("WORKDIR")
    context = context_files(checkout)
    for program in ("dagster-daemon", "dagster-webserver"):
        line = commands()[program]
        assert line[line.index("--workspace") + 1] in context
    home = pairs(IMAGE.all("ENV")[0])["DAGSTER_HOME"]
    assert f"{home}/dagster.yaml".removeprefix(f"{folder}/") in context
    assert f"value: '{home}'" in APPS or "DAGSTER_HOME" not in APPS
