"""The commands in the docs do what they say, in the order a reader would type them, in a copy of the project."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "docs/add-a-data-set.md", "docs/add-a-metric.md"]
NOT_RUN = {
    "it is what runs this",
    "opens the UI and stays",
    "needs the Azure CLI and a subscription",
    "installs half a gigabyte and takes minutes; tests/engines/test_demo.py builds it",
    "needs a lake with orders; tests/lake/test_deleted_rows.py runs it",
}
BLOCK = re.compile(r"(?:<!-- not run: (?P<reason>[^>]+) -->\n)?```bash\n(?P<commands>.*?)```", re.DOTALL)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project as a fresh clone would have it, with this environment's installed packages."""
    copy = tmp_path_factory.mktemp("docs") / "project"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    (copy / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    # Older than the environment, or `make` would install the copy into it, for everybody who uses it.
    for pins in (
        copy / "pyproject.toml",
        copy / "setup.py",
        copy / "scripts" / "make-venv",
        *copy.glob("constraints/*"),
    ):
        os.utime(pins, (0, 0))
    return copy


@pytest.mark.parametrize("page", PAGES)
def test_every_command_on_the_page_succeeds(project: Path, page: str) -> None:
    if page != PAGES[0] and not (project / ".lake-of-the-guides").exists():
        _run(project, "rm -rf .lake && .venv/bin/lake demo --day 2026-01-01 --hours 2 && touch .lake-of-the-guides")
    for block in BLOCK.finditer((ROOT / page).read_text(encoding="utf-8")):
        if block["reason"] is None:
            _run(project, block["commands"])


def test_only_known_blocks_are_left_out() -> None:
    pages = [(ROOT / page).read_text(encoding="utf-8") for page in PAGES]
    assert {b["reason"] for text in pages for b in BLOCK.finditer(text) if b["reason"]} <= NOT_RUN


def _run(project: Path, commands: str) -> None:
    # A reader has none of ours; nor is there a make around theirs that hands its arguments down.
    ours = ("LAKE_", "DAGSTER_", "MAKE", "MFLAGS", "ARGS")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    # First on the path, so that the copy is imported and not the project this environment was installed for.
    environment["PYTHONPATH"] = str(project)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands], cwd=project, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{commands}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
