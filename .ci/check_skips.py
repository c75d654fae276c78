"""Fails when a test was skipped that may not be, so that a missing program cannot pass for a green build."""

import sys
from pathlib import Path
from xml.etree import ElementTree


def skipped_tests(report: Path) -> dict[str, str]:
    """The reason for each test that the JUnit report says was skipped; expected failures are not skips."""
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        for skip in case.iter("skipped"):
            if skip.get("type") != "pytest.xfail":
                found[_name(case)] = skip.get("message", "")
    return found


def allowed_tests(file: Path) -> set[str]:
    """The names in the list, without comments."""
    names = (line.split("#")[0].strip() for line in file.read_text().splitlines())
    return {name for name in names if name}


def main(report: Path, list_file: Path) -> int:
    """The exit code, after printing what is wrong."""
    skipped, allowed = skipped_tests(report), allowed_tests(list_file)
    for name in sorted(skipped.keys() - allowed):
        print(f"skipped, and not in {list_file}: {name}: {skipped[name]}")
    for name in sorted(allowed - skipped.keys()):
        print(f"in {list_file}, and not skipped any more; remove it there: {name}")
    return 0 if skipped.keys() == allowed else 1


def _name(case: ElementTree.Element) -> str:
    """``tests/unit/test_x.py::test_y`` of a test case."""
    return f"{case.get('classname', '').replace('.', '/')}.py::{case.get('name')}"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
