"""The time of a live stream: the system's, and a way to stop that finishes what is being sent."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

_LONGEST_NAP = 0.1  # seconds after which a sleeping stream looks whether it is to stop


class SystemClock:
    """The wall clock as it was at the beginning, going on evenly: a clock that is set does not disturb the rate."""

    def __init__(self) -> None:
        self._offset = time.time_ns() - time.monotonic_ns()
        self._stopping = False

    @property
    def stopping(self) -> bool:
        """Whether somebody asked to stop."""
        return self._stopping

    def stop(self) -> None:
        """Ends the stream after the batch that is being sent."""
        self._stopping = True

    def now(self) -> int:
        """Microseconds since 1970."""
        return (time.monotonic_ns() + self._offset) // 1_000

    def wait_until(self, moment: int) -> None:
        """Sleeps until then (microseconds since 1970), or until somebody asks to stop."""
        # In naps, and not on an event: a signal's handler that sets one can block itself.
        while not self._stopping and (left := (moment - self.now()) / 1_000_000) > 0:
            time.sleep(min(left, _LONGEST_NAP))


@contextmanager
def stopped_by_signals(clock: SystemClock) -> Iterator[None]:
    """Ctrl-C, or a polite kill, stops the clock; a second one ends the process at once."""

    def stop(number: int, _: object) -> None:
        if clock.stopping:
            raise KeyboardInterrupt
        clock.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
