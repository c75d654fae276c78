"""What `lake deploy apply` remembers between a run that was cut off and the next: a small file for each environment."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import BaseModel, ConfigDict, ValidationError
from upath import UPath

from dagster_lake.deploy.errors import DeployError
from dagster_lake.storage.publish import publish


class State(BaseModel):
    """A deployment that was agreed to. It is written before Azure is asked, so that none is begun twice.

    ``fingerprint`` says of what; ``finished`` is set when the steps after it are done, too.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    subscription: str
    deployment: str
    fingerprint: str
    finished: bool = False


def load(file: Path) -> State | None:
    """The state of the last run, if there is one. Raises DeployError for a file that cannot be read."""
    try:
        return State.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError:
        raise DeployError(
            f"{file} is not a state that this version reads; remove it: what runs in Azure is found without it"
        ) from None


def remember(file: Path, state: State) -> None:
    """Replaces the file, whole."""
    publish(UPath(file), state.model_dump_json(indent=2) + "\n")


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """Only one run may use the file at a time. Raises DeployError where another does."""
    lock = FileLock(file.with_suffix(".lock"), timeout=0)
    file.parent.mkdir(exist_ok=True)
    try:
        lock.acquire()
    except Timeout:
        raise DeployError(f"another lake deploy apply holds {file}; wait for its end, or end it") from None
    try:
        yield
    finally:
        lock.release()
