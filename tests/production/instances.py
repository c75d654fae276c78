"""Copies of the shipped instance files, for a test: hosts, certificates and intervals are replaced, nothing else."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from dagster_lake.settings.lake import PROJECT_ROOT

DEPLOY = PROJECT_ROOT / "deploy"


def shipped(name: str) -> dict[str, Any]:
    """deploy/<name>/dagster.yaml, read."""
    document: dict[str, Any] = yaml.safe_load((DEPLOY / name / "dagster.yaml").read_text())
    return document


def put(document: Mapping[str, Any], folder: Path) -> Path:
    """Writes an instance file into a DAGSTER_HOME; returns that."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dagster.yaml").write_text(yaml.safe_dump(document))
    return folder


@contextmanager
def opened(home: Path, environment: Mapping[str, str]) -> Iterator[dg.DagsterInstance]:
    """The instance of a DAGSTER_HOME in this process, which works in that folder meanwhile."""
    with pytest.MonkeyPatch.context() as here:
        for name, value in environment.items():
            here.setenv(name, value)
        here.chdir(home)
        with dg.DagsterInstance.from_config(str(home)) as instance:
            yield instance
