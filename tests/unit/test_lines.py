"""A file of lines, cut as an editor would number them."""

from pathlib import Path
from unittest.mock import patch

from hypothesis import example, given, settings
from hypothesis import strategies as st
from upath import UPath

from dagster_lake.storage import lines

BOM = b"\xef\xbb\xbf"


class InMemory:
    """A file that is only opened and read."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def open(self, mode: str):  # type: ignore[no-untyped-def]
        from io import BytesIO

        return BytesIO(self.content)


def naive(content: bytes) -> list[tuple[int, bytes]]:
    """What ``line_batches`` promises, line by line: number and bytes, line end included, empty lines left out."""
    parts = content.removeprefix(BOM).split(b"\n")
    kept = [(number, part) for number, part in enumerate(parts, 1) if part not in (b"", b"\r")]
    return [(number, part) for number, part in kept]


def found(content: bytes, block: int) -> list[tuple[int, bytes]]:
    with patch.object(lines, "_BLOCK", block):
        batches = list(lines.line_batches(InMemory(content)))  # type: ignore[arg-type]
    assert all(batch.schema.equals(lines.SCHEMA) for batch in batches)
    rows = [row for batch in batches for row in zip(*(c.to_pylist() for c in batch.columns), strict=True)]
    assert all(body.endswith(b"\n") and body.count(b"\n") == 1 for _, body in rows)
    return [(number, body.removesuffix(b"\n")) for number, body in rows]


contents = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b'{"id":1}', b" ", "ž".encode(), b"\x00", BOM, b"\xff"])
).map(b"".join)


@settings(max_examples=300, deadline=None)
@given(contents, st.integers(4, 40))
@example(b"", 4)
@example(BOM, 4)
@example(BOM + b"\r\n\r\n", 4)
@example(b"a\r\nb\n\nc", 4)
@example(b"\n" * 9 + b"truncated", 4)
@example(b"abcd\nefgh", 5)
def test_lines_are_numbered_and_cut_as_by_a_naive_split(content: bytes, block: int) -> None:
    assert found(content, block) == naive(content)


def test_a_line_longer_than_many_blocks_is_one_line(tmp_path: Path) -> None:
    file = tmp_path / "long.jsonl"
    file.write_bytes(b"x" * 10_000_000 + b"\nlast")
    batches = list(lines.line_batches(UPath(file)))
    assert [
        (row, len(body)) for b in batches for row, body in zip(*(c.to_pylist() for c in b.columns), strict=True)
    ] == [
        (1, 10_000_001),
        (2, 5),
    ]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").touch()
    assert list(lines.line_batches(UPath(tmp_path / "empty.jsonl"))) == []
