"""A step or check as JSON on its way to Databricks, and what became of it on its way back. Never a secret."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from dagster_lake.engines.landed import LandedFile, LandedPartition
from dagster_lake.engines.step import Check, Counts, Step, StepResult
from dagster_lake.errors import LakeError

VERSION = 3


class DocumentError(LakeError):
    """A document of another version than this dagster_lake reads."""


@dataclass(frozen=True)
class Work:
    """One step or check of the lake at ``root``, with all that it needs to know of the place it comes from.

    ``contracts`` are somebody's own, as text by the name of a file; without any they are those of the wheel.
    ``landed`` is what raw holds of the step's partitions, for bronze. ``catalog`` is Unity Catalog's, if tables are
    addressed there. The masking key is named (``key_id``) and looked up where the step runs, in the secret scope.
    """

    root: str
    task: Step | Check
    landed: tuple[LandedPartition, ...] = ()
    catalog: str | None = None
    key_id: str | None = None
    secret_scope: str | None = None
    secret_key: str | None = None
    contracts: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The work as people name it: ``bronze of orders``."""
        what = self.task.layer if isinstance(self.task, Step) else "checks"
        return f"{what} of {self.task.data_set}"


def written(work: Work) -> dict[str, Any]:
    """``work`` as plain data."""
    kind = "step" if isinstance(work.task, Step) else "check"
    document = {"version": VERSION, "kind": kind, **_plain(asdict(work))}
    return document


def read(document: dict[str, Any]) -> Work:
    """What ``written`` wrote. Raises DocumentError for another version."""
    if document.get("version") != VERSION:
        raise DocumentError(
            f"the step's document has version {document.get('version')!r}, and the wheel on Databricks reads "
            f"{VERSION}; both come from one dagster_lake: remove what a bundle or a job has pinned"
        )
    fields = {name: value for name, value in document.items() if name not in ("version", "kind", "task", "landed")}
    task = _step(document["task"]) if document["kind"] == "step" else _check(document["task"])
    return Work(task=task, landed=tuple(_landed(partition) for partition in document["landed"]), **fields)


def written_result(result: StepResult | dict[str, dict[str, int]]) -> dict[str, Any]:
    """What a step or a check returned, as plain data."""
    if isinstance(result, StepResult):
        return {"kind": "step", "result": _plain(asdict(result))}
    return {"kind": "check", "result": dict(result)}


def read_result(document: dict[str, Any]) -> StepResult | dict[str, dict[str, int]]:
    """What ``written_result`` wrote."""
    result = document["result"]
    if document["kind"] == "check":
        return dict(result)
    counts = {key: Counts(**counts) for key, counts in result["counts"].items()}
    return StepResult(**{**result, "counts": counts, "rewritten": tuple(result["rewritten"])})


def _step(fields: dict[str, Any]) -> Step:
    return Step(**{**fields, "partitions": tuple(fields["partitions"]), "accepted": tuple(fields["accepted"])})


def _check(fields: dict[str, Any]) -> Check:
    hours = fields["hours"]
    return Check(fields["data_set"], None if hours is None else tuple(hours), tuple(fields["names"]))


def _landed(fields: dict[str, Any]) -> LandedPartition:
    files = tuple(
        LandedFile(**{**file, "landed_at": _instant(file["landed_at"]), "modified": _instant(file["modified"])})
        for file in fields["files"]
    )
    return LandedPartition(fields["partition"], fields["rows"], files)


def _instant(text: str | None) -> Any:
    return None if text is None else datetime.fromisoformat(text)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
