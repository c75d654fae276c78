"""A run of the real lake in production's processes, which are killed in the middle of it."""

import os
import signal
from pathlib import Path

import dagster as dg

from tests.lake.lakes import FIRST_HOUR, TestLake, differences
from tests.lake.test_rerun import SMALL
from tests.production.database import Server
from tests.production.processes import production


def test_an_hour_is_as_if_nobody_had_killed_its_process_and_its_code_server(server: Server, tmp_path: Path) -> None:
    undisturbed = TestLake(tmp_path / "undisturbed", SMALL)
    undisturbed.materialize(FIRST_HOUR)
    lake = TestLake(tmp_path / "lake", SMALL)
    with production(server, tmp_path / "home", "tests.production.gated_lake", lake.environment) as running:
        running.start("code", "daemon", "webserver")
        with running.gate("silver.orders_changes:before") as gate:
            first = running.launch("hourly", FIRST_HOUR)
            os.kill(running.until(lambda: gate.waiting, "the run to write silver"), signal.SIGKILL)
        with running.gate("gold.engagements:before") as gate:
            running.until(lambda: gate.waiting, "the run that followed to write gold")
            running.kill("code")
        running.start("code")
        second = running.started_again(first)
        last = running.done_again(second)
        runs = running.instance.get_runs(dg.RunsFilter(job_name="hourly"))
        assert {run.run_id for run in runs} == {first, second, last}
    found = lake.content()
    wanted = undisturbed.content()
    assert differences({name: rows for name, rows in found.items() if name in wanted}, wanted) == ""
    assert len(found["gold/engagements"]) == SMALL["users"]
