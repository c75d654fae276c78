"""What pyproject.toml cannot say of the wheel: it carries the dbt project, and the same files give the same bytes.

dbt/ stands at the top of the checkout, where dbt users look for it, and in the wheel as ``dagster_lake/dbt_project``.
"""

import os
import shutil
import tempfile
from pathlib import Path

from setuptools import setup
from setuptools.command.build import build
from setuptools.command.build_py import build_py

DBT = Path(__file__).parent / "dbt"
DBT_FILES = (
    "dbt_project.yml",
    "profiles.yml",
    "models/**/*",
    "macros/**/*",
    "tests/**/*",
    "snapshots/**/*",
    "seeds/**/*",
)

# Times and permissions are stored in a wheel: neither the clock nor the builder's umask may show in it.
os.environ.setdefault("SOURCE_DATE_EPOCH", "1577836800")  # 2020-01-01; zip knows nothing before 1980
os.umask(0o022)


class BuildElsewhere(build):
    """Builds in a folder of its own: in build/, files that the checkout no longer has would stay in the wheel."""

    def initialize_options(self) -> None:
        super().initialize_options()
        self._scratch = tempfile.TemporaryDirectory(prefix="dagster-lake-build-")  # removed with this object
        self.build_base = self._scratch.name


class BuildWithDbt(build_py):
    """Adds the dbt project; an editable install reads it where it is."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        package = Path(self.build_lib) / "dagster_lake"
        for file in sorted({file for pattern in DBT_FILES for file in DBT.glob(pattern) if file.is_file()}):
            target = package / "dbt_project" / file.relative_to(DBT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        shutil.copyfile(DBT.parent / "dagster.yaml", package / "dagster.yaml")
        for path in Path(self.build_lib).rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)


setup(cmdclass={"build": BuildElsewhere, "build_py": BuildWithDbt})
