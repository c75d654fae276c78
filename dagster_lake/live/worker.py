"""A thread that works whenever there is something to do, and rests in between."""

import threading
import time
from collections.abc import Callable


class Worker:
    """Calls ``work`` in a thread, once after each ``wake`` at most, and rests ``pause`` seconds from start to start, or
    twice as long as the work took where that is longer: the rest of the machine is the others'.

    ``work`` says whether something is left, and is then called again after the rest. So it is when it raises, which is
    told to ``failed``.
    """

    def __init__(self, name: str, work: Callable[[], bool], pause: float, failed: Callable[[Exception], None]) -> None:
        self._work, self._pause, self._failed = work, pause, failed
        self._state = threading.Condition()
        self._woken = self._ending = self._once_more = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something to do."""
        with self._state:
            self._woken = True
            self._state.notify_all()

    def end(self, *, finish: bool) -> None:
        """Ends the thread and waits for it; with ``finish``, what it was woken for is done first.

        What fails then, or leaves something, is tried once more: nobody would do it later.
        """
        with self._state:
            self._ending = True
            self._woken = self._woken and finish
            self._once_more = finish
            self._state.notify_all()
        self._thread.join()

    def _run(self) -> None:
        while self._is_wanted():
            started = time.monotonic()
            try:
                left = self._work()
            except Exception as error:  # the thread must outlive whatever an engine raises
                self._failed(error)
                left = True
            if left:
                self._again()
            took = time.monotonic() - started
            with self._state:
                self._state.wait_for(lambda: self._ending, max(self._pause, 2 * took) - took)

    def _is_wanted(self) -> bool:
        with self._state:
            self._state.wait_for(lambda: self._woken or self._ending)
            wanted, self._woken = self._woken, False
            return wanted

    def _again(self) -> None:
        with self._state:
            self._woken = self._woken or self._once_more or not self._ending
            self._once_more = False
