"""What a dropped file looks like, from its first bytes: JSON in one of its forms, or something that is none.

JSON lines are taken as they are. Other forms of the same rows (one array of objects, objects over several lines,
UTF-16, lone carriage returns) are written as lines while they are landed. What is no JSON at all is refused by name: it
would be so many malformed lines, and say nothing of what went wrong.
"""

import codecs
import json
import re
from dataclasses import dataclass
from typing import Literal

SNIFFED = 64 * 1024
"""Bytes that are looked at."""

Shape = Literal["lines", "values"]
"""Rows on lines of their own, or JSON values one after the other, in an array or not."""

_MAGIC = {
    b"\x1f\x8b": "gzip; unpack it first",
    b"PK\x03\x04": "a zip archive or a spreadsheet; unpack or export it first",
    b"PAR1": "Parquet; export it as JSON lines",
    b"Obj\x01": "Avro; export it as JSON lines",
    b"ORC": "ORC; export it as JSON lines",
    b"\x28\xb5\x2f\xfd": "zstd; unpack it first",
    b"BZh": "bzip2; unpack it first",
    b"\xfd7zXZ": "xz; unpack it first",
    b"SQLite format 3": "an SQLite database; export it as JSON lines",
    b"%PDF": "a PDF",
}
_MARKS = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}
_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True)
class Form:
    """How a file holds its rows. ``marks`` is whether several byte order marks, or some in UTF-16, stand first;
    ``line_ends`` whether a carriage return alone ends a line."""

    shape: Shape = "lines"
    encoding: str = "utf-8"
    marks: bool = False
    line_ends: bool = False

    @property
    def plain(self) -> bool:
        """Whether the file is JSON lines as readers take them."""
        return self == Form()


def form_of(start: bytes) -> Form:
    """The form of a file that begins with ``start``: its first ``SNIFFED`` bytes, or all of a shorter one."""
    encoding, marks = _encoding(start)
    text = start.decode(encoding, "ignore").lstrip("\ufeff")
    return Form("values" if _holds_values(text) else "lines", encoding, marks)


def unreadable(start: bytes) -> str | None:
    """What a file looks like that is no JSON, and what to do about it; None for one that may be, or is empty."""
    for magic, what in _MAGIC.items():
        if start.startswith(magic):
            return what
    encoding, _ = _encoding(start)
    text = start.decode(encoding, "ignore").lstrip("\ufeff \t\r\n")
    if text.startswith("<"):
        return "HTML; this is often a server's error page" if re.match(r"<(!doctype )?html", text, re.I) else "XML"
    if text.startswith(("{", "[")):
        return None
    if encoding == "utf-8" and b"\0" in start:
        return "a binary file"
    return "CSV; export it as JSON lines" if _is_csv(text) else None


def _encoding(start: bytes) -> tuple[str, bool]:
    for mark, encoding in _MARKS.items():
        if start.startswith(mark):
            return encoding, True
    if re.match(rb"[\[{]\0[\x09\x0a\x0d -~]\0", start):
        return "utf-16-le", False
    if re.match(rb"\0[\[{]\0[\x09\x0a\x0d -~]", start):
        return "utf-16-be", False
    return "utf-8", start.startswith(codecs.BOM_UTF8 * 2)


def _holds_values(text: str) -> bool:
    """Whether values run over several lines, or stand in an array, so that a line is not a row."""
    text = text.lstrip(" \t\r\n")
    first, *others = re.split(r"[\r\n]", text, maxsplit=1)
    if text.startswith("["):
        return re.match(r"\[\s*(\{|\]\s*$)", text) is not None
    if not text.startswith("{") or not others or _is_value(first):
        return False
    if first.rstrip(" \t").endswith(("{", "[", ",")):
        return True
    try:
        json.JSONDecoder(parse_int=str).raw_decode(text)
    except (ValueError, RecursionError):
        return False
    return True


def _is_value(text: str) -> bool:
    try:
        json.loads(text, parse_int=str)
    except (ValueError, RecursionError):
        return False
    return True


def _is_csv(text: str) -> bool:
    """Whether the first lines have the same number of the same delimiter."""
    lines = [line for line in re.split(r"\r\n|\r|\n", text)[:3] if line.strip()][:2]
    if len(lines) < 2 or any(line.lstrip().startswith(("{", "[")) for line in lines):
        return False
    first, second = (re.sub(r'"[^"]*"', "", line) for line in lines)
    return any(0 < first.count(each) == second.count(each) for each in _DELIMITERS)
