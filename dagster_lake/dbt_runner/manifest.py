"""The dbt project's manifest: what models, tests and sources there are, read again when a file has changed."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster_lake.dbt_runner.project import DbtProject, dbt_project
from dagster_lake.errors import LakeError

if TYPE_CHECKING:
    from dbt.contracts.graph.manifest import Manifest

HOURLY_TAG = "hourly"
STREAMS = "streams"
"""The schema of the models over event streams."""

_NO_MODELS: Mapping[str, Any] = {"nodes": {}, "sources": {}, "macros": {}, "parent_map": {}, "child_map": {}}


class DbtRunError(LakeError):
    """dbt failed: the message says which node, why, and where its compiled SQL is."""


def manifest() -> Mapping[str, Any]:
    """The dbt project's manifest, from ``target/manifest.json``, written anew when the project's files have changed.

    Without a dbt project it is one of no models.
    """
    project = dbt_project()
    if project is None:
        return _NO_MODELS
    project.require()
    return _manifest(project, project.stamp())


def require_project(*, installed: bool = True) -> DbtProject:
    """The project, for what cannot do without one; not ``installed``, it may lack the packages that it lists.

    Raises DbtRunError when there is no project, and DbtProjectError when dbt could not begin there.
    """
    project = dbt_project()
    if project is None:
        raise DbtRunError(
            "there are no models: LAKE_CONTRACTS is set and LAKE_DBT_PROJECT is not", "name the folder of a dbt project"
        )
    project.require(installed=installed)
    return project


@cache
def _manifest(project: DbtProject, stamp: str) -> Mapping[str, Any]:
    file = project.target / "manifest.json"
    stamp_file = file.with_suffix(".stamp")
    if not (file.exists() and stamp_file.exists() and stamp_file.read_text() == stamp):
        _read(project, stamp, "local", "{}")
    found: Mapping[str, Any] = json.loads(file.read_bytes())
    return found


def parsed(profile: str, variables: str) -> "Manifest":
    """dbt's own manifest for the target ``profile`` and these variables, as JSON."""
    project = require_project()
    return _read(project, project.stamp(), profile, variables)


def flags(target: Path, profile: str = "local") -> list[str]:
    """What a call of dbt is told: its project, its target, and that it writes nowhere but into ``target``."""
    return [
        *("--target", profile, "--no-populate-cache"),
        *require_project().flags,
        *("--target-path", str(target), "--log-path", str(target / "logs")),
        *("--log-level", "none", "--log-level-file", "none", "--no-write-json", "--no-send-anonymous-usage-stats"),
    ]


@cache
def _read(project: DbtProject, stamp: str, profile: str, variables: str) -> "Manifest":
    """dbt's own manifest for one target. Several processes may ask at once: one parses at a time, and the file that
    ``manifest`` reads appears whole."""
    from dbt.cli.main import dbtRunner
    from filelock import FileLock

    target = project.target
    target.mkdir(parents=True, exist_ok=True)
    scratch = target / ("parse" if profile == "local" else f"parse-{profile}")
    told = [flag for flag in flags(scratch, profile) if flag != "--no-write-json"]
    with FileLock(target / "parse.lock"):
        result = dbtRunner().invoke(["parse", "--vars", variables, *told])
        if not result.success:
            raise DbtRunError(f"the dbt project in {project.folder} does not parse: {result.exception}")
        if profile == "local":
            (scratch / "manifest.json").replace(target / "manifest.json")
            (scratch / "stamp").write_text(stamp)
            (scratch / "stamp").replace(target / "manifest.stamp")
    parsed: Manifest = result.result  # type: ignore[assignment]
    return parsed
