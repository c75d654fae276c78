"""The build fails on a skip that nobody allowed."""

import subprocess
import sys
from pathlib import Path

from dagster_lake.settings.lake import PROJECT_ROOT

REPORT = """<testsuites><testsuite>
  <testcase classname="tests.unit.test_a" name="test_runs"/>
  <testcase classname="tests.unit.test_a" name="test_skipped"><skipped type="pytest.skip" message="no psql"/></testcase>
  <testcase classname="tests.unit.test_a" name="test_known"><skipped type="pytest.xfail" message="known"/></testcase>
</testsuite></testsuites>"""
SKIPPED = "tests/unit/test_a.py::test_skipped"


def run(tmp_path: Path, allowed: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "report.xml").write_text(REPORT)
    (tmp_path / "allowed.txt").write_text(allowed)
    command = [sys.executable, str(PROJECT_ROOT / ".ci" / "check_skips.py"), "report.xml", "allowed.txt"]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)


def test_a_skip_that_is_not_listed_fails(tmp_path: Path) -> None:
    result = run(tmp_path, "# nothing\n")
    assert result.returncode == 1
    assert f"{SKIPPED}: no psql" in result.stdout
    assert "test_known" not in result.stdout


def test_a_listed_skip_passes(tmp_path: Path) -> None:
    assert run(tmp_path, f"{SKIPPED}  # no database here\n").returncode == 0


def test_a_listed_test_that_runs_again_fails(tmp_path: Path) -> None:
    assert run(tmp_path, f"{SKIPPED}\ntests/unit/test_a.py::test_runs\n").returncode == 1
