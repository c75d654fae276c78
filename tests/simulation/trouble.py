"""Trouble in the middle of a run: the storage fails for a while, or the process is killed, at any commit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dagster_lake.assets.steps import MOST_RETRIES, may_pass
from dagster_lake.commit import observe
from tests.lake.crashing import Death


@dataclass
class Trouble:
    """After so many announcements of commits so many fail, or the first of them kills the process."""

    after: int
    times: int
    dies: bool

    def strike(self, point: str) -> None:
        """Fails, when it is time."""
        self.after -= 1
        if self.after >= 0 or self.times <= 0:
            return
        self.times -= 1
        if self.dies:
            raise Death(point)
        raise OSError(5, f"Input/output error at {point}")


@contextmanager
def a_run(trouble: Trouble | None) -> Iterator[None]:
    """A run of the product, which ends early when a step of it fails for good or the process dies."""
    if trouble is None:
        yield
        return
    observe(trouble.strike)
    try:
        yield
    except (OSError, Death):
        pass
    finally:
        observe(None)


def tried(step: Callable[[], None]) -> None:
    """A step, which is tried again as its asset tries it."""
    for left in reversed(range(MOST_RETRIES + 1)):
        try:
            return step()
        except Exception as error:
            if not left or not may_pass(error):
                raise
