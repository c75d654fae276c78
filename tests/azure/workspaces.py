"""A fake workspace with an engine that talks to it, in which a task runs without Spark."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from dagster_lake.contract.model import contracts
from dagster_lake.databricks.engine import DatabricksEngine
from dagster_lake.engines.step import Step
from dagster_lake.settings.databricks import DatabricksSettings
from dagster_lake.settings.lake import Settings
from dagster_lake.storage.paths import Lake
from tests.azure.fake_databricks import SITE, FakeDatabricks

VOLUME = "/Volumes/main/lake/dagster"
KEY = "a masking key that only the secret scope holds"
SILVER = Step("orders", "silver", ("2026-01-01T00",))
QUICK = {"volume": VOLUME, "poll_seconds": 0.1, "backoff_seconds": 0.05, "secret_scope": "lake"}


@dataclass
class Remote:
    """The fake, an engine, and the file that says what the fake engine does there, a line for each step."""

    fake: FakeDatabricks
    engine: DatabricksEngine
    script: Path

    def acts(self, *lines: str) -> None:
        """What the next steps do there: ``raise <message>``, ``kill``, ``sleep <seconds>``."""
        self.script.write_text("\n".join(lines))

    def ended(self) -> list[str]:
        """How each run ended, in the order they were submitted."""
        return [run.result or run.state for run in self.fake.runs.values()]


@contextmanager
def remote(folder: Path, **settings: Any) -> Iterator[Remote]:
    """A workspace in which tasks run the fake engine."""
    script = folder / "script"
    (folder / "lake").mkdir()
    environment = {"FAKE_ENGINE": str(SITE / "fake_engine.py"), "FAKE_SCRIPT": str(script)}
    with FakeDatabricks(folder / "workspace", environment) as fake, patch.dict("os.environ", fake.environment):
        fake.make_volume(VOLUME)
        fake.secrets["lake", "pii-key"] = KEY
        own = Settings(
            root=str(folder / "lake"), pii_key_id="test-1", databricks=DatabricksSettings(**{**QUICK, **settings})
        )
        yield Remote(fake, DatabricksEngine(Lake.at(own.root), contracts(), own), script)
