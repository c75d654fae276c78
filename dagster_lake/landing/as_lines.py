"""Rewrites a file that holds JSON in another form as JSON lines in UTF-8, a piece at a time.

A value keeps its text to the letter (numbers, repeated names, escapes); line breaks between its parts become spaces,
which JSON does not tell apart. What cannot be read to its end is refused: after a broken value nobody knows where the
next row begins, and an export that breaks off is none.
"""

import codecs
import json
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

from dagster_lake.errors import LakeError
from dagster_lake.landing.form import SNIFFED, Form, form_of

MOST_CHARACTERS = 64 * 1024 * 1024
"""The longest value that is read, in characters."""
_CHUNK = 1024 * 1024
_SPACE = re.compile(r"[ \t\r\n]*")
_BREAKS = re.compile(r"[\r\n]+")


class BrokenOff(LakeError):
    """A file whose values cannot be read to its end; the message says where."""


def as_lines(read: Callable[[int], bytes], form: Form) -> Iterator[bytes]:
    """The rows of a file as lines, in pieces of some size; ``read`` gives up to so many of the file's bytes.

    Raises BrokenOff.
    """
    texts = _without_marks(_texts(read, form.encoding))
    pieces = _with_line_feeds(texts) if form.shape == "lines" else _values(texts)
    for piece in pieces:
        yield piece.encode("utf-8", "surrogateescape" if form.encoding == "utf-8" else "surrogatepass")


def document_rows(document: bytes) -> list[bytes]:
    """The rows of one whole document, in UTF-8: itself, or the values of the array that it is.

    An array that is empty or breaks off is one row, which is no object, so that it is not lost.
    """
    form = form_of(document[:SNIFFED])
    start = document[:SNIFFED].decode(form.encoding, "ignore").lstrip("\ufeff \t\r\n")
    if form.shape == "values" and start.startswith("["):
        with suppress(BrokenOff):
            rows = [row for row in _all_lines(document, form).split(b"\n") if row]
            if rows:
                return rows
    if form.encoding == "utf-8" and not form.marks:
        return [document]
    return [_all_lines(document, replace(form, shape="lines"))]


def _all_lines(document: bytes, form: Form) -> bytes:
    parts = iter([document])
    return b"".join(as_lines(lambda most: next(parts, b""), form))


def _texts(read: Callable[[int], bytes], encoding: str) -> Iterator[str]:
    """The file as text. Bytes that are none stay what they are in UTF-8, and make their line a malformed one."""
    decoder = codecs.getincrementaldecoder(encoding)("surrogateescape" if encoding == "utf-8" else "surrogatepass")
    while chunk := read(_CHUNK):
        yield decoder.decode(chunk)
    rest = decoder.getstate()[0]
    if rest and encoding != "utf-8":  # half a character: half a line
        yield f" hex:{rest.hex()}"
    else:
        yield decoder.decode(b"", final=True)


def _without_marks(texts: Iterator[str]) -> Iterator[str]:
    started = False
    for text in texts:
        if not started:
            text = text.lstrip("\ufeff")
            started = bool(text)
        yield text


def _with_line_feeds(texts: Iterator[str]) -> Iterator[str]:
    """The same lines, each ending with a line feed; a carriage return may end one text, its line feed begin the
    next."""
    held = ""
    for text in texts:
        text = held + text
        held = "\r" if text.endswith("\r") else ""
        yield text.removesuffix("\r").replace("\r\n", "\n").replace("\r", "\n")
    if held:
        yield "\n"


def _values(texts: Iterator[str]) -> Iterator[str]:
    """Each value as a line: those of an array, and those that follow each other without one."""
    buffer = _Buffer(texts)
    row, in_array, wants = 0, False, "value"
    lines: list[str] = []
    while mark := buffer.next_mark():
        if not in_array and mark == "[":
            in_array, wants = True, "first"
            buffer.skip_mark()
        elif in_array and mark == "]" and wants != "value":
            in_array, wants = False, "value"
            buffer.skip_mark()
        elif in_array and mark == "," and wants == "comma":
            wants = "value"
            buffer.skip_mark()
        elif in_array and wants == "comma":
            raise BrokenOff(f"after row {row:,} there is {mark!r} where a comma or the array's end should be")
        else:
            row += 1
            lines.append(_BREAKS.sub(" ", buffer.take_value(row)))
            wants = "comma"
            if len(lines) == 10_000 or buffer.turned():
                yield "\n".join([*lines, ""])
                lines = []
    if lines:
        yield "\n".join([*lines, ""])
    if in_array:
        raise BrokenOff(f"the array has no end: it breaks off after row {row:,}")


class _Buffer:
    """Text that is read on when a value needs more of it."""

    def __init__(self, texts: Iterator[str]) -> None:
        self._texts = texts
        self._text = ""
        self._at = 0
        self._ended = False
        self._read_on = False
        # Numbers stay text: they may have more digits than Python reads.
        self._decoder = json.JSONDecoder(parse_int=str, parse_float=str)

    def next_mark(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            assert found is not None
            self._at = found.end()
            if self._at < len(self._text) or not self._more():
                return self._text[self._at : self._at + 1]

    def skip_mark(self) -> None:
        """Goes past the character that ``next_mark`` gave."""
        self._at += 1

    def take_value(self, row: int) -> str:
        """The text of the value that begins here. Raises BrokenOff for one that is broken or has no end."""
        while True:
            try:
                _, end = self._decoder.raw_decode(self._text, self._at)
                # A number or word at the end of what was read may go on in what follows.
                if end < len(self._text) or self._text[self._at] in '{["' or not self._more():
                    taken, self._at = self._text[self._at : end], end
                    return taken
            except RecursionError:
                raise BrokenOff(f"row {row:,} is nested too deeply") from None
            except json.JSONDecodeError as error:
                cut_off = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - 16
                if not cut_off or len(self._text) - self._at > MOST_CHARACTERS or not self._more():
                    raise BrokenOff(f"row {row:,} is no JSON: {error.msg}") from None

    def turned(self) -> bool:
        """Whether text was read on since this was last asked."""
        turned, self._read_on = self._read_on, False
        return turned

    def _more(self) -> bool:
        """Reads on, at least as much as is held, so that a long value is not tried again for each piece."""
        if self._ended:
            return False
        held = self._text[self._at :]
        pieces, size = [held], 0
        while size <= len(held):
            piece = next(self._texts, None)
            if piece is None:
                self._ended = True
                break
            pieces.append(piece)
            size += len(piece)
        self._text, self._at, self._read_on = "".join(pieces), 0, True
        return size > 0
