"""`lake deploy` as one would call it, with a filled-in lake.yaml and a fake Azure CLI on the PATH."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from dagster_lake.cli import app
from dagster_lake.deploy import deployment
from dagster_lake.deploy.preflight import PROVIDERS
from tests.azure.fake_az import FakeAzure
from tests.azure.lake_yaml import filled_in


@dataclass
class Deploying:
    """A folder with a lake.yaml, and the Azure that it is deployed to."""

    folder: Path
    azure: FakeAzure

    def write(self, *changes: tuple[str, str]) -> None:
        """Writes lake.yaml anew, with these changes to the filled-in example."""
        (self.folder / "lake.yaml").write_text(filled_in(*changes))

    def command(self, *arguments: str, stage: str = "dev") -> list[str]:
        return ["deploy", *arguments, "--environment", stage, "--file", str(self.folder / "lake.yaml")]

    def run(self, *arguments: str, stage: str = "dev", answer: str | None = None) -> Result:
        return CliRunner().invoke(app, self.command(*arguments, stage=stage), env={"COLUMNS": "200"}, input=answer)

    def done(self, *arguments: str, stage: str = "dev") -> str:
        result = self.run(*arguments, stage=stage)
        assert result.exit_code == 0, result.output
        return result.output

    def refused(self, *arguments: str, stage: str = "dev") -> str:
        result = self.run(*arguments, stage=stage)
        assert result.exit_code == 1, result.output
        assert "Traceback" not in result.output
        return result.output

    def applied(self) -> str:
        return self.done("apply", "--yes")

    @property
    def state(self) -> Path:
        return self.folder / ".lake-deploy" / "dev.json"

    @property
    def begun(self) -> int:
        """How many deployments Azure was asked for."""
        return len(self.azure.called("deployment sub create"))


@contextmanager
def deploying(folder: Path) -> Iterator[Deploying]:
    """A fresh one, which is not made to wait between two looks at a deployment."""
    (folder / "azure").mkdir()
    made = Deploying(folder, FakeAzure(folder / "azure"))
    made.write()
    made.azure.change(registered=list(PROVIDERS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{made.azure.bin}{os.pathsep}{os.environ['PATH']}")
        patch.delenv("DATABRICKS_HOST", raising=False)
        patch.setattr(deployment, "POLL_SECONDS", 0.0)
        yield made
