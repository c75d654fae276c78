"""Counting the lines of a file while it is copied, by the rule that bronze reads them by."""

import numpy as np

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LINE_FEED, _RETURN = 10, 13


class LineCounter:
    """Counts lines that are not empty, as ``storage.lines`` does, over a file's blocks in order.

    A last line without a line end counts; a line of only a carriage return, or of a byte order mark, does not.
    """

    def __init__(self) -> None:
        self._lines = 0
        self._before = b""  # what decides whether the next line feed ends an empty line: the two bytes before it
        self._started = False

    def add(self, block: bytes) -> None:
        """Counts the lines that end in ``block``; the first block of a file has 3 bytes or is the whole file."""
        if not self._started:
            block, self._before, self._started = block.removeprefix(_BYTE_ORDER_MARK), b"\0\n", True
        data = np.frombuffer(self._before + block, np.uint8)
        ends, last, last_but_one = data[2:] == _LINE_FEED, data[1:-1], data[:-2]
        empty = (last == _LINE_FEED) | ((last == _RETURN) & (last_but_one == _LINE_FEED))
        self._lines += int(np.count_nonzero(ends & ~empty))
        self._before = data[-2:].tobytes()

    @property
    def lines(self) -> int:
        """Lines so far, the unfinished one included."""
        unfinished = self._started and self._before[-1] != _LINE_FEED and self._before != b"\n\r"
        return self._lines + unfinished
