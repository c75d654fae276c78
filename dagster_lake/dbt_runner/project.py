"""Which dbt project the lake's models are of: the shop's, somebody's own, or none."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from dagster_lake.errors import LakeError
from dagster_lake.settings.lake import DBT_PROJECT, DBT_TARGET, PROJECT_ROOT
from dagster_lake.settings.project import ProjectSettings

MACROS_VARIABLE = "LAKE_DBT_MACROS"
"""The environment variable by which a dbt project of somebody's own has the lake's macros among its ``macro-paths``."""

_READ_BY_DBT = {".sql", ".yml", ".yaml", ".md", ".csv", ".py"}
_PACKAGES = ("packages.yml", "dependencies.yml")


class DbtProjectError(LakeError):
    """The dbt project is not there, or lacks what it needs; the message says what to do."""


@dataclass(frozen=True)
class DbtProject:
    """A dbt project: its ``folder``, and ``target``, where dbt's working files go."""

    folder: Path
    target: Path

    @property
    def flags(self) -> list[str]:
        """What every call of dbt is told. The profiles are the lake's own: it says where tables are, nobody else."""
        return ["--project-dir", str(self.folder), "--profiles-dir", str(DBT_PROJECT)]

    def stamp(self) -> str:
        """A digest of every file that the manifest depends on."""
        digest = hashlib.sha256(version("dbt-core").encode())
        for folder in dict.fromkeys((self.folder, DBT_PROJECT / "macros" / "lake")):
            for file in _files(folder):
                content = file.read_bytes()
                digest.update(f"{file.relative_to(folder)}\0{len(content)}\0".encode())
                digest.update(content)
        digest.update((DBT_PROJECT / "profiles.yml").read_bytes())
        return digest.hexdigest()

    def require(self, *, installed: bool = True) -> None:
        """Raises DbtProjectError when dbt could not begin here; ``installed`` asks for the project's packages too."""
        if not (self.folder / "dbt_project.yml").is_file():
            raise DbtProjectError(
                f"there is no dbt_project.yml in {self.folder}",
                "install dagster-lake again"
                if self.folder == DBT_PROJECT
                else "set LAKE_DBT_PROJECT to the folder of a dbt project",
            )
        wanted = [name for name in _PACKAGES if (self.folder / name).is_file()]
        if installed and wanted and not (self.folder / "dbt_packages").is_dir():
            raise DbtProjectError(
                f"the packages that {self.folder / wanted[0]} lists are not installed",
                f"run: LAKE_DBT_PROJECT={self.folder} lake dbt deps",
            )


def dbt_project() -> DbtProject | None:
    """The project that ``LAKE_DBT_PROJECT`` names; the shop's by default; None for other contracts without one.

    From then on this process and those that it starts know the lake's macros as ``LAKE_DBT_MACROS``.
    """
    os.environ[MACROS_VARIABLE] = str(DBT_PROJECT / "macros" / "lake")
    settings = ProjectSettings()
    if settings.has_shop_models:
        return DbtProject(DBT_PROJECT, DBT_TARGET)
    if settings.dbt_project is None:
        return None
    own = hashlib.sha256(str(settings.dbt_project).encode()).hexdigest()[:8]
    return DbtProject(settings.dbt_project, PROJECT_ROOT / ".dagster" / "dbt" / own)


def _files(folder: Path) -> Iterator[Path]:
    """The files below ``folder`` that dbt reads, in order; those of packages, which are often links, too."""
    for place, folders, files in os.walk(folder, followlinks=True):
        folders[:] = sorted(name for name in folders if name not in ("target", "logs") and not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if Path(name).suffix in _READ_BY_DBT)
