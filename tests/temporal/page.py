"""The examples of docs/temporal.md, run: `python -m tests.temporal.page docs/temporal.md` writes their output anew."""

import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.temporal.duck import ASK, INSTANT, result, table
from tests.temporal.golden import at

_EXAMPLE = re.compile(r"```sql\n(?P<sql>.*?)```\n\n```text\n(?P<output>.*?)```", re.DOTALL)
_COLUMNS = {
    "_time": INSTANT,
    "user_id": pa.int64(),
    "page": pa.string(),
    "latency": pa.int64(),
    "_enqueued_time": INSTANT,
    "_partition": pa.string(),
    "_sequence_number": pa.int64(),
}
_VISITS = [
    ("10:01:00", 1, "/", 180),
    ("10:02:30", 1, "/product", 210),
    ("10:05:00", 2, "/", 95),
    ("10:07:00", 1, "/cart", 2400),
    ("10:11:30", 1, "/product", 190),
    ("10:12:00", 2, "/product", 205),
    ("10:16:30", 1, "/", 175),
    ("10:20:00", 1, "/product", 220),
    ("10:22:00", 1, "/cart", 230),
]


def rewritten(page: str) -> str:
    """The page with the output that its examples give."""
    return _EXAMPLE.sub(lambda found: f"```sql\n{found['sql']}```\n\n```text\n{_output(found['sql'])}```", page)


def _output(sql: str) -> str:
    events = [(at(time), *rest, at(time), "0", number) for number, (time, *rest) in enumerate(_VISITS)]
    names, rows = result(ASK.render(sql), visits=table(_COLUMNS, events))
    texts = [names, *sorted([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(names))]
    lines = ("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) for row in texts)
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.strftime("%H:%M:%S")
    return "null" if value is None else str(value)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(rewritten(file.read_text(encoding="utf-8")), encoding="utf-8")
