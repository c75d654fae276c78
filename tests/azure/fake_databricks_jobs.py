"""The fake workspace with jobs that exist in it: they are found, run and listed, and do nothing."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.azure.fake_databricks import FakeDatabricks, Refused, Run

PAGE = 2
"""So few to a page that everything that lists must turn pages."""


class FakeJobs(FakeDatabricks):
    """``jobs`` are the names by id. A run goes on for two looks and ends as ``fates`` say: by default with success."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.jobs: dict[int, str] = {}
        self.job_runs: dict[int, dict[str, Any]] = {}
        self._looks: dict[int, int] = {}

    def ran_elsewhere(self, job_id: int, *, ended: float, result: str = "SUCCESS", **parameters: str) -> int:
        """A run that somebody else started, and that ended at ``ended`` (seconds since 1970) after a minute."""
        run_id = 9000 + len(self.job_runs)
        self.job_runs[run_id] = self._listed(run_id, job_id, result, (ended - 60) * 1000, ended * 1000, parameters)
        return run_id

    def answer(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> tuple[Any, dict[str, str]]:
        """The jobs' own requests; all others as ever."""
        if (method, path) == ("GET", "/api/2.2/jobs/list"):
            named = [{"job_id": id, "settings": {"name": n}} for id, n in self.jobs.items() if n == query["name"]]
            return _page("jobs", named, query), {}
        if (method, path) == ("POST", "/api/2.2/jobs/run-now"):
            return self._run_now(json.loads(body)), {}
        if (method, path) == ("GET", "/api/2.2/jobs/runs/list"):
            wanted = [
                run
                for run in self.job_runs.values()
                if run["job_id"] == int(query["job_id"]) and run["start_time"] >= int(query["start_time_from"])
            ]
            newest_first = sorted(wanted, key=lambda run: -run["start_time"])
            return _page("runs", newest_first, query), {}
        return super().answer(method, path, query, body)

    def _run_now(self, document: dict[str, Any]) -> dict[str, Any]:
        job_id, token = document["job_id"], document["idempotency_token"]
        if job_id not in self.jobs:
            raise Refused(400, f"Job {job_id} does not exist.")
        if not 0 < len(token) <= 64:
            raise Refused(400, "idempotency_token must have 1 to 64 characters")
        if token not in self._tokens:
            fate = self.fates.pop(0) if self.fates else "success"
            if fate == "denied":
                raise Refused(403, "somebody does not have Manage Run permissions on job")
            run = Run(run_id=1000 + len(self.runs), payload={**document, "fate": fate}, state="RUNNING")
            self.runs[run.run_id] = run
            self._tokens[token] = run.run_id
        return {"run_id": self._tokens[token]}

    def _get(self, run_id: int) -> dict[str, Any]:
        run = self._run(run_id)
        self._looks[run_id] = self._looks.get(run_id, 0) + 1
        if self._looks[run_id] > 2 and run.payload["fate"] == "success":
            self._end(run, "TERMINATED", "SUCCESS", "SUCCESS", "")
        elif self._looks[run_id] > 2 and run.payload["fate"] == "failed":
            self._end(run, "TERMINATED", "FAILED", "RUN_EXECUTION_ERROR", "Task train failed with message: no rows.")
        found = {**super()._get(run_id), "job_id": run.payload["job_id"]}
        return found | ({"end_time": int(time.time() * 1000)} if run.ended else {})

    def _listed(
        self, run_id: int, job_id: int, result: str, start: float, end: float, parameters: Mapping[str, str]
    ) -> dict[str, Any]:
        return {
            "run_id": run_id,
            "job_id": job_id,
            "start_time": int(start),
            "end_time": int(end),
            "run_page_url": f"https://fake.azuredatabricks.net/jobs/{job_id}/runs/{run_id}",
            "state": {"life_cycle_state": "TERMINATED", "result_state": result},
            "job_parameters": [{"name": name, "value": value} for name, value in parameters.items()],
        }


def _page(name: str, entries: list[Any], query: Mapping[str, str]) -> dict[str, Any]:
    start = int(query.get("page_token") or 0)
    page: dict[str, Any] = {name: entries[start : start + PAGE]}
    if start + PAGE < len(entries):
        page |= {"has_more": True, "next_page_token": str(start + PAGE)}
    return page
