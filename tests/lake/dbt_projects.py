"""A dbt project of a test's own: the lake's macros and sources, and the models that the test gives."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import dedent
from unittest.mock import patch

from dagster_lake.dbt_runner import manifest as dbt_manifest
from dagster_lake.dbt_runner import run as dbt
from dagster_lake.dbt_runner.project import DbtProject
from dagster_lake.lake_hour import HourRange
from dagster_lake.settings.lake import DBT_PROJECT, Settings
from dagster_lake.storage.paths import Lake


@contextmanager
def project(folder: Path, models: Mapping[str, str]) -> Iterator[None]:
    """Makes these the models of this process: the text of each, by its path below models/."""
    for name in ("dbt_project.yml", "profiles.yml", "macros", "tests/generic", "models/sources.yml"):
        here, there = DBT_PROJECT / name, folder / name
        there.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if here.is_dir() else shutil.copyfile)(here, there)
    for name, text in models.items():
        write_model(folder, name, text)
    with patch.object(dbt_manifest, "dbt_project", lambda: DbtProject(folder, folder / "target")):
        yield


def write_model(folder: Path, name: str, text: str) -> None:
    """Writes one model, or its YAML, as somebody who edits the project."""
    path = folder / "models" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text).strip() + "\n", encoding="utf-8")


def build(lake: Lake, engine: str, *models: str, hours: HourRange | None = None) -> dict[str, dbt.NodeResult]:
    """Builds these models on an engine."""
    settings = Settings(engine=engine, threads=2)  # type: ignore[arg-type]
    ids = [f"model.dagster_lake.{model}" for model in models]
    return {result.name: result for result in dbt.build(ids, hours, lake, settings)}


def failure(lake: Lake, engine: str, model: str) -> str:
    """What is said when this model fails."""
    try:
        build(lake, engine, model)
    except dbt_manifest.DbtRunError as error:
        return str(error)
    raise AssertionError(f"{model} was built")
