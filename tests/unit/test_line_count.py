"""Raw counts the lines that bronze will read."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from dagster_lake.landing.line_count import LineCounter
from dagster_lake.storage.lines import line_batches

PIECES = st.lists(st.sampled_from([b"\n", b"\r", b"\r\n", b"x", b"{}", b"\xef\xbb\xbf", b" "]), max_size=30)


@given(PIECES, st.integers(3, 9))
def test_lines_are_counted_as_they_are_read(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], size: int
) -> None:
    content = b"".join(pieces)
    file = Path(tmp_path_factory.mktemp("lines")) / "lines"
    file.write_bytes(content)
    counter = LineCounter()
    for start in range(0, len(content), size):
        counter.add(content[start : start + size])
    assert counter.lines == sum(len(batch) for batch in line_batches(UPath(file)))
