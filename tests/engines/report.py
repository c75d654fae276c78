"""docs/engines.md from a run of this suite: python -m tests.engines.report docs/engines.md

Each test that holds a table of two engines against each other notes what it compared (``note``); this command runs
those tests and writes one line a table with what was noted. A table without a note in a case says so.
"""

import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

NOTE = "engines"
COMPARING = ("test_demo.py", "test_steps.py", "test_dbt_models.py", "test_streams.py")
"""The files whose tests note what they compare."""
HEAD = """# Engines

One step, one table: the same contract or model gives the same table on every engine. The embedded engine (DuckDB and
delta-rs) is the reference; the others are held against it by `tests/engines`, from the same inputs: column names,
types, nullability, partitions, the columns with statistics, and every value. Written by the suite
(`python -m tests.engines.report docs/engines.md`); the numbers are the rows that were compared and found equal.

`LAKE_ENGINE` chooses: `duckdb` (the default; no JVM), `spark` (a local JVM, or a cluster's), `databricks` (the same
Spark steps, [submitted to a workspace](databricks.md)).

## A local Spark

`pip install -c constraints/py311.txt -e '.[spark]'` and Java 17 or later; `LAKE_ENGINE=spark lake doctor` says what
is missing. What belongs together is pinned: pyspark 4.2 with Delta 4.4.0. Spark fetches the jars
(`io.delta:delta-spark_4.2_2.13:4.4.0`, and the io.delta and io.unitycatalog jars it names, 13 MB) from Maven Central
at its first start and keeps them in `~/.cache/dagster_lake`. Where nothing can be fetched, put them into a folder and
name it in `LAKE_SPARK_JARS`. `LAKE_SPARK_MEMORY` (2g) is the JVM's memory, `LAKE_THREADS` its cores. A start costs
seconds and every step some more, however small: [benchmarks.md](benchmarks.md) has the numbers.

What the engines still differ in, and nothing else that the tests find, which draw types, patterns, names, odd JSON and
changed contracts at random or from lists of what was once wrong:

- Spark cannot say of a snapshot that held nothing, taken more than 30 days ago, that it was taken (it then asks again
  whether to accept it).
- Field names of JSON over 49,999 characters are malformed on Spark.
- A contract's pattern is looked for by RE2 on both, on Databricks by the release in the runtime's pyarrow: an older one
  does not know the letters of the newest Unicode in classes such as `\\p{L}`.
- Python runs beside Spark for columns with a pattern: about a second once a session, and the column's bytes twice.
- A dbt model that declares no types gets those of the engine that builds it
  ([add-a-metric.md](add-a-metric.md#on-every-engine)).
"""


def note(record_property: Callable[[str, object], None], **compared: Any) -> None:
    """Notes what a test compared: ``kind`` (contract, stream or model), its ``name``, ``table``, ``engine``, ``case``,
    ``rows``."""
    record_property(NOTE, compared)


class Notes:
    """A pytest plugin that keeps the notes of tests that passed."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called by pytest after each phase of a test."""
        if report.when == "call" and report.passed:
            self.found += [dict(value) for name, value in report.user_properties if name == NOTE]  # type: ignore[call-overload]


def page(notes: list[dict[str, Any]]) -> str:
    """The page for these notes."""
    parts = [HEAD]
    for kind, title in (("contract", "Contracts"), ("stream", "Streams"), ("model", "dbt models")):
        own = [one for one in notes if one["kind"] == kind]
        parts += [f"## {title}\n", _table(own)]
    return "\n".join(parts)


def _table(notes: list[dict[str, Any]]) -> str:
    cases = sorted({(one["engine"], one["case"]) for one in notes})
    rows: dict[tuple[str, str], dict[tuple[str, str], int]] = defaultdict(dict)
    for one in notes:
        rows[one["name"], one["table"]][one["engine"], one["case"]] = one["rows"]
    head = ["name", "table", *(f"{engine}, {case}" for engine, case in cases)]
    lines = [f"| {' | '.join(head)} |", "|---|---|" + "--:|" * len(cases)]
    for (name, table), found in sorted(rows.items()):
        cells = [f"{found[case]:,}" if case in found else "not compared" for case in cases]
        lines.append(f"| {' | '.join([name, table, *cells])} |")
    return "\n".join(lines) + "\n"


def main(file: Path) -> int:
    """Runs the suite and writes the page; nothing is written when a test fails."""
    notes = Notes()
    options = ["-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile"]
    code = pytest.main([*options, *(str(Path(__file__).with_name(name)) for name in COMPARING)], plugins=[notes])
    if code == 0:
        file.write_text(page(notes.found), encoding="utf-8")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
