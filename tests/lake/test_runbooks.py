"""The runbooks' commands in docs/operations.md, typed into a small lake that is in the trouble that they are for."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from deltalake import DeltaTable

from dagster_lake.settings.lake import PROJECT_ROOT
from tests.lake.lakes import TINY, content_of
from tests.ui.webserver import BIN, build_lake

PAGE = (PROJECT_ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
TRIED = dict(re.findall(r"<!-- tried: ([\w ]+) -->\n *```sh\n(.*?)```", PAGE, re.DOTALL))
SETTINGS = {f"LAKE_{name.upper()}": str(value) for name, value in TINY.items()}
KEYS = {"LAKE_PII_KEY": "the key that was used before the other one", "LAKE_PII_KEY_ID": "before"}


class Place:
    """A folder with a lake of two hours in ``.lake``, and Dagster's history beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lake = folder / ".lake"
        self.environment = build_lake(folder, "--day", "2026-01-01", "--hours", "2", settings={**SETTINGS, **KEYS})
        (folder / "lake").rename(self.lake)
        path = f"{BIN}:{os.environ['PATH']}"
        self.environment |= {"LAKE_ROOT": str(self.lake), "PATH": path, "PYTHONPATH": str(PROJECT_ROOT)}

    def type(self, runbook: str, **environment: str) -> str:
        """What the runbook's commands print."""
        script = ["bash", "-euo", "pipefail", "-c", TRIED[runbook]]
        environment = {**self.environment, **environment}
        done = subprocess.run(script, cwd=self.folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def rows(self, table: str) -> list[dict[str, object]]:
        return content_of(self.lake / table)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("runbooks"))


def test_every_runbook_that_says_so_is_tried_here() -> None:
    assert set(TRIED) == {
        *("dead letters", "an hour again", "hours again", "an older version", "a lost table", "another key")
    }


def test_reasons_of_rows_that_were_kept_out_are_told(built: Place) -> None:
    said = built.type("dead letters")
    kept_out = content_of(built.lake / "sensitive" / "quarantine" / "pageviews")
    assert kept_out
    for row in kept_out:
        for reason in row["_reasons"]:
            assert reason in said


def test_an_older_version_comes_back_after_a_wrong_commit(built: Place) -> None:
    before = built.rows("gold/engagements")
    table = DeltaTable(str(built.lake / "gold" / "engagements"))
    assert table.version() == 1
    table.delete("orders > 0")
    assert len(built.rows("gold/engagements")) < len(before)
    built.type("an older version")
    assert built.rows("gold/engagements") == before


def test_a_table_that_is_lost_is_made_again_of_what_is_before_it(built: Place) -> None:
    before = built.rows("silver/pageviews")
    shutil.rmtree(built.lake / "silver" / "pageviews" / "_delta_log")
    built.type("a lost table")
    assert built.rows("silver/pageviews") == before


def test_with_another_key_masked_values_are_others_everywhere_and_still_join(built: Place) -> None:
    masked = ("silver/users", "phone_number"), ("silver/pageviews", "client_ip")
    counts = {table: len(built.rows(table)) for table in ("silver/users", "silver/pageviews", "gold/engagements")}
    before = {table: {row[column] for row in built.rows(table)} - {None} for table, column in masked}
    built.type("another key", LAKE_PII_KEY="the key that is used from now on, for all", LAKE_PII_KEY_ID="now")
    after = {table: {row[column] for row in built.rows(table)} - {None} for table, column in masked}
    assert all(len(after[table]) == len(before[table]) > 0 for table, _ in masked)
    assert all(not after[table] & before[table] for table, _ in masked)
    assert counts == {table: len(built.rows(table)) for table in counts}
