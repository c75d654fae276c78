"""The slim build, by its script and dbt itself: what a change reaches is built and tested, and nothing else."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
CHANGED = Path("dbt") / "models" / "gold" / "engagement_daily.sql"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What main kept: the manifest, and a lake that has no tables yet, which dbt reads as empty ones."""
    folder = tmp_path_factory.mktemp("base")
    (folder / "lake").mkdir()
    (folder / "lake" / "lake.json").write_text('{"format_version": 2}\n')
    parse = ["dbt", "--quiet", "parse", "--project-dir", "dbt", "--profiles-dir", "dbt", "--target-path"]
    done = _run(ROOT, [str(BIN / "dbt"), *parse[1:], str(folder / "target")], folder / "lake")
    assert done.returncode == 0, done.stdout
    shutil.move(folder / "target" / "manifest.json", folder / "manifest.json")
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A pull request's checkout, as far as dbt is concerned."""
    shutil.copytree(ROOT / "dbt", tmp_path / "dbt", ignore=shutil.ignore_patterns("target", "logs"))
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "dbt-slim", tmp_path / "scripts")
    return tmp_path


def _run(folder: Path, command: list[str], lake: Path) -> subprocess.CompletedProcess[str]:
    own = {"BIN": str(BIN), "PYTHONPATH": str(ROOT), "LAKE_ROOT": str(lake), "DBT_LOG_PATH": str(lake.parent / "logs")}
    return subprocess.run(command, cwd=folder, env={**os.environ, **own}, stdout=-1, stderr=-2, text=True)


def slim(project: Path, base: Path) -> subprocess.CompletedProcess[str]:
    return _run(project, ["scripts/dbt-slim", str(base)], base / "lake")


def test_what_a_changed_model_reaches_is_built_and_tested_and_nothing_else(project: Path, base: Path) -> None:
    before = sorted(base.rglob("*"))
    model = project / CHANGED
    model.write_text(model.read_text().replace("cast(sum(pageviews)", "cast(0 + sum(pageviews)"))
    done = slim(project, base)
    assert done.returncode == 0, done.stdout
    built = {line.split("model ")[1].split()[0] for line in done.stdout.splitlines() if "OK created" in line}
    assert built == {"gold.engagement_daily", "gold.engagements"}
    assert "PASS engagements_has_one_row_per_customer" in done.stdout
    assert sorted(base.rglob("*")) == before  # what main kept is read, never written


def test_a_model_that_its_tests_refuse_fails_the_build(project: Path, base: Path) -> None:
    model = project / "dbt" / "models" / "gold" / "engagements.sql"
    text = model.read_text()
    assert "sum(pageviews) as" in text
    model.write_text(text.replace("sum(pageviews) as", "max(pageviews) as"))
    done = slim(project, base)
    assert done.returncode != 0
    assert "engagements_adds_up_days_and_keeps_customers_who_did_nothing" in done.stdout.partition("Failure in ")[2]


def test_a_folder_with_nothing_to_compare_with_is_refused(project: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = slim(project, tmp_path / "empty")
    assert done.returncode != 0
    assert "make it with scripts/dbt-base" in done.stdout
