"""Dying at a commit: runs an action, and again with a death at each point that the first run announced."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dagster_lake.commit import observe
from tests.lake.lakes import TestLake


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


def on_disk(folder: Path) -> set[tuple[str, int, int]]:
    """Every file and folder, with its size and when it was written."""
    return {(str(path), (found := path.lstat()).st_size, found.st_mtime_ns) for path in folder.rglob("*")}


def crash_images(lake: TestLake, folder: Path, action: Callable[[], object]) -> list[tuple[str, TestLake]]:
    """What the disk holds at each commit point of ``action``: what a power cut there would leave.

    Where it holds what it held at the point before, which is so before most commits, that image stands for both.
    """
    images: list[tuple[str, TestLake]] = []
    held: list[set[tuple[str, int, int]]] = []

    def image(point: str) -> None:
        now = on_disk(lake.root)
        if held[-1:] == [now]:
            return
        held.append(now)
        place = folder / f"{len(images):03d}"
        if lake.root.exists():
            shutil.copytree(lake.root, place / "lake")
        images.append((point, TestLake(place / "lake", lake.settings)))

    observe(image)
    try:
        action()
    finally:
        observe(None)
    return images
