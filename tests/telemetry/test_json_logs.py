"""What a run prints with the handler that a production instance asks for: JSON, once, with no secret."""

import json
import logging
import os
import subprocess
import sys
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dagster_lake.operations.telemetry.json_logs import JsonLines
from dagster_lake.operations.telemetry.secret_values import masker
from dagster_lake.settings.lake import PROJECT_ROOT

PRODUCTION = yaml.safe_load((PROJECT_ROOT / "deploy" / "azure" / "dagster.yaml").read_text())
INSTANCE = {"python_logs": PRODUCTION["python_logs"], "telemetry": {"enabled": False}}
RUN = """
import logging
import dagster as dg

@dg.asset(key=["silver", "good"], partitions_def=dg.StaticPartitionsDefinition(["2026-01-05T12"]))
def good(context):
    context.log.debug("not worth a line")
    context.log.info("the key is longer than it seems: 5upersecret/key+")
    logging.getLogger("dagster_lake.engines").warning("two\\nlines, and příliš žluťoučký")

@dg.asset(deps=[good])
def bad():
    raise ValueError("no password here: pa:ss@word1, not at postgresql://me:pa%3Ass%40word1@db/shop either")

job = dg.Definitions(assets=[good, bad], jobs=[dg.define_asset_job("hourly")]).resolve_job_def("hourly")
with dg.DagsterInstance.get() as instance:
    job.execute_in_process(instance=instance, partition_key="2026-01-05T12", raise_on_error=False)
"""


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    home = tmp_path_factory.mktemp("home")
    (home / "dagster.yaml").write_text(yaml.safe_dump(INSTANCE))
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "LAKE_PII_KEY": "5upersecret/key+",
        "LAKE_DATABASE_URL": "postgresql://me:pa%3Ass%40word1@db/shop",
    }
    return subprocess.run(
        [sys.executable, "-c", RUN], cwd=home, env=environment, capture_output=True, text=True, check=True
    )


@pytest.fixture(scope="module")
def lines(printed: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.stdout.splitlines()]


def test_each_line_is_one_object_with_its_time_level_and_run(lines: list[dict[str, Any]]) -> None:
    assert len(lines) > 3
    for line in lines:
        assert line["timestamp"].endswith("+00:00")
        assert len(line["timestamp"]) == len("2026-01-05T12:00:00.000+00:00")
        assert (line["job"], line["partition"]) == ("hourly", "2026-01-05T12")
        assert line["level"] in ("info", "warning", "error")
    assert len({line["run_id"] for line in lines}) == 1


def test_nothing_is_said_a_second_time_in_colours(
    printed: subprocess.CompletedProcess[str], lines: list[dict[str, Any]]
) -> None:
    assert "RUN_" not in printed.stderr
    assert "the key is longer" not in printed.stderr
    assert len([line for line in lines if "the key is longer" in line["event"]]) == 1


def test_a_step_that_fails_has_its_traceback_in_one_field(lines: list[dict[str, Any]]) -> None:
    [failed] = [line for line in lines if line.get("dagster_event") == "STEP_FAILURE"]
    assert failed["step"] == "bad"
    assert failed["level"] == "error"
    assert "ValueError: no password here" in failed["exception"]
    assert "in bad" in failed["exception"]


def test_lines_of_the_lake_s_own_loggers_say_which_step_they_are_of(lines: list[dict[str, Any]]) -> None:
    [line] = [line for line in lines if line["logger"] == "dagster_lake.engines"]
    assert line["event"] == "two\nlines, and příliš žluťoučký"
    assert line["step"] == "silver__good"


def test_no_secret_is_in_any_line(printed: subprocess.CompletedProcess[str]) -> None:
    assert "longer than it seems: ***" in printed.stdout
    assert "no password here: ***, not at postgresql://me:***@db/shop" in printed.stdout
    assert "5upersecret" not in printed.stdout + printed.stderr
    assert "word1" not in printed.stdout


def test_a_line_that_cannot_be_made_stops_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    class Unspeakable:
        def __str__(self) -> str:
            raise RuntimeError("cannot be said")

    record = logging.LogRecord("dagster", logging.INFO, "", 0, "%s", (Unspeakable(),), None)
    JsonLines().handle(record)
    assert "cannot be said" in capsys.readouterr().err


@given(secret=st.text(min_size=8).filter(lambda text: set(text) != {"*"}), before=st.text(), after=st.text())
def test_a_secret_is_masked_however_it_is_written(secret: str, before: str, after: str) -> None:
    mask = masker({"SOME_TOKEN": secret})
    assert secret not in mask(f"{before}{secret}") or secret in before or secret in "***"
    assert "***" in mask(f"{before}{secret}{after}")
    assert "***" in mask(json.dumps({"said": secret}))


def test_the_key_within_a_connection_string_is_masked_on_its_own() -> None:
    mask = masker({"LAKE_EVENT_HUBS_CONNECTION": "Endpoint=sb://a/;SharedAccessKeyName=n;SharedAccessKey=abcdefgh12="})
    assert mask("key abcdefgh12= of n") == "key *** of n"


def test_short_values_and_names_that_tell_no_secret_are_left_alone() -> None:
    mask = masker({"A_TOKEN": "short", "LAKE_PII_KEY_ID": "key-of-2026", "HOME": "/home/somebody"})
    assert mask("short key-of-2026 /home/somebody") == "short key-of-2026 /home/somebody"
