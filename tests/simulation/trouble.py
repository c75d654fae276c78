"""Trouble in the middle of a run: the storage fails for a while, or the process is killed, at any commit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dagster_lake.commit import observe
from dagster_lake.dbt_runner.manifest import DbtRunError
from dagster_lake.defs.steps import MOST_RETRIES, may_pass
from tests.lake.crashing import Death

MODELS = ("gold.", "streams.")
"""What the commits of dbt's models begin with."""


@dataclass
class Trouble:
    """After so many announcements of commits so many fail, or the first of them kills the process; of any commits, or
    of those of ``models`` alone."""

    after: int
    times: int
    dies: bool
    models: bool = False
    dead: bool = False

    def strike(self, point: str) -> None:
        """Fails, when it is time. Of a dead process every thread is dead."""
        if self.dead:
            raise Death(point)
        if self.models and not point.startswith(MODELS):
            return
        self.after -= 1
        if self.after >= 0 or self.times <= 0:
            return
        self.times -= 1
        if self.dies:
            self.dead = True
            raise Death(point)
        raise OSError(5, f"Input/output error at {point}")

    def is_behind(self, error: Exception) -> bool:
        """Whether dbt failed for this reason: it makes another error of ours."""
        return self.dead or "Input/output error at" in str(error)


@contextmanager
def a_run(trouble: Trouble | None) -> Iterator[None]:
    """A run of the product, which ends early when a step of it fails for good or the process dies."""
    if trouble is None:
        yield
        return
    observe(trouble.strike)
    try:
        yield
    except (OSError, DbtRunError, Death) as error:
        if isinstance(error, DbtRunError) and not trouble.is_behind(error):
            raise
    finally:
        observe(None)


def tried(step: Callable[[], None], trouble: Trouble | None = None) -> None:
    """A step, which is tried again as its asset tries it, unless the process is dead."""
    for left in reversed(range(MOST_RETRIES + 1)):
        try:
            return step()
        except Exception as error:
            if not left or not may_pass(error) or (trouble is not None and trouble.dead):
                raise
