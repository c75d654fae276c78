"""`python -m generators stream` from a person's seat: into a real hub, stopped by Ctrl-C, and on from there."""

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from dagster_lake.settings.lake import PROJECT_ROOT
from dagster_lake.sources.event_hub.embedded import EmbeddedEventHub
from dagster_lake.sources.event_hub.protocol import EventHubError
from generators import pageviews
from generators.cli import app
from generators.world import World
from tests.azure.fake_event_hub import FakeEventHubs

ALWAYS = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["stream", *(str(word) for word in words)])


def said(result: Result) -> str:
    return " ".join(result.stderr.replace("│", " ").split())


def sent(folder: Path, hub: str = "pageviews") -> set[str]:
    """The ids of the events in a hub; fails when one is there twice."""
    bodies = [
        body for batch in EmbeddedEventHub(folder).read(hub, *ALWAYS) for body in batch.column("body").to_pylist()
    ]
    found = [json.loads(body)["event_id"] for body in bodies]
    assert len(set(found)) == len(found)
    return set(found)


def first_ids(rows: int) -> set[str]:
    return set(pageviews.keys(World(), 10_000_000_000 + np.arange(rows)).to_pylist())


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def has_events(hub: EmbeddedEventHub) -> bool:
    try:
        return len(hub.newest("pageviews")) > 1
    except EventHubError:
        return False  # there is no such hub yet


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_the_batch_and_says_how_to_go_on(tmp_path: Path, number: int) -> None:
    command = [sys.executable, "-m", "generators", "stream", "pageviews", "--rate", "200/s"]
    with subprocess.Popen(
        [*command, "--hub-folder", str(tmp_path)], cwd=PROJECT_ROOT, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert "to event hub 'pageviews' in" in process.stderr.readline()
        wait_for(lambda: has_events(EmbeddedEventHub(tmp_path)))
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 0
    found = re.search(r"([\d,]+) events sent in .* rows\. To go on: --start-row (\d+)", told)
    assert found is not None
    rows = int(found[2])
    assert rows == int(found[1].replace(",", "")) > 0
    assert sent(tmp_path) == first_ids(rows)

    done = run("pageviews", "--rate", "200/s", "--for", "1s", "--start-row", rows, "--hub-folder", tmp_path)
    assert f"To go on: --start-row {rows + 200}" in said(done)
    assert sent(tmp_path) == first_ids(rows + 200)


def test_events_go_to_the_lake_s_own_hub_with_the_lake_s_customers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"ROOT": str(tmp_path / "lake"), "USERS": "3", "VIP_USERS": "0"}.items():
        monkeypatch.setenv(f"LAKE_{name}", value)
    assert run("stars", "--rate", "500/s", "--for", "1s").exit_code == 0
    hub = EmbeddedEventHub(tmp_path / "lake" / "sources" / "event_hub")
    found = [json.loads(body) for batch in hub.read("stars", *ALWAYS) for body in batch.column("body").to_pylist()]
    assert len(found) == 500
    assert {event["user_id"] for event in found} == {0, 1, 2}


def test_dirt_comes_on_top_and_is_counted(tmp_path: Path) -> None:
    done = run("pageviews", "--rate", "4000/s", "--for", "1s", "--malformed", "0.5", "--hub-folder", tmp_path)
    events, rows = re.search(r"([\d,]+) events sent in .*, ([\d,]+) rows", said(done)).groups()  # type: ignore[union-attr]
    assert rows == "4,000"
    held = sum(len(batch) for batch in EmbeddedEventHub(tmp_path).read("pageviews", *ALWAYS))
    assert held == int(events.replace(",", "")) > 5_500


def test_events_go_to_azure_when_the_settings_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_ROOT", str(tmp_path))
    with FakeEventHubs(pageviews=2) as fake:
        monkeypatch.setenv("LAKE_EVENT_HUBS_CONNECTION", fake.connection_string)
        done = run("pageviews", "--rate", "300/s", "--for", "1s")
        assert done.exit_code == 0, done.stderr
        assert sum(len(partition.events) for partition in fake.hubs["pageviews"]) == 300
        refused = run("stars", "--rate", "10/s", "--for", "1s")
    assert refused.exit_code == 2
    assert "0 rows. To go on: --start-row 0" in said(refused)
    assert "has no event hub 'stars'" in said(refused)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("pageviews", "--rate", "fast"), "'fast' is no rate: write 1000/s, 90/m or 5000/h"),
        (("pageviews", "--rate", "0/s"), "'0/s' is no rate"),
        (("pageviews", "--rate", "9e9"), "is no rate"),
        (("pageviews", "--rate", "9_000_000_000"), "World.pageviews_per_hour is"),
        (("pageviews", "--for", "10"), "'10' is no length of time: write 90s, 10m, 2h or 1h30m"),
        (("users",), "'users' is not one of 'pageviews', 'stars'"),
        (("pageviews", "--late", "2"), "'--late'"),
        (("pageviews", "--users", "0"), "'--users'"),
        (("pageviews", "--hub-folder", "x", "--namespace", "y.z"), "are both given; keep one of them"),
    ],
)
def test_a_mistake_is_answered_with_the_option_and_the_remedy(words: tuple[str, ...], told: str) -> None:
    done = run(*words)
    assert done.exit_code == 2
    assert told in said(done)


def test_rates_and_lengths_of_time_are_read_as_people_write_them(tmp_path: Path) -> None:
    assert "pageviews, 1,500/s, to" in said(
        run("pageviews", "--rate", "1_500", "--for", "1s", "--hub-folder", tmp_path)
    )
    assert "pageviews, 2/s, to" in said(run("pageviews", "--rate", "120/m", "--for", "1s", "--hub-folder", tmp_path))


def test_help_teaches_with_examples() -> None:
    text = run("--help").stdout
    assert "--rate 1000/s --for 10m" in text
    assert "--start-row 600_000" in text
    assert "docs/event-hubs.md" in text
