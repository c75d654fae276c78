"""Where a command finds Dagster's history: as `make dev` does."""

import contextlib
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from dagster_lake.settings.lake import PROJECT_ROOT


@contextlib.contextmanager
def at_dagster_home() -> Iterator[None]:
    """Names the project as DAGSTER_HOME unless another is named, and works in it: dagster.yaml's paths are relative."""
    name_dagster_home()
    with contextlib.chdir(PROJECT_ROOT):
        yield


def name_dagster_home() -> None:
    """Names the project as DAGSTER_HOME unless another is named, and gives that a dagster.yaml where it has none.

    Without one Dagster begins with a page of what it sends to whom.
    """
    named = os.environ.get("DAGSTER_HOME")
    if not named:
        os.environ["DAGSTER_HOME"] = str(PROJECT_ROOT)
        _ensure_dagster_yaml()
    elif (folder := Path(named)).is_dir() and not (folder / "dagster.yaml").exists():
        (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\nnux: {enabled: false}\n")


def without_telemetry() -> None:
    """Has neither Dagster nor dbt, in this process and those that it starts, tell their makers of it."""
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    os.environ["DBT_SEND_ANONYMOUS_USAGE_STATS"] = "false"


def _ensure_dagster_yaml() -> None:
    """Installed from a wheel, the folder one works in gets the wheel's dagster.yaml, unless it has one."""
    file = PROJECT_ROOT / "dagster.yaml"
    if not file.exists():
        packaged = resources.files("dagster_lake") / "dagster.yaml"
        file.write_text(packaged.read_text(encoding="utf-8"), encoding="utf-8")
