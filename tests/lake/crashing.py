"""Dying at a commit: runs an action, and again with a death at each point that the first run announced."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dagster_lake.commit import observe


class Death(BaseException):
    """The process dies; nothing that catches Exception may survive it."""


@contextmanager
def watching() -> Iterator[list[str]]:
    """The commit points announced meanwhile."""
    points: list[str] = []
    observe(points.append)
    try:
        yield points
    finally:
        observe(None)


@contextmanager
def dying_at(point: str) -> Iterator[None]:
    """Dies when ``point`` is announced for the first time, and swallows that death."""

    def die(announced: str) -> None:
        if announced == point:
            observe(None)
            raise Death(point)

    observe(die)
    try:
        yield
    except Death:
        pass
    else:
        raise AssertionError(f"{point} was never announced")
    finally:
        observe(None)


@contextmanager
def dying_at_number(number: int) -> Iterator[None]:
    """Dies at the ``number``-th announcement, from 0, whichever it is; lives when there are fewer."""
    left = number

    def count(announced: str) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            observe(None)
            raise Death(announced)

    observe(count)
    try:
        yield
    except Death:
        pass
    finally:
        observe(None)


def points_of(action: Callable[[], object]) -> list[str]:
    """The commit points that ``action`` announces, each once."""
    with watching() as points:
        action()
    return list(dict.fromkeys(points))
