"""Files that hold the same rows in another form than JSON lines, and files that hold something else."""

import gzip
import io
import json
import random
from collections.abc import Iterator

import pytest

from dagster_lake.landing.as_lines import BrokenOff, as_lines
from dagster_lake.landing.form import SNIFFED, form_of, unreadable

ROWS = [{"id": 1, "name": "Žaneta 🐈", "tags": ["a", {"b": [1, 2]}]}, {"id": 2, "name": 'a\nb\r"c]}', "n": None}]
LINES = [json.dumps(row, ensure_ascii=False) for row in ROWS]
TEXTS = {
    "lines": "\n".join(LINES) + "\n",
    "array": json.dumps(ROWS, ensure_ascii=False),
    "pretty array": json.dumps(ROWS, indent=2),
    "pretty array, CR LF": json.dumps(ROWS, indent=2).replace("\n", "\r\n"),
    "pretty objects": "\n".join(json.dumps(row, indent=4, ensure_ascii=False) for row in ROWS),
    "pretty, one field a line": '{"id": 1,\n "name": "Žaneta 🐈", "tags": ["a", {"b": [1, 2]}]}\n' + LINES[1],
    "arrays on lines": "\n".join(f"[{line}]" for line in LINES),
    "lone CR": "\r".join(LINES) + "\r",
    "CR LF": "\r\n".join(LINES),
    "mixed": LINES[0] + "\r" + LINES[1] + "\r\n\r\n",
}
ENCODINGS = {
    "UTF-8": ("", "utf-8"),
    "UTF-8 with its mark": ("\ufeff", "utf-8"),
    "UTF-8 with two marks": ("\ufeff\ufeff", "utf-8"),
    "UTF-16 LE": ("\ufeff", "utf-16-le"),
    "UTF-16 BE": ("\ufeff", "utf-16-be"),
    "UTF-16 LE without its mark": ("", "utf-16-le"),
}


def lines_of(content: bytes, sizes: Iterator[int] | None = None) -> list[bytes]:
    source = io.BytesIO(content)
    read = source.read if sizes is None else lambda most: source.read(next(sizes))
    return [line for line in b"".join(as_lines(read, form_of(content[:SNIFFED]))).split(b"\n") if line]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", TEXTS)
def test_every_form_gives_the_same_rows_however_it_is_read(text: str, encoding: str) -> None:
    mark, codec = ENCODINGS[encoding]
    content = (mark + TEXTS[text]).encode(codec)
    chance = random.Random(7)

    found = [lines_of(content), lines_of(content, iter(lambda: chance.randint(1, 9), 0))]

    assert unreadable(content[:SNIFFED]) is None
    assert [[json.loads(line) for line in lines] for lines in found] == [ROWS, ROWS]


def test_a_value_keeps_its_text_to_the_letter() -> None:
    text = '{"a": 1.0E7, "a": 12345678901234567890123456789.10, "b": "\\u017d\\/"}'
    assert lines_of(f"[{text},\n{text}]".encode()) == [text.encode()] * 2
    digits = b'{"a": ' + b"9" * 10_000 + b"}"
    assert lines_of(b"[" + digits + b"]") == [digits]


def test_an_array_keeps_what_is_no_object_as_a_row_of_its_own() -> None:
    assert lines_of(b'[{"id": 1}, 5, null, "x", [1], {"id": 2}]') == [
        *(b'{"id": 1}', b"5", b"null", b'"x"', b"[1]", b'{"id": 2}')
    ]
    assert lines_of(b"[]") == []


@pytest.mark.parametrize(
    ("content", "where"),
    [
        ('[{"id": 1}, {"id": 2}', "no end: it breaks off after row 2"),
        ('[{"id": 1}, {"id": ', "row 2 is no JSON"),
        ('[{"id": 1} {"id": 2}]', "after row 1 there is '{'"),
        ('[{"id": 1}, oops, {"id": 2}]', "row 2 is no JSON"),
        ('{\n "id": 1\n}\n{\n "id": \n', "row 2 is no JSON"),
    ],
)
def test_what_breaks_off_is_refused_and_says_where(content: str, where: str) -> None:
    with pytest.raises(BrokenOff, match=where):
        lines_of(content.encode())


@pytest.mark.parametrize(
    "content",
    [
        '{"id": 1}\nnot json\n{"id": 2}\n',
        '{"id": 1\n{"id": 2}\n',
        "not json\n",
        "[1, 2]\n[3, 4]\n",
        "",
        "\n\n",
        "x\n" * 9,
    ],
)
def test_lines_that_are_no_json_stay_lines(content: str) -> None:
    assert form_of(content.encode()).plain
    assert unreadable(content.encode()) is None


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"id,name\n1,Eva\n", "CSV"),
        (b'\xef\xbb\xbf"id";"name"\r\n"1";"Eva; Adam"\r\n', "CSV"),
        ("id\tname\n1\tEva\n".encode("utf-16"), "CSV"),
        (b"<?xml version='1.0'?><users/>", "XML"),
        (b"  <!DOCTYPE html><html>", "HTML"),
        (gzip.compress(b"{}", mtime=0), "gzip"),
        (b"PK\x03\x04rest", "zip"),
        (b"PAR1rest", "Parquet"),
        (b"Obj\x01rest", "Avro"),
        (b"\x01\x02\x00\x03", "binary"),
    ],
)
def test_a_file_that_is_no_json_is_known_for_what_it_is(content: bytes, what: str) -> None:
    assert what in (unreadable(content) or "")


def test_a_long_array_is_read_in_bounded_memory() -> None:
    import tracemalloc

    row = b'{"id": 1, "text": "' + b"x" * 1000 + b'"},'

    class Source:
        left = 60_000

        def read(self, most: int) -> bytes:
            if self.left == 60_000:
                self.left -= 1
                return b"[" + row
            count = min(1000, self.left)
            self.left -= count
            return row * count if self.left or count == 0 else row * (count - 1) + row[:-1] + b"]"

    start = b"[" + row * 64
    tracemalloc.start()
    size = sum(len(piece) for piece in as_lines(Source().read, form_of(start[:SNIFFED])))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == 60_000 * len(row)
    assert most < 20_000_000
