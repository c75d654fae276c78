"""Every place where the lake changes state durably announces itself here.

A crash test installs an observer to list these places and to die at each of them; in production nothing observes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_observer: Callable[[str], None] | None = None


@contextmanager
def commit(name: str) -> Iterator[None]:
    """Marks the block as the commit ``name``, such as ``silver.users``; observed just before and just after."""
    _announce(f"{name}:before")
    yield
    _announce(f"{name}:after")


def observe(observer: Callable[[str], None] | None) -> None:
    """Calls ``observer`` with ``<name>:before`` and ``<name>:after`` of each commit in this process; None stops."""
    global _observer
    _observer = observer


def _announce(point: str) -> None:
    if _observer is not None:
        _observer(point)
