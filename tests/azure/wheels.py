"""The wheel, as somebody else builds and installs it."""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from dagster_lake.settings.lake import PROJECT_ROOT

PARTS = ("dagster_lake", "generators", "dbt")
FILES = ("pyproject.toml", "setup.py", "dagster.yaml", "README.md", "LICENSE")


def checkout_at(folder: Path) -> Path:
    """A copy of what the wheel is made from, as a fresh clone would have it."""
    folder.mkdir()
    for part in PARTS:
        shutil.copytree(
            PROJECT_ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "target", "logs")
        )
    for file in FILES:
        shutil.copy(PROJECT_ROOT / file, folder / file)
    return folder


def built(checkout: Path, umask: str = "022") -> Path:
    command = f"umask {umask} && exec '{sys.executable}' -m pip wheel . --no-deps --quiet --wheel-dir dist"
    done = subprocess.run(["bash", "-c", command], cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = (checkout / "dist").glob("*.whl")
    return wheel


def installed_at(home: Path, wheel: Path) -> Path:
    """A new environment that has the wheel, and this environment's packages to depend on, but not the checkout."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    here = sysconfig.get_path("purelib")
    # Appended as a plain folder: its .pth files, one of which points to the checkout, are not read.
    (packages / "dependencies.pth").write_text(f"import sys; sys.path.append({here!r})\n")
    install = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install"]
    subprocess.run([*install, "--quiet", "--no-index", "--no-deps", str(wheel)], check=True)
    return home / "bin"


def ran(command: list[str | Path], folder: Path, **environment: str) -> str:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("LAKE_", "DAGSTER_", "PYTHON"))}
    done = subprocess.run(command, cwd=folder, env=kept | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
