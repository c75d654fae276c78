"""``databricks_jobs.yaml``: which jobs of a Databricks workspace are assets here, and of what they are made."""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dagster_lake.errors import LakeError
from dagster_lake.settings.lake import PROJECT_ROOT

JOBS_FILE = PROJECT_ROOT / "databricks_jobs.yaml"
HOUR = "{lake_hour}"
_Key = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+(/[A-Za-z0-9_]+)*$")]
_REMEDIES = {
    "extra_forbidden": "remove it, or mend its spelling",
    "missing": "add it",
    "string_pattern_mismatch": "write it as names with slashes between, such as databricks/churn_scores",
    "too_short": "name at least one",
    "value_error": "",
}


class JobsFileError(LakeError):
    """A jobs file that cannot be used; the message names the file, the field and the remedy."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JobAsset(_Strict):
    """An asset that a job makes."""

    key: _Key
    description: str | None = None


class Job(_Strict):
    """One job and its assets.

    ``mode`` is ``run`` (materialising the assets runs the job) or ``observe`` (runs started elsewhere are reported).
    With ``partitioned: hourly`` each run is for one lake hour, and ``{lake_hour}`` in a parameter stands for its key.
    """

    name: str | None = None
    id: int | None = None
    assets: tuple[JobAsset, ...] = Field(min_length=1)
    mode: Literal["run", "observe"] = "run"
    deps: tuple[_Key, ...] = ()
    parameters: dict[str, str] = {}
    partitioned: Literal["hourly"] | None = None
    group: str = "databricks"
    owners: tuple[str, ...] = ()
    timeout_minutes: float = Field(120, gt=0)

    @model_validator(mode="after")
    def _check(self) -> "Job":
        if (self.name is None) == (self.id is None):
            raise ValueError("give the job's name or its id, one of the two")
        if (self.partitioned is not None) != (self.hour_parameter is not None):
            raise ValueError(
                f'partitioned: hourly and a parameter whose value is "{HOUR}" go together: the job must know the hour'
            )
        return self

    @property
    def hour_parameter(self) -> str | None:
        """The job parameter that names the lake hour."""
        return next((name for name, value in self.parameters.items() if value == HOUR), None)

    @property
    def called(self) -> str:
        """The job as people call it."""
        return f"job {self.name or self.id}"

    def parameters_of(self, hour: str | None) -> dict[str, str]:
        """The parameters of a run for ``hour``."""
        return {name: hour if hour and value == HOUR else value for name, value in self.parameters.items()}


class _JobsFile(_Strict):
    jobs: tuple[Job, ...]


@cache
def jobs_of(file: Path = JOBS_FILE) -> tuple[Job, ...]:
    """The jobs in ``file``; none when there is no such file. Raises JobsFileError when it cannot be used."""
    try:
        content: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return ()
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise JobsFileError(f"{file.name}: not valid YAML: {error}") from None
    try:
        jobs = _JobsFile.model_validate(content or {}).jobs
    except ValidationError as error:
        raise JobsFileError("\n".join(_told(file, one) for one in error.errors())) from None
    keys = [asset.key for job in jobs for asset in job.assets]
    if twice := sorted({key for key in keys if keys.count(key) > 1}):
        raise JobsFileError(f"{file.name}: assets: {', '.join(twice)} is there twice; one job makes an asset")
    return jobs


def _told(file: Path, error: Any) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error["loc"]).lstrip(".")
    remedy = _REMEDIES.get(error["type"], "see docs/databricks-bundle.md")
    says = error["msg"].removeprefix("Value error, ")
    return f"{file.name}: {where or 'the file'}: {says}" + (f"; {remedy}" if remedy else "")
