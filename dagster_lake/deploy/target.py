"""What one run of `lake deploy` is about: an environment, as the file says it, checked as far as that goes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dagster_lake.deploy import preflight
from dagster_lake.deploy.az import Az
from dagster_lake.deploy.lake_file import Environment, LakeFile, Stage, load_lake_file
from dagster_lake.deploy.parameters import VARIABLE, check_parameters, encoded, fingerprint, parameters, parameters_file


@dataclass(frozen=True)
class Target:
    """An environment, and the Azure CLI that works on its subscription."""

    file: Path
    lake: LakeFile
    stage: Stage
    values: dict[str, Any]
    az: Az
    login: preflight.Login

    @classmethod
    def found(cls, file: Path, stage: Stage) -> "Target":
        """The environment of ``file``, and a login that fits it. Raises DeployError."""
        lake = load_lake_file(file, stage)
        values = parameters(lake, stage)
        az = Az(lake.environments[stage].subscription, {VARIABLE: encoded(values)})
        return cls(file, lake, stage, values, az, preflight.check_login(az, lake, stage))

    @classmethod
    def checked(cls, file: Path, stage: Stage) -> "Target":
        """As ``found``, with everything looked at that can be before a deployment. Raises DeployError."""
        lake = load_lake_file(file, stage)
        check_parameters(parameters(lake, stage), stage)
        preflight.check_templates()
        target = cls.found(file, stage)
        preflight.check_tools(target.az)
        preflight.check_region(target.az, lake)
        return target

    @property
    def environment(self) -> Environment:
        """What the file says of the environment."""
        return self.lake.environments[self.stage]

    @property
    def state_file(self) -> Path:
        """Where a run that was cut off is remembered: beside the file."""
        return self.file.parent / ".lake-deploy" / f"{self.stage}.json"

    @property
    def prefix(self) -> str:
        """What the names of this environment's deployments begin with."""
        return f"lake-{self.lake.domain}-{self.stage}-"

    @property
    def parameters_file(self) -> str:
        """The file that the Azure CLI is given."""
        return str(parameters_file(self.stage))

    @property
    def fingerprint(self) -> str:
        """Of what would be deployed."""
        return fingerprint(self.values)
